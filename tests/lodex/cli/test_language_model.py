"""`lodex score | generate | ask` over a small store and a random decoder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lodex.cli import main
from lodex.index.store import Store
from lodex.index.tokenizer import Tokenizer
from lodex.service.indexing import build_dense_index, build_suffix_index
from lodex.types import Document

Run = Callable[..., int]
TEXTS = {
    "cooking": "Boil the pasta in salted water, then stir the sauce and serve it hot.",
    "animals": "The cat sat on the mat. A cat is a small animal.",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama over the bundled tokenizer."""
    path = tmp_path_factory.mktemp("cli") / "tiny"
    tokenizer = Tokenizer.load()
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        initializer_range=0.3,
        bos_token_id=tokenizer.eos_id,
        eos_token_id=tokenizer.eos_id,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    (path / "tokenizer.json").write_text(tokenizer.to_json())
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two documents with a dense and a suffix index. Tests only read it."""
    made = Store.create(tmp_path_factory.mktemp("cli") / "docs")
    made.add([Document(name, text, title=name.title()) for name, text in TEXTS.items()])
    build_suffix_index(made)
    build_dense_index(made)
    return made.path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, store: Path, folder: Path) -> Run:
    """`run(*words)` runs a command over the store with the model, and returns its exit code."""
    for name in ("LODEX_ADDRESS", "LODEX_STORE"):
        monkeypatch.delenv(name, raising=False)
    end = ["--store", str(store), "--language-model-folder", f"tiny={folder}", "--model", "tiny"]

    def run(*words: str | Path) -> int:
        monkeypatch.setattr("sys.argv", ["lodex", *map(str, words), *end])
        with pytest.raises(SystemExit) as exited:
            main()
        return int(exited.value.code or 0)

    return run


def test_score_prints_bits_per_byte(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of arguments and of files; in JSON with every token."""
    (tmp_path / "a.txt").write_text("A cat, naïvely.")
    assert run("score", "The cat sat", "--file", tmp_path / "a.txt") == 0
    printed = capsys.readouterr().out
    assert printed.count("bits per byte") == 2
    assert "11 bytes" in printed
    assert "16 bytes" in printed
    assert run("score", "The cat sat", "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert len(result["token_ids"]) == len(result["log_probabilities"])


def test_an_empty_text_has_no_bits(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no text, which is what is said."""
    assert run("score", "") == 0
    printed = capsys.readouterr().out
    assert "no text  (0 tokens, 0 bytes)" in printed
    assert "nan" not in printed


def test_score_shows_the_parts_of_a_mixture(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """A weight asks for its source; the table has each part with its share."""
    assert run("score", "The cat sat on the mat.", "--infgram-weight", "0.5", "--components") == 0
    lines = capsys.readouterr().out.splitlines()
    shares = {line.split()[0]: line.split()[-2] for line in lines if line.startswith(("lm", "infgram"))}
    assert shares == {"lm": "0.500", "infgram": "0.500"}
    assert run("score", "The zebra quacks", "--infgram", "--json", "--components") == 0
    (result,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["results"]
    assert [part["component"] for part in result["components"]] == ["lm", "infgram"]
    assert None in result["components"][1]["log_probabilities"]


def test_generate_prints_the_text_as_json_or_plain(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines of JSON put together are the text."""
    assert run("generate", "The cat", "-n", "5") == 0
    text = capsys.readouterr().out
    assert run("generate", "The cat", "-n", "5", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["tokens"] * 5 + ["finished"]
    assert "".join(event["value"]["text"] for event in events[:-1]) + "\n" == text
    assert events[-1]["value"]["reason"] == "length"
    assert all(len(event["value"]["log_probabilities"]) == 1 for event in events[:-1])


def test_ask_prints_the_answer_and_its_sources(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Passages by number, best first; in JSON the passages come before the tokens."""
    assert run("ask", "How is pasta boiled?", "-k", "2", "-n", "4") == 0
    sources = capsys.readouterr().out.partition("sources\n")[2].splitlines()
    assert sources[0].startswith("[1]  ")
    assert "cooking#0" in sources[0]
    assert run("ask", "How is pasta boiled?", "-k", "2", "-n", "4", "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["event"] == "retrieved"
    assert events[0]["value"]["hits"][0]["passage"]["doc_id"] == "cooking"
    assert events[-1]["event"] == "finished"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score"], "nothing to score"),
        (["score", "x", "--file", "nowhere"], "nowhere: No such file"),
        (["score", "x", "--neighbors", "2"], "which is absent"),
        (["score", "x", "--knn"], "lodex index knn STORE"),
        (["score", "1,,2", "--tokens"], "--tokens expects ids"),
        (["score", "x", "--infgram-weight", "2"], "mixture.infgram.weight is 2.0"),
        (["generate", "x", "--temperature", "-1"], "temperature is -1.0"),
        (["generate", "x", "--top-k", "10000000000"], "sampling.top_k is 10000000000, expected"),
        (["generate", "x", "--seed", "9" * 23], "sampling.seed is 9"),
        (["generate", "99999999", "--tokens"], "prompts[0].tokens[0] is 99999999"),
        (["ask", " "], "questions[0] is required"),
        (["ask", "x", "--template", "y"], "no 'y'"),
        (["generate", "x", "--language-model-folder", "nothing"], "--language-model-folder expects NAME=PATH"),
        (["generate", "x", "--address", "x:1"], "give --language-model-folder to lodex serve there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_line(run: Run, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    """The exit code is 1, and stderr has what is wrong."""
    assert run(*words) == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_a_file_that_is_no_text_is_named(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than scored as something else."""
    shutil.copy2("/bin/sh", tmp_path / "binary")
    assert run("score", "--file", tmp_path / "binary") == 1
    assert "binary is not UTF-8" in capsys.readouterr().err


def test_a_model_alone_needs_no_store(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scoring and continuing by the model's own context ask for nothing but the model."""
    for name in ("LODEX_ADDRESS", "LODEX_STORE"):
        monkeypatch.delenv(name, raising=False)
    model = ["--model", "tiny", "--language-model-folder", f"tiny={folder}"]
    for words in (["score", "a cat"], ["generate", "a cat", "--max-tokens", "2"]):
        monkeypatch.setattr("sys.argv", ["lodex", *words, *model])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None)
        assert capsys.readouterr().out.strip()
    monkeypatch.setattr("sys.argv", ["lodex", "generate", "a cat", "--knn", *model])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "--store PATH" in capsys.readouterr().err


def test_texts_are_reranked_without_a_store(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`lodex rerank` orders texts by a folder's model and prints each with its score and where it was."""
    monkeypatch.delenv("LODEX_STORE", raising=False)
    monkeypatch.delenv("LODEX_ADDRESS", raising=False)
    words = ["rerank", "a cat", "one", "two", "--model", "tiny", "--reranker-folder", f"tiny={folder}", "--json"]
    monkeypatch.setattr("sys.argv", ["lodex", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    (ranking,) = json.loads(capsys.readouterr().out)["results"]
    assert sorted(candidate["index"] for candidate in ranking["candidates"]) == [0, 1]
    assert ranking["forwards"] == ranking["windows"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rerank", "q", "--file", "binary"], "binary is not UTF-8"),
        (["rerank", "q", "--file", "empty"], "empty has no text to put in order"),
        (["rerank", "q", "a text", "--file", "empty"], "empty has no text to put in order"),
        (["train", "lm", "STORE", "--out", "out", "--held-out", "binary"], "binary is not UTF-8"),
        (["train", "lm", "STORE", "--out", "out", "--hidden", "16", "--heads", "3"], "hidden is 16 and heads is 3"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_files_and_shapes_that_cannot_be_used_are_named(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    store: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    """In one line; a file without texts is no reason to search instead."""
    # It replaces the process by itself.
    monkeypatch.setattr("lodex.embed.training.trainer.tune_allocator", lambda: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LODEX_STORE", str(store))
    Path("binary").write_bytes(b"\xff\xfe\n")
    Path("empty").write_text("\n \n")
    monkeypatch.setattr("sys.argv", ["lodex", *(str(store) if word == "STORE" else word for word in words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
