"""Reading a sentence-transformers folder: what is understood, what is refused, what makes the fingerprint."""

import json
from pathlib import Path

import pytest

from lodex.embed.formats.embedder import EmbedderFolder, read_embedder
from lodex.errors import InvalidArgumentError


def read(folder: Path) -> EmbedderFolder:
    return read_embedder(folder, "tiny")


def change(path: Path, **values: object) -> None:
    """Set keys of a JSON file; it need not be there."""
    old = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(old | values))


def test_the_folder_says_how_to_encode(tiny_bert: Path) -> None:
    """Width, length and pooling come from the files of the folder; it has no prompts."""
    folder = read(tiny_bert)
    convention = folder.convention
    assert (folder.dimension, convention.max_tokens, convention.pooling) == (32, 12, "mean")
    assert (convention.query_prompt, convention.passage_prompt, convention.normalize) == ("", "", True)


def test_newer_files_mean_the_same(tiny_bert: Path) -> None:
    """Version 6 of sentence-transformers names the pooling mode and leaves the length to the tokenizer."""
    change(tiny_bert / "tokenizer_config.json", model_max_length=9)
    (tiny_bert / "sentence_bert_config.json").write_text("{}")
    (tiny_bert / "1_Pooling/config.json").write_text('{"pooling_mode": "cls", "include_prompt": true}')
    change(tiny_bert / "config_sentence_transformers.json", prompts={"query": "query: ", "passage": "passage: "})
    convention = read(tiny_bert).convention
    assert (convention.max_tokens, convention.pooling) == (9, "cls")
    assert (convention.query_prompt, convention.passage_prompt) == ("query: ", "passage: ")


def test_a_length_over_the_positions_is_cut_to_them(tiny_bert: Path) -> None:
    """A tokenizer that claims endless length does not lead beyond the position table."""
    (tiny_bert / "sentence_bert_config.json").unlink()
    change(tiny_bert / "tokenizer_config.json", model_max_length=10**30)
    assert read(tiny_bert).convention.max_tokens == 16


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"layer_norm_eps": 1e-6}),
        ("tokenizer.json", {"version": "1.1"}),
        ("sentence_bert_config.json", {"max_seq_length": 11}),
        ("1_Pooling/config.json", {"pooling_mode": "cls"}),
        ("config_sentence_transformers.json", {"prompts": {"query": "query: "}}),
    ],
)
def test_whatever_changes_vectors_changes_the_fingerprint(
    tiny_bert: Path, file: str, values: dict[str, object]
) -> None:
    """Configuration, tokenizer, length, pooling and prompts are all in the fingerprint."""
    before = read(tiny_bert).fingerprint
    assert read(tiny_bert).fingerprint == before
    change(tiny_bert / file, **values)
    assert read(tiny_bert).fingerprint != before


def test_one_bit_of_the_weights_changes_the_fingerprint(tiny_bert: Path) -> None:
    """The weights are in the fingerprint whole."""
    before = read(tiny_bert).fingerprint
    data = bytearray((tiny_bert / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tiny_bert / "model.safetensors").write_bytes(data)
    assert read(tiny_bert).fingerprint != before


@pytest.mark.parametrize(
    ("file", "values", "complaint"),
    [
        ("config.json", {"model_type": "mpnet"}, "model_type is 'mpnet'"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case"),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, r"pooling 'mean\+max'"),
        ("1_Pooling/config.json", {"pooling_mode": ["mean", "cls"]}, "pooling"),
    ],
)
def test_what_lodex_cannot_run_is_refused(
    tiny_bert: Path, file: str, values: dict[str, object], complaint: str
) -> None:
    """A folder of another sort is refused by its file and reason, rather than run wrongly."""
    change(tiny_bert / file, **values)
    with pytest.raises(InvalidArgumentError, match=complaint) as caught:
        read(tiny_bert)
    assert file in str(caught.value)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json", "modules.json"])
def test_a_missing_file_is_named(tiny_bert: Path, file: str) -> None:
    """A folder without one of the files is no encoder; a pickled weights file beside does not help."""
    (tiny_bert / file).unlink()
    (tiny_bert / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(InvalidArgumentError, match=file):
        read(tiny_bert)


def test_a_broken_json_file_is_named(tiny_bert: Path) -> None:
    """What is no JSON is refused with the path."""
    (tiny_bert / "modules.json").write_text("[")
    with pytest.raises(InvalidArgumentError, match=r"modules\.json is not JSON"):
        read(tiny_bert)
