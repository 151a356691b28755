"""A real trained decoder through Generate: stories260K, converted from llama2.c."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lodex.client import Client
from lodex.embed.formats.llama2c import convert_llama2c
from lodex.service.server import Server
from lodex.types import Finished, GeneratedTokens, Sampling
from tests.embed.formats.test_llama2c import PUBLISHED

STORIES = Path(os.environ.get("LODEX_DATA", "../shared/data")) / "decoder_stories260k"


@pytest.mark.skipif(not STORIES.is_dir(), reason="no decoder_stories260k: set LODEX_DATA")
def test_generate_streams_the_published_story(tmp_path: Path, serve: Callable[..., Server], store_path: Path) -> None:
    """From an empty prompt, 200 greedy tokens over gRPC are the text that the model's author publishes."""
    convert_llama2c(STORIES / "stories260K.bin", STORIES / "tok512.bin", tmp_path / "stories260K")
    server = serve({"docs": store_path}, language_models={"stories": tmp_path / "stories260K"})
    with Client(server.address) as client:
        events = list(client.generate([[]], model="stories", sampling=Sampling(max_tokens=200)))
    pieces = [event.event for event in events if isinstance(event.event, GeneratedTokens)]
    assert "".join(piece.text for piece in pieces).strip() == PUBLISHED.strip()
    assert len(pieces) == 200
    (finished,) = (event.event for event in events if isinstance(event.event, Finished))
    assert (finished.prompt_tokens, finished.generated_tokens, finished.forwards) == (0, 200, 200)
