"""Converting llama2.c models: against the published text and a plain forward of the file's own layout."""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from lodex.embed.decoder import Decoder
from lodex.embed.formats.llama2c import Llama2cHeader, convert_llama2c, read_llama2c
from lodex.errors import AlreadyExistsError, InvalidArgumentError
from tests.embed.conftest import DATA

# What karpathy/llama2.c (MIT) expects of `run stories260K.bin -z tok512.bin -t 0.0 -n 200`, test_all.py.
PUBLISHED = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
    "big, red ball. She wanted to play with it, but it was too high.\n"
    "Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do. She said, \"I want to "
    "play with your ball, but I can't find it.\"\n"
    "Lily was sad and didn't know what to do. She said, \"I'm sorry, Lily. I didn't know what to do.\"\n"
    "Lily didn't want to help her mom, so she"
)
SIZES = {"dim": 16, "hidden_dim": 24, "layers": 2, "heads": 4, "kv_heads": 2, "vocab": 12, "seq_len": 10}
PIECES = ["<unk>", "<s>", "</s>", "\u2581", "a", "b", "c", "ab", "\u2581a", "abc", "bc", "cc"]
Array = npt.NDArray[np.float64]


def write_model(path: Path, tied: bool, seed: int = 3, **changes: int) -> Llama2cHeader:
    """A random model in the file's layout."""
    header = Llama2cHeader(**(SIZES | changes), is_tied=tied)
    random = np.random.default_rng(seed)
    parts = [random.normal(0, 0.5, shape).astype("<f4") for _, shape in header.shapes()]
    numbers = list((SIZES | changes).values())
    numbers[5] *= 1 if tied else -1
    path.write_bytes(struct.pack("<7i", *numbers) + b"".join(part.tobytes() for part in parts))
    return header


def write_vocab(path: Path) -> Path:
    path.write_text("".join(f"{piece}\t{-i}\n" for i, piece in enumerate(PIECES)))
    return path


