"""Decoders as embedders: against transformers and plain pooling, sentence-transformers, and other batches."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import AutoConfig, AutoModel

from lodex.embed.backbones.config import MODEL_TYPES
from lodex.embed.formats.embedder import read_embedder
from lodex.embed.formats.embedder_folder import make_embedder
from lodex.embed.registry import load_encoder
from lodex.errors import AlreadyExistsError, InvalidArgumentError
from lodex.types import TextKind
from tests.embed.conftest import MakeDecoder, save_byte_tokenizer, write_json

TEXTS = ["the cat sat", "", "a", "naïve \U0001f600", "the cat sat on the mat and looked", "the cat sat"]


def plain_vectors(
    folder: Path, texts: list[str], pooling: str, causal: bool, length: int = 24
) -> npt.NDArray[np.float32]:
    """Each text alone, by transformers: bytes between <s> and, for the last token, </s>, cut before that."""
    config = AutoConfig.from_pretrained(folder)
    config.is_causal = causal
    model = AutoModel.from_pretrained(folder, config=config, dtype=torch.float32).eval()
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    letters = byte_letters()
    rows = []
    for text in texts:
        ids = [0, *(vocabulary[letters[byte]] for byte in text.encode())]
        ids = [*ids[: length - 1], 1] if pooling == "last" else ids[:length]
        with torch.no_grad():
            hidden = model(torch.tensor([ids])).last_hidden_state[0]
        rows.append(torch.nn.functional.normalize(hidden[-1] if pooling == "last" else hidden.mean(0), dim=0).numpy())
    return np.stack(rows)


def byte_letters() -> list[str]:
    """GPT-2's letters for bytes: printable ones are themselves, the others come after U+00FF in order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) if byte in plain else chr(256 + others.index(byte)) for byte in range(256)]


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_vectors_are_those_of_transformers(
    make_decoder: MakeDecoder, tmp_path: Path, model_type: str, pooling: str, bidirectional: bool
) -> None:
    """Every sort of decoder, attention and pooling gives the plain computation of one text at a time."""
    decoder = make_decoder(model_type)
    info = make_embedder(decoder, tmp_path / "e", bidirectional=bidirectional, pooling=pooling)
    encoder = load_encoder(tmp_path / "e")
    assert encoder.info == info
    assert (info.name, info.dimension, info.max_tokens, info.normalized) == ("e", 32, 24, True)
    result = encoder.embed([*TEXTS, "x" * 60], TextKind.PASSAGE)
    expected = plain_vectors(decoder, [*TEXTS, "x" * 60], pooling, not bidirectional)
    assert result.vectors.dtype == np.float32
    np.testing.assert_allclose(result.vectors, expected, atol=1e-5)
    assert result.truncated.tolist() == [False] * 4 + [True, False, True]


def test_a_plain_decoder_is_causal_and_averaged(make_decoder: MakeDecoder) -> None:
    """A folder that says nothing of embedding is opened by load_encoder as it stands."""
    folder = make_decoder()
    encoder = load_encoder(folder)
    assert encoder.info.name == "decoder"
    np.testing.assert_allclose(
        encoder.embed_queries(TEXTS).vectors, plain_vectors(folder, TEXTS, "mean", True), atol=1e-5
    )


