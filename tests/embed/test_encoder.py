"""The encoder: against BERT written out in numpy, against published scores, and against itself in other batches."""

import csv
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from lodex.embed.encoder import TextEncoder
from lodex.embed.registry import encoder_folder, load_encoder
from lodex.errors import DataLossError, InvalidArgumentError
from lodex.types import TextKind

DATA = Path(os.environ.get("LODEX_DATA", Path(__file__).resolve().parents[2] / "../shared/data"))
TEXTS = [
    "How do I read a file line by line?",
    "",
    "The quick brown fox jumps over the lazy dog. " * 4,
    "naïve café 中文 \U0001f600",
    "Return the number of non-overlapping occurrences of substring sub in string S[start:end].",
    "cat",
]


def plain_bert(folder: Path, max_tokens: int, heads: int, texts: list[str]) -> npt.NDArray[np.float64]:
    """BERT with mean pooling in float64, one text at a time, from the paper (arXiv:1810.04805) and the weights."""
    weights = {key: value.astype(np.float64) for key, value in load_file(folder / "model.safetensors").items()}
    return np.stack([plain_vector(weights, tokens(folder, text, max_tokens), heads) for text in texts])


def tokens(folder: Path, text: str, max_tokens: int) -> list[int]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer.encode(text).ids


def plain_vector(weights: dict[str, npt.NDArray[np.float64]], ids: list[int], heads: int) -> npt.NDArray[np.float64]:
    def linear(x: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float64]:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float64]:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * weights[f"{name}.LayerNorm.weight"] + weights[f"{name}.LayerNorm.bias"]

    def split(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return x.reshape(len(ids), heads, -1).transpose(1, 0, 2)  # (heads, T, H / heads)

    table = {part: weights[f"embeddings.{part}_embeddings.weight"] for part in ("word", "position", "token_type")}
    x = norm(table["word"][ids] + table["position"][: len(ids)] + table["token_type"][0], "embeddings")  # (T, H)
    for i in range(sum(key.endswith("self.query.weight") for key in weights)):
        layer = f"encoder.layer.{i}"
        query, key, value = (split(linear(x, f"{layer}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        attended = (shares @ value).transpose(1, 0, 2).reshape(x.shape)
        x = norm(x + linear(attended, f"{layer}.attention.output.dense"), f"{layer}.attention.output")
        inner = linear(x, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + torch.erf(torch.from_numpy(inner) / np.sqrt(2)).numpy())
        x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output")
    pooled = x.mean(0)
    return pooled / np.linalg.norm(pooled)


def test_minilm_equals_bert_written_out(minilm: TextEncoder) -> None:
    """Cosine to a plain float64 forward above 0.99999, for empty, short, longer and non-English texts."""
    result = minilm.embed(TEXTS, TextKind.PASSAGE)
    expected = plain_bert(encoder_folder("minilm"), 256, 12, TEXTS)
    assert result.vectors.dtype == np.float32
    assert ((result.vectors * expected).sum(1) > 0.99999).all()
    np.testing.assert_allclose(np.linalg.norm(result.vectors, axis=1), 1, atol=1e-6)


def test_a_local_folder_equals_bert_written_out(tiny_bert: Path) -> None:
    """The same holds for a random model opened by its path."""
    texts = ["the cats sat on the mat.", "", "dog " * 30]
    result = load_encoder(tiny_bert).embed(texts, TextKind.QUERY)
    expected = plain_bert(tiny_bert, 12, 4, texts)
    np.testing.assert_allclose(result.vectors, expected, atol=1e-6)
    assert result.tokens == 10 + 2 + 12


def test_a_vector_does_not_depend_on_its_batch_nor_on_cores(minilm: TextEncoder) -> None:
    """Bit for bit the same alone, among others in any order, and with another number of threads."""
    texts = [" ".join(["word"] * n) for n in (0, 1, 2, 3, 5, 8, 13, 40, 100)] * 3 + TEXTS
    together = minilm.embed(texts, TextKind.PASSAGE).vectors
    backwards = minilm.embed(texts[::-1], TextKind.PASSAGE).vectors[::-1]
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        other = load_encoder("minilm")
    finally:
        torch.set_num_threads(threads)
    alone = np.concatenate([other.embed([text], TextKind.PASSAGE).vectors for text in texts[:9] + TEXTS])
    np.testing.assert_array_equal(together, backwards)
    np.testing.assert_array_equal(np.concatenate([together[:9], together[27:]]), alone)


def test_a_text_over_the_limit_is_cut_and_marked(minilm: TextEncoder) -> None:
    """254 words fill the 256 tokens that MiniLM reads; what follows changes the mark and not the vector."""
    result = minilm.embed(["word " * 254, "word " * 255, "word " * 254 + "other"], TextKind.PASSAGE)
    assert result.truncated.tolist() == [False, True, True]
    assert result.tokens == 3 * 256
    np.testing.assert_array_equal(result.vectors[1], result.vectors[0])
    np.testing.assert_array_equal(result.vectors[2], result.vectors[0])


def test_tokens_are_counted_text_by_text(minilm: TextEncoder) -> None:
    """What the model read of each text, special tokens included."""
    result = minilm.embed(["", "cat", "word " * 300], TextKind.PASSAGE)
    assert result.token_counts.tolist() == [2, 3, 256]
    assert result.tokens == 261


def test_rows_of_tokens_have_the_vectors_of_their_texts(minilm: TextEncoder) -> None:
    """By one forward or by many, in the order of the rows, whatever the size of a batch."""
    texts = TEXTS * 5
    expected = minilm.embed(texts, TextKind.PASSAGE).vectors
    rows = minilm.tokenize(texts, TextKind.PASSAGE)
    np.testing.assert_array_equal(minilm.embed_tokens(rows), expected)
    other = load_encoder("minilm")
    assert other.tune(0.01) == other.max_batch_tokens
    np.testing.assert_array_equal(other.embed_rows(rows), expected)
    assert minilm.embed_tokens([]).shape == (0, 384)


def test_a_text_that_is_not_unicode_leaves_the_others(minilm: TextEncoder) -> None:
    """`tokenize` has the error in the place of its text, and `embed` raises it."""
    rows = minilm.tokenize(["cat", "\ud800"], TextKind.QUERY)
    assert isinstance(rows[1], InvalidArgumentError)
    np.testing.assert_array_equal(minilm.embed_tokens(rows[:1]), minilm.embed_queries(["cat"]).vectors)
    with pytest.raises(InvalidArgumentError, match="text 1 is not valid Unicode"):
        minilm.embed_queries(["cat", "\ud800"])


def test_an_instruction_is_refused_where_the_model_takes_none(minilm: TextEncoder) -> None:
    """MiniLM reads queries as they are."""
    with pytest.raises(InvalidArgumentError, match="takes no instruction"):
        minilm.embed_queries(["cat"], instruction="find cats")


def test_kinds_may_be_said_by_name(minilm: TextEncoder) -> None:
    """And are refused where there is no such kind; a lone text is no sequence of texts."""
    by_name = minilm.embed(["a text"], "query")  # type: ignore[arg-type]  # as clients say it
    np.testing.assert_array_equal(by_name.vectors, minilm.embed(["a text"], TextKind.QUERY).vectors)
    with pytest.raises(InvalidArgumentError, match="kind is 'nonsense', expected 'query' or 'passage'"):
        minilm.embed(["a text"], "nonsense")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="texts is str, expected a sequence of texts"):
        minilm.embed("a text", TextKind.QUERY)


def test_an_unknown_precision_is_refused() -> None:
    """The message has those there are."""
    with pytest.raises(InvalidArgumentError, match="float32, bfloat16, auto"):
        load_encoder("minilm", precision="float16")


@pytest.fixture(scope="module")
def rounded() -> TextEncoder:
    """MiniLM in bfloat16."""
    return load_encoder("minilm", precision="bfloat16")


def test_bfloat16_gives_nearly_the_same_vectors(minilm: TextEncoder, rounded: TextEncoder) -> None:
    """A cosine of 0.999 for each text; vectors are float32 of length 1, and the fingerprint is the model's."""
    assert (minilm.precision, rounded.precision) == ("float32", "bfloat16")
    vectors = rounded.embed(TEXTS, TextKind.PASSAGE).vectors
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert ((vectors * minilm.embed(TEXTS, TextKind.PASSAGE).vectors).sum(1) > 0.999).all()
    assert rounded.info == minilm.info


def test_in_bfloat16_too_a_vector_does_not_depend_on_its_batch(rounded: TextEncoder) -> None:
    """Bit for bit alone and among others, in batches for which oneDNN adds up in different orders."""
    texts = [" ".join(["word"] * n) for n in (0, 1, 2, 3, 5, 8, 13, 40, 100, 250)] * 4 + TEXTS
    together = rounded.embed(texts, TextKind.PASSAGE).vectors
    alone = np.concatenate([rounded.embed([text], TextKind.PASSAGE).vectors for text in texts[30:]])
    np.testing.assert_array_equal(together[30:], alone)
    np.testing.assert_array_equal(rounded.embed(texts[::-1], TextKind.PASSAGE).vectors[::-1], together)


def test_the_precision_is_chosen_by_cosines() -> None:
    """Asked for "auto", an encoder says what it took and why."""
    encoder = load_encoder("minilm", precision="auto")
    report = encoder.precision_report
    assert report is not None
    assert report.precision == encoder.precision
    assert report.cosine_min >= 0.999
    assert report.reason


def test_no_texts_give_no_vectors(minilm: TextEncoder) -> None:
    """An empty list is answered by an array of no rows and the right width."""
    result = minilm.embed([], TextKind.QUERY)
    assert result.vectors.shape == (0, 384)
    assert result.truncated.shape == (0,)
    assert result.tokens == 0


def test_progress_counts_every_text(tiny_bert: Path) -> None:
    """The numbers given to `advance` add up to the number of texts."""
    done: list[int] = []
    load_encoder(tiny_bert).embed_passages(["the cat", "", "dog", "the dog"], done.append)
    assert sum(done) == 4


def test_prompts_are_put_before_texts_of_their_kind(tiny_bert: Path) -> None:
    """A folder with prompts embeds a query as prompt and text, and a passage with the prompt of passages."""
    plain = load_encoder(tiny_bert)
    prompts = '{"prompts": {"query": "query : ", "document": "passage : "}}'
    (tiny_bert / "config_sentence_transformers.json").write_text(prompts)
    prompted = load_encoder(tiny_bert)
    expected = plain.embed(["query : cat", "passage : cat"], TextKind.QUERY).vectors
    np.testing.assert_array_equal(prompted.embed_queries(["cat"]).vectors[0], expected[0])
    np.testing.assert_array_equal(prompted.embed_passages(["cat"]).vectors[0], expected[1])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda weights: weights.pop("encoder.layer.1.output.dense.bias"),
            r"Missing key.*layer\.1\.output\.dense\.bias",
        ),
        (lambda weights: weights.update({"encoder.layer.2.more": np.zeros(1)}), r"Unexpected key.*layer\.2\.more"),
        (
            lambda weights: weights.update({"embeddings.word_embeddings.weight": np.zeros((3, 32))}),
            r"size mismatch for embeddings\.word",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(tiny_bert: Path, change, complaint: str) -> None:
    """A missing, surplus or misshapen weight is an error: no part of the model stays random unnoticed."""
    weights = load_file(tiny_bert / "model.safetensors")
    change(weights)
    save_file(weights, tiny_bert / "model.safetensors")
    with pytest.raises(InvalidArgumentError, match=f"(?s){complaint}"):
        load_encoder(tiny_bert)


def test_a_damaged_weights_file_is_data_loss(tiny_bert: Path) -> None:
    """A file cut short is refused before anything is computed with it."""
    data = (tiny_bert / "model.safetensors").read_bytes()
    (tiny_bert / "model.safetensors").write_bytes(data[:-100])
    with pytest.raises(DataLossError, match="cannot be read"):
        load_encoder(tiny_bert)


@pytest.mark.parametrize("device", ["cpux", "cuda:99"])
def test_a_device_that_is_not_there_is_named(tiny_bert: Path, device: str) -> None:
    """A wrong or absent device is wrong input."""
    with pytest.raises(InvalidArgumentError, match=device) as caught:
        load_encoder(tiny_bert, device)
    assert caught.value.field == "device"


@pytest.mark.slow
@pytest.mark.parametrize(("split", "published"), [("dev", 0.8672), ("test", 0.8203)])
def test_minilm_reaches_its_published_score(minilm: TextEncoder, split: str, published: float) -> None:
    """Spearman correlation with human similarity on STS-B, as published for all-MiniLM-L6-v2."""
    path = DATA / f"sts_benchmark_en/stsb-en-{split}.csv"
    if not path.exists():
        pytest.skip("no STS-B: set LODEX_DATA")
    with path.open(newline="") as file:
        rows = [(first, second, float(score)) for first, second, score in csv.reader(file)]
    left, right = (minilm.embed([row[side] for row in rows], TextKind.QUERY).vectors for side in (0, 1))
    stats = pytest.importorskip("scipy.stats")
    correlation = stats.spearmanr((left * right).sum(1), [row[2] for row in rows]).statistic
    assert correlation == pytest.approx(published, abs=5e-5)
