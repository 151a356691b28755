"""`lodex convert`, as a user runs it, and what it writes as the embedder of a store."""

import json
import os
from pathlib import Path

import pytest

import lodex
from lodex.cli import main
from lodex.embed.registry import load_encoder
from lodex.index.store import Store
from lodex.service.indexing import index_status
from lodex.types import Document

SOURCE = (
    Path(os.environ.get("LODEX_DATA", Path(__file__).resolve().parents[3] / "../shared/data")) / "decoder_stories260k"
)
MODEL, TOKENIZER = SOURCE / "stories260K.bin", SOURCE / "tok512.bin"

pytestmark = pytest.mark.skipif(not SOURCE.is_dir(), reason="no decoder_stories260k: set LODEX_DATA")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run a command in this process; returns its exit code."""
    monkeypatch.setattr("sys.argv", ["lodex", *map(str, arguments)])
    with pytest.raises(SystemExit) as exited:
        main()
    return int(exited.value.code or 0)


def test_from_llama2c_to_a_searched_and_updated_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trained decoder becomes an embedder, which indexes, searches and updates; each hit's score is its cosine."""
    story, model, path = tmp_path / "story", tmp_path / "mine", tmp_path / "store"
    assert run(monkeypatch, "convert", "llama2c", MODEL, "--tokenizer", TOKENIZER, "--out", story) == 0
    flags = ["--bidirectional", "--query-prompt", "find: ", "--max-tokens", "64"]
    assert run(monkeypatch, "convert", "embedder", story, "--out", model, *flags) == 0
    assert "64 dimensions, 64 tokens" in capsys.readouterr().out
    store = Store.create(path)
    store.add([Document("a", "The dog ran to the park."), Document("b", "Lily ate a red apple.")])
    assert run(monkeypatch, "index", "dense", path, "--model", model) == 0
    assert f"--model-folder mine={model}" in capsys.readouterr().out
    store.add([Document("c", "The bird sang in the tree.")])
    assert run(monkeypatch, "index", "update", path) == 1
    assert "--model-folder mine=PATH" in capsys.readouterr().err
    assert run(monkeypatch, "index", "update", path, "--model-folder", f"mine={model}") == 0
    assert all(status.is_complete for status in index_status(Store.open(path).snapshot()))
    capsys.readouterr()
    words = ["search", "A bird in a tree", "--store", path, "--model-folder", f"mine={model}", "--json"]
    assert run(monkeypatch, *words) == 0
    assert json.loads(capsys.readouterr().out)
    encoder = load_encoder(model)
    texts = {document.doc_id: document.text for document in Store.open(path)}
    passages = encoder.embed_passages(list(texts.values())).vectors
    expected = dict(
        zip(texts, (passages @ encoder.embed_queries(["A bird in a tree"]).vectors[0]).tolist(), strict=True)
    )
    with lodex.open(path, models={"mine": model}) as db:
        (hits,) = db.search("A bird in a tree", k=3)
    assert [hit.passage.doc_id for hit in hits] == sorted(expected, key=lambda name: -expected[name])
    assert [hit.score for hit in hits] == pytest.approx(sorted(expected.values(), reverse=True), abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["llama2c", TOKENIZER, "--tokenizer", TOKENIZER, "--out", "out"], 1, "tok512.bin"),
        (["llama2c", MODEL, "--tokenizer", MODEL, "--out", "out"], 1, "stories260K.bin"),
        (["llama2c", "nothing.bin", "--tokenizer", TOKENIZER, "--out", "out"], 2, "nothing.bin"),
        (["embedder", "nothing", "--out", "out"], 1, "no model 'nothing'"),
    ],
)
def test_what_cannot_be_converted_is_told_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str | Path],
    code: int,
    complaint: str,
) -> None:
    """A wrong file is named in one line, and no folder is made."""
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "convert", *arguments) == code
    assert complaint in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
