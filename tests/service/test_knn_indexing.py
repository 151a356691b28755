"""Building kNN indexes with a language model, and bringing them up to date."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import lodex
from lodex.cli import main
from lodex.errors import AlreadyExistsError, FailedPreconditionError, FingerprintMismatchError, NotFoundError
from lodex.index.knn import KnnIndex
from lodex.index.store import Store
from lodex.index.tokenizer import DEFAULT_TOKENIZER, Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.lm.model import LanguageModel
from lodex.service.indexing import build_knn_index, build_suffix_index, build_with, index_status, update_indexes
from lodex.service.language_models import LanguageModels
from lodex.types import Document

TEXTS = ["one fish two fish", "red fish", "", "Zürich liegt am See " * 8]


def make_model(folder: Path, tokenizer: Tokenizer, seed: int) -> Path:
    """A random Llama that reads 16 tokens at once."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.eos_id,
        eos_token_id=tokenizer.eos_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_json())
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, byte_tokenizer: Path) -> Path:
    """A model whose tokens are bytes."""
    return make_model(tmp_path_factory.mktemp("model") / "tiny", Tokenizer.load(byte_tokenizer), 0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two documents in one segment."""
    store = Store.create(tmp_path / "store")
    store.add([Document(f"doc-{i}", text) for i, text in enumerate(TEXTS)])
    return store


def states(model: LanguageModel, text: str, window: int, stride: int) -> np.ndarray:
    """The key at every position of a document, each in its window, one forward pass each."""
    ids = [model.decoder.start_id, *model.encode(text)]
    rows = []
    for position in range(len(ids)):
        begin = 0 if position < window else -(-(position - window + 1) // stride) * stride
        keys = model.decoder.forward(torch.tensor([ids[begin : position + 1]]), with_keys=True).keys
        assert keys is not None
        rows.append(keys[0, -1].numpy())
    return np.stack(rows)


def test_an_index_holds_the_states_of_its_model(store: Store, tiny: Path) -> None:
    """Every key is the state after its token in the windows asked for, rounded to float16."""
    snapshot = build_knn_index(store, tiny, window_tokens=12, stride_tokens=4)
    model = LanguageModel.open(tiny)
    index = KnnIndex(snapshot)
    assert (index.model, index.model_fingerprint) == ("tiny", model.info.fingerprint)
    assert (index.window_tokens, index.stride_tokens, index.dimension) == (12, 4, 16)
    ((_, part),) = snapshot.parts("knn")
    assert part is not None
    keys = np.fromfile(part.file("keys.f16"), "<f2").reshape(-1, 16)
    expected = np.concatenate([states(model, text, 12, 4) for text in TEXTS])
    np.testing.assert_allclose(keys, expected, rtol=2**-10, atol=1e-5)


def test_segments_do_not_change_the_keys(store: Store, tiny: Path, tmp_path: Path) -> None:
    """One segment or four hold the same keys, byte for byte."""
    apart = Store.create(tmp_path / "apart")
    for i, text in enumerate(TEXTS):
        apart.add([Document(f"doc-{i}", text)])
    together = build_knn_index(store, tiny)
    split = build_knn_index(apart, tiny)
    bytes_of = [
        b"".join(part.file("keys.f16").read_bytes() for _, part in snapshot.parts("knn") if part is not None)
        for snapshot in (together, split)
    ]
    assert bytes_of[0] == bytes_of[1]


def test_a_stream_of_the_same_tokenizer_is_shared(store: Store, tmp_path: Path) -> None:
    """A model over the bundled tokenizer reads the stream that n-grams read, whatever its folder is called."""
    build_suffix_index(store)
    folder = make_model(tmp_path / "elsewhere", Tokenizer.load(), 1)
    assert KnnIndex(build_knn_index(store, folder)).stream_name == DEFAULT_TOKENIZER
    kinds = [status.kind for status in index_status(store.snapshot())]
    assert kinds == ["tokens", "suffix", "knn"]


def test_a_missing_stream_is_built_under_its_usual_name(store: Store, tmp_path: Path) -> None:
    """So that a suffix index built later shares it in turn."""
    build_knn_index(store, make_model(tmp_path / "elsewhere", Tokenizer.load(), 1))
    build_suffix_index(store)
    assert [status.name for status in index_status(store.snapshot())] == [DEFAULT_TOKENIZER, "suffix", "knn"]


def test_a_stream_of_another_tokenizer_is_refused(store: Store, tiny: Path) -> None:
    """A name that is taken by other tokens is never read as the model's own."""
    build_with(store, {"tiny": TokensBuilder(Tokenizer.load())})
    with pytest.raises(FingerprintMismatchError, match="'tiny'"):
        build_knn_index(store, tiny)


def test_a_second_model_needs_a_second_name(store: Store, tiny: Path, tmp_path: Path, byte_tokenizer: Path) -> None:
    """States of two models are two indexes."""
    build_knn_index(store, tiny)
    other = make_model(tmp_path / "other", Tokenizer.load(byte_tokenizer), 2)
    with pytest.raises(AlreadyExistsError, match="--name"):
        build_knn_index(store, other)
    build_knn_index(store, other, "knn-other")
    assert KnnIndex(store.snapshot(), "knn-other").model == "other"


def test_an_unknown_model_leaves_no_index(store: Store) -> None:
    """The error says that there is no such model."""
    with pytest.raises(NotFoundError, match="no-such-model"):
        build_knn_index(store, "no-such-model")
    assert not store.snapshot().manifest.indexes


def test_updating_reads_new_documents_with_the_same_model(store: Store, tiny: Path) -> None:
    """The windows stay; without the model, or with another of its name, nothing is built."""
    build_knn_index(store, tiny, window_tokens=8, stride_tokens=8)
    store.add([Document("new", "blue fish")])
    with pytest.raises(FailedPreconditionError, match="--language-model-folder tiny=PATH"):
        update_indexes(store)
    assert update_indexes(store, language_models=LanguageModels({"tiny": tiny})) == ("tiny", "knn")
    index = KnnIndex(store.snapshot())
    assert (index.segments_ok, index.segments_total, index.window_tokens) == (2, 2, 8)


def test_a_model_that_changed_is_refused(store: Store, tiny: Path, tmp_path: Path, byte_tokenizer: Path) -> None:
    """The name is not enough: the fingerprint tells another training from the one that made the keys."""
    build_knn_index(store, tiny)
    store.add([Document("new", "blue fish")])
    changed = make_model(tmp_path / "tiny", Tokenizer.load(byte_tokenizer), 3)
    with pytest.raises(FailedPreconditionError, match="another 'tiny'"):
        update_indexes(store, language_models=LanguageModels({"tiny": changed}))


def test_an_open_store_keeps_its_knn_index_up_to_date(store: Store, tiny: Path) -> None:
    """What is added is read by the model at once."""
    build_knn_index(store, tiny)
    with lodex.open(store.path, language_models={"tiny": tiny}) as opened:
        opened.add([Document("new", "blue fish")])
    assert KnnIndex(store.snapshot()).segments_ok == 2


def test_the_command_builds_and_updates(
    store: Store, tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`lodex index knn` says what it keeps and how to name the model; `update` covers what was added."""

    def run(*words: object) -> int:
        monkeypatch.setattr("sys.argv", ["lodex", "index", *map(str, words)])
        with pytest.raises(SystemExit) as exited:
            main()
        return int(exited.value.code or 0)

    folder = tmp_path / "by-folder"
    shutil.copytree(tiny, folder)
    assert run("knn", store.path, "--model", folder, "--window", 8, "--stride", 2) == 0
    printed = capsys.readouterr().out
    assert "knn: knn over 1 segment" in printed
    assert "keys of 16 numbers, windows of 8 tokens every 2" in printed
    assert f"--language-model-folder by-folder={folder}" in printed
    store.add([Document("new", "blue fish")])
    assert run("update", store.path, "--language-model-folder", f"by-folder={folder}") == 0
    assert "knn: knn over 2 segments" in capsys.readouterr().out
    assert run("knn", store.path, "--model", folder, "--window", 99) == 1
    assert "window_tokens is 99" in capsys.readouterr().err