def plain_logits(path: Path, ids: list[int]) -> Array:
    """The forward of run.c in float64: rotary pairs are neighbours, one position and one head at a time."""
    header, tensors = read_llama2c(path)
    w = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    size, groups = header.dim // header.heads, header.heads // header.kv_heads

    def norm(x: Array, weight: Array) -> Array:
        return weight * x / np.sqrt((x * x).mean() + 1e-5)

    def turn(x: Array, position: int) -> Array:
        y = x.copy()
        for i in range(0, len(x), 2):
            angle = position * 10000.0 ** (-(i % size) / size)
            y[i] = x[i] * np.cos(angle) - x[i + 1] * np.sin(angle)
            y[i + 1] = x[i] * np.sin(angle) + x[i + 1] * np.cos(angle)
        return y

    keys: list[list[Array]] = [[] for _ in range(header.layers)]
    values: list[list[Array]] = [[] for _ in range(header.layers)]
    rows = []
    for position, token in enumerate(ids):
        x = w["embedding"][token]
        for i in range(header.layers):
            h = norm(x, w["attention_norm"][i])
            q = turn(w["wq"][i] @ h, position)
            keys[i].append(turn(w["wk"][i] @ h, position))
            values[i].append(w["wv"][i] @ h)
            gathered = []
            for head in range(header.heads):
                part, shared = (slice(n * size, (n + 1) * size) for n in (head, head // groups))
                scores = np.array([q[part] @ key[shared] for key in keys[i]]) / np.sqrt(size)
                shares = np.exp(scores - scores.max())
                shares /= shares.sum()
                gathered.append(sum(share * value[shared] for share, value in zip(shares, values[i], strict=True)))
            x = x + w["wo"][i] @ np.concatenate(gathered)
            h = norm(x, w["mlp_norm"][i])
            gate = w["w1"][i] @ h
            x = x + w["w2"][i] @ (gate / (1 + np.exp(-gate)) * (w["w3"][i] @ h))
        rows.append((w["embedding"] if header.is_tied else w["head"]) @ norm(x, w["norm"]))
    return np.array(rows)


def logits(decoder: Decoder, ids: list[int]) -> Array:
    return decoder.logits(decoder.forward(torch.tensor([ids])).hidden)[0].double().numpy()


def greedy(decoder: Decoder, tokens: int) -> list[int]:
    ids, states = [decoder.start_id], decoder.forward(torch.tensor([[decoder.start_id]]), keep_past=True)
    for _ in range(tokens):
        ids.append(int(decoder.logits(states.hidden[0, -1]).argmax()))
        states = decoder.forward(torch.tensor([ids[-1:]]), past=states.past, keep_past=True)
    return ids[1:]


def test_stories260k_tells_its_published_story(stories: Path) -> None:
    """Greedy decoding from BOS gives the text that the upstream project's own test expects."""
    ids = greedy(Decoder.open(stories), 200)
    assert Tokenizer.from_file(str(stories / "tokenizer.json")).decode(ids) == PUBLISHED


def test_stories260k_has_the_logits_of_its_file(stories: Path) -> None:
    """The converted model equals run.c's forward over the original file."""
    ids = [1, 403, 407, 261, 378, 400, 511, 3, 77]
    expected = plain_logits(DATA / "decoder_stories260k/stories260K.bin", ids)
    np.testing.assert_allclose(logits(Decoder.open(stories), ids), expected, atol=1e-4)


@pytest.mark.parametrize("tokenizer", ["tok105.model", "tok105.vocab"])
def test_babyllama_converts_and_runs(tmp_path: Path, tokenizer: str) -> None:
    """The second trained model, with either form of its vocabulary, equals its file and writes English."""
    source = DATA / "decoder_babyllama105"
    if not source.is_dir():
        pytest.skip("no decoder_babyllama105: set LODEX_DATA")
    convert_llama2c(source / "model5000.bin", source / tokenizer, tmp_path / "baby")
    decoder = Decoder.open(tmp_path / "baby")
    ids = greedy(decoder, 60)
    text = Tokenizer.from_file(str(tmp_path / "baby/tokenizer.json")).decode(ids)
    assert text == "Once upon a time, there was a little girl named Lily. She l"
    expected = plain_logits(source / "model5000.bin", [1, *ids[:7]])
    np.testing.assert_allclose(logits(decoder, [1, *ids[:7]]), expected, atol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_random_models_have_the_logits_of_their_files(tmp_path: Path, tied: bool, kv_heads: int) -> None:
    """With a head of its own or the embedding's, and any number of key-value heads."""
    write_model(tmp_path / "m.bin", tied, kv_heads=kv_heads)
    convert_llama2c(tmp_path / "m.bin", write_vocab(tmp_path / "t.vocab"), tmp_path / "out")
    decoder = Decoder.open(tmp_path / "out")
    ids = [1, 5, 11, 3, 3, 8, 2]
    np.testing.assert_allclose(logits(decoder, ids), plain_logits(tmp_path / "m.bin", ids), atol=2e-4)
    assert (decoder.start_id, decoder.eos_ids, decoder.max_tokens) == (1, (2,), 10)


def test_the_folder_is_one_of_transformers(tmp_path: Path) -> None:
    """Transformers opens the tokenizer with its special tokens and its length."""
    write_model(tmp_path / "m.bin", True)
    convert_llama2c(tmp_path / "m.bin", write_vocab(tmp_path / "t.vocab"), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.model_max_length) == ("<s>", "</s>", 10)
    assert tokenizer("abc")["input_ids"] == [1, 3, 9]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda data: data[:20], r"20 bytes, a llama2\.c header alone has 28"),
        (lambda data: b"", "0 bytes"),
        (lambda data: data[:-4], r"expected [\d,]+ for a llama2\.c model"),
        (lambda data: data[:-1], "expected"),
        (lambda data: data + b"\0\0\0\0", "expected"),
        (lambda data: struct.pack("<i", 0) + data[4:], "does not begin with"),
        (lambda data: struct.pack("<i", 18) + data[4:], "does not begin with"),
        (lambda data: data[:16] + struct.pack("<i", 3) + data[20:], "does not begin with"),
        (lambda data: data[:8] + struct.pack("<i", 2**31 - 1) + data[12:], "expected"),
        (lambda data: b"\x89PNG" + data[4:], "does not begin with|expected"),
        (lambda data: data[:-4] + struct.pack("<f", float("nan")), "no finite numbers"),
    ],
)
def test_what_is_no_model_file_is_refused(tmp_path: Path, change, complaint: str) -> None:
    """Too short, too long, or with a header that cannot be one: the sizes are told, and no folder is left."""
    write_model(tmp_path / "m.bin", True)
    path = tmp_path / "m.bin"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InvalidArgumentError, match=complaint) as caught:
        convert_llama2c(path, write_vocab(tmp_path / "t.vocab"), tmp_path / "out")
    assert "m.bin" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_tied_file_read_as_untied_has_another_size(tmp_path: Path) -> None:
    """The sign of the vocabulary is believed, and the size of the file must agree."""
    write_model(tmp_path / "m.bin", True)
    data = (tmp_path / "m.bin").read_bytes()
    (tmp_path / "m.bin").write_bytes(data[:20] + struct.pack("<i", -12) + data[24:])
    with pytest.raises(InvalidArgumentError, match=f"{len(data):,} bytes, expected {len(data) + 12 * 16 * 4:,}"):
        read_llama2c(tmp_path / "m.bin")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A folder that is there stays as it is."""
    write_model(tmp_path / "m.bin", True)
    with pytest.raises(AlreadyExistsError):
        convert_llama2c(tmp_path / "m.bin", write_vocab(tmp_path / "t.vocab"), tmp_path)
