"""Reference vectors: what passes, what fails and why, and files that are none."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lodex.embed.conventions.check import (
    FILE,
    check_embedder,
    check_model,
    find_reference,
    make_reference,
    write_reference,
)
from lodex.embed.encoder import TextEncoder
from lodex.embed.registry import load_encoder
from lodex.errors import DataLossError, NotFoundError
from lodex.types import TextKind

TEXTS = [("the cat", TextKind.QUERY), ("the cats sat on the mat.", TextKind.PASSAGE), ("", TextKind.PASSAGE)]


def test_minilm_passes_against_sentence_transformers() -> None:
    """The packaged reference was made by the other program: same tokens, cosine above 0.99999, cut texts too."""
    report = check_model("minilm")
    assert report.passed
    assert report.worst > 0.99999
    assert report.made_by.startswith("sentence-transformers")
    assert max(len(text.token_ids) for text in report.texts) == 256


def test_a_folder_may_bring_its_own(tiny_bert: Path) -> None:
    """As it was written, to the seventh digit."""
    encoder = load_encoder(tiny_bert)
    write_reference(make_reference(encoder, TEXTS, "a test"), tiny_bert / FILE)
    report = check_model(tiny_bert)
    assert report.passed
    assert (report.made_by, report.model, len(report.texts)) == ("a test", "tiny", 3)
    assert report.worst > 0.999999


def test_another_prompt_is_seen_in_the_tokens(tiny_bert: Path) -> None:
    """The usual reason of other vectors is told as such."""
    write_reference(make_reference(load_encoder(tiny_bert), TEXTS, "a test"), tiny_bert / FILE)
    prompts = tiny_bert / "config_sentence_transformers.json"
    prompts.write_text(json.dumps({"prompts": {"query": "query : "}}))
    report = check_model(tiny_bert)
    assert not report.passed
    assert [text.same_tokens for text in report.texts] == [False, True, True]
    assert report.texts[0].token_ids != report.texts[0].known_ids


def test_other_weights_are_seen_in_the_vectors(minilm: TextEncoder) -> None:
    """Same tokens, another vector: one text is enough to fail, and so is another size."""
    reference = find_reference("minilm")
    first = reference.texts[0]
    flipped = replace(first, vector=(*first.vector[:192], *(-x for x in first.vector[192:])))
    report = check_embedder(minilm, replace(reference, texts=(flipped, *reference.texts[1:])))
    assert all(text.same_tokens for text in report.texts)
    assert not report.passed
    short = replace(first, vector=first.vector[:10])
    assert check_embedder(minilm, replace(reference, texts=(short,))).worst == 0


def test_a_model_without_reference_is_told(tiny_bert: Path) -> None:
    """None is made up."""
    with pytest.raises(NotFoundError, match="no reference vectors of 'tiny' come with Lodex"):
        find_reference("tiny", tiny_bert)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model": "a", "made_by": "b", "texts": []}'])
def test_a_broken_reference_is_data_loss(tiny_bert: Path, content: str) -> None:
    """A file that is none is named."""
    (tiny_bert / FILE).write_text(content)
    with pytest.raises(DataLossError, match=f"{FILE} holds no reference vectors"):
        find_reference("tiny", tiny_bert)