def test_a_sliding_window_is_taken_off_with_the_causal_mask(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """A bidirectional embedder of a decoder with a window of 3 has the vectors of one without."""
    plain, windowed = (
        make_decoder("mistral", "plain", sliding_window=None),
        make_decoder("mistral", "w", sliding_window=3),
    )
    for folder in (plain, windowed):
        make_embedder(folder, tmp_path / f"{folder.name}-e", bidirectional=True)
    one, two = (load_encoder(tmp_path / f"{name}-e").embed_queries(TEXTS).vectors for name in ("plain", "w"))
    np.testing.assert_array_equal(one, two)
    causal = load_encoder(windowed).embed_queries(TEXTS).vectors
    np.testing.assert_allclose(causal, plain_vectors(windowed, TEXTS, "mean", True), atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_vector_does_not_depend_on_its_batch_nor_on_cores(stories: Path, tmp_path: Path, bidirectional: bool) -> None:
    """Bit for bit the same alone, among others in any order, and with another number of threads."""
    make_embedder(stories, tmp_path / "e", bidirectional=bidirectional)
    encoder = load_encoder(tmp_path / "e")
    texts = [" ".join(["word"] * n) for n in (0, 1, 2, 3, 5, 8, 13, 40, 100)] * 3 + TEXTS
    together = encoder.embed(texts, TextKind.PASSAGE).vectors
    backwards = encoder.embed(texts[::-1], TextKind.PASSAGE).vectors[::-1]
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        other = load_encoder(tmp_path / "e")
    finally:
        torch.set_num_threads(threads)
    alone = np.concatenate([other.embed([text], TextKind.PASSAGE).vectors for text in texts[:9] + TEXTS])
    np.testing.assert_array_equal(together, backwards)
    np.testing.assert_array_equal(np.concatenate([together[:9], together[27:]]), alone)


def test_prompts_are_put_before_texts_of_their_kind(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """A folder made with prompts embeds a query as prompt and text, and a passage with that of passages."""
    folder = make_decoder()
    make_embedder(folder, tmp_path / "e", query_prompt="q: ", passage_prompt="p: ")
    plain, prompted = load_encoder(folder), load_encoder(tmp_path / "e")
    expected = plain.embed_queries(["q: cat", "p: cat"]).vectors
    np.testing.assert_array_equal(prompted.embed_queries(["cat"]).vectors[0], expected[0])
    np.testing.assert_array_equal(prompted.embed_passages(["cat"]).vectors[0], expected[1])


def test_the_length_is_what_is_stated_within_the_positions(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """A shorter length holds, a longer one is refused, and a tokenizer's endless one is cut to the positions."""
    folder = make_decoder()
    write_json(folder / "tokenizer_config.json", {"model_max_length": 10**30})
    assert load_encoder(folder).info.max_tokens == 24
    assert make_embedder(folder, tmp_path / "short", max_tokens=5).max_tokens == 5
    assert load_encoder(tmp_path / "short").embed_queries(["abcdef", "abcd"]).truncated.tolist() == [True, False]
    for length in (25, 0, -1):
        with pytest.raises(InvalidArgumentError, match=f"max_tokens is {length}, the decoder reads 1 to 24"):
            make_embedder(folder, tmp_path / "long", max_tokens=length)


def test_each_convention_has_its_own_fingerprint(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """Attention, pooling, length, prompts, tokenizer and weights are in it; the name and the place are not."""
    folder = make_decoder()
    options: list[dict[str, object]] = [
        {},
        {"bidirectional": True},
        {"pooling": "last"},
        {"max_tokens": 9},
        {"query_prompt": "q"},
        {"passage_prompt": "q"},
    ]
    prints = [make_embedder(folder, tmp_path / str(i), **option).fingerprint for i, option in enumerate(options)]  # type: ignore[arg-type]
    save_byte_tokenizer(tmp_path / "0/tokenizer.json", end=True)
    prints.append(load_encoder(tmp_path / "0").info.fingerprint)
    assert len(set(prints)) == len(prints)
    assert load_encoder(folder).info.fingerprint == make_embedder(folder, tmp_path / "again").fingerprint


def test_a_decoder_that_changed_is_another_embedder(make_decoder: MakeDecoder) -> None:
    """One bit of the weights changes the fingerprint."""
    folder = make_decoder()
    before = read_embedder(folder, "x").fingerprint
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    assert read_embedder(folder, "x").fingerprint != before


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pooling 'max' is not one of mean, cls"),
        ("1_Pooling/config.json", {"pooling_mode": "max"}, "pooling 'max'"),
        ("modules.json", [{"path": "", "type": "a.Transformer"}, {"path": "2", "type": "a.Dense"}], "Dense"),
        ("config.json", {"model_type": "mixtral"}, "mixtral has mixtures of experts"),
        ("config.json", {"model_type": "gpt2"}, "model_type is 'gpt2', expected one of"),
        ("config.json", {"model_type": "t5"}, "model_type is 't5', expected one of"),
        ("lodex.json", {"pooled": "mean"}, "expected fields among adds_end"),
        ("lodex.json", {"instruction_mask": "all"}, "instruction_mask is 'all', expected one of none, exact"),
    ],
)
def test_what_lodex_cannot_run_is_refused(
    make_decoder: MakeDecoder, tmp_path: Path, file: str, content: object, complaint: str
) -> None:
    """Other poolings, further layers and other models are told by their file, rather than run wrongly."""
    make_embedder(make_decoder(), tmp_path / "e")
    write_json(tmp_path / "e" / file, content)
    with pytest.raises(InvalidArgumentError, match=complaint):
        load_encoder(tmp_path / "e")


def test_a_decoder_without_tokenizer_is_no_embedder(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """The file is named, when opening and when making an embedder."""
    folder = make_decoder()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InvalidArgumentError, match=r"no tokenizer\.json"):
        load_encoder(folder)
    with pytest.raises(InvalidArgumentError, match=r"no tokenizer\.json"):
        make_embedder(folder, tmp_path / "e")


def test_the_last_token_needs_an_end(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """A decoder without EOS whose tokenizer has none either cannot be pooled by its end, and leaves no folder."""
    folder = make_decoder("qwen2", eos_token_id=None)
    with pytest.raises(InvalidArgumentError, match="no eos_token_id"):
        make_embedder(folder, tmp_path / "e", pooling="last")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoder"]


def test_nothing_is_written_over(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """A folder that is there stays as it is; an unknown pooling is named."""
    folder = make_decoder()
    with pytest.raises(AlreadyExistsError):
        make_embedder(folder, folder)
    with pytest.raises(InvalidArgumentError, match="pooling 'max' is not one of mean, last"):
        make_embedder(folder, tmp_path / "e", pooling="max")


def test_weights_are_linked_not_copied(make_decoder: MakeDecoder, tmp_path: Path) -> None:
    """Where the file system allows, an embedder takes no further room, and outlives the decoder's folder."""
    folder = make_decoder()
    make_embedder(folder, tmp_path / "e")
    assert (tmp_path / "e/model.safetensors").samefile(folder / "model.safetensors")
    assert not (tmp_path / "e/model.safetensors").is_symlink()


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_sentence_transformers_reads_the_folder_alike(
    make_decoder: MakeDecoder, tmp_path: Path, pooling: str, bidirectional: bool
) -> None:
    """The folder that is written gives the same vectors there, with padding and all; the tokenizer adds the end."""
    peer = pytest.importorskip("sentence_transformers")
    folder = make_decoder()
    save_byte_tokenizer(folder / "tokenizer.json", end=True)
    tokens = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "</s>", "eos_token": "</s>"}
    write_json(folder / "tokenizer_config.json", tokens)
    make_embedder(folder, tmp_path / "e", bidirectional=bidirectional, pooling=pooling, query_prompt="q: ")
    model = peer.SentenceTransformer(str(tmp_path / "e"), device="cpu")
    ours = load_encoder(tmp_path / "e")
    texts = [*TEXTS, "x" * 60]
    np.testing.assert_allclose(ours.embed_passages(texts).vectors, model.encode(texts), atol=2e-5)
    expected = model.encode(texts, prompt_name="query")
    np.testing.assert_allclose(ours.embed_queries(texts).vectors, expected, atol=2e-5)
