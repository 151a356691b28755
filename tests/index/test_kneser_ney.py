"""Kneser-Ney: every probability from the formulas over dictionaries of n-grams, sums to one, and real text."""

import csv
import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.errors import DataLossError, FailedPreconditionError, InvalidArgumentError
from lodex.index.build import build_index
from lodex.index.kneser_ney import FALLBACK_DISCOUNTS, KneserNey, modified_discounts
from lodex.index.kneser_ney_counts import SortedPart
from lodex.index.kneser_ney_parts import fit_kneser_ney
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import encode_offsets, offset_width
from lodex.types import Document

Ids = tuple[int, ...]
ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LODEX_DATA", ROOT.parent / "shared" / "data"))
EOS = 3
VOCAB = 8

# ------------------------------------------------------------------------------------------ the oracle


class Formulas:
    """The model as Chen and Goodman write it, over dictionaries of all n-grams of all documents."""

    def __init__(self, documents: Sequence[Ids], order: int, vocab_size: int = VOCAB, eos: int = EOS) -> None:
        self.order, self.vocab_size, self.eos = order, vocab_size, eos
        texts = [(eos, *document, eos) for document in documents]
        occurrences = {
            n: Counter(text[i : i + n] for text in texts for i in range(n == 1, len(text) - n + 1))
            for n in range(1, order + 1)
        }
        self.counts: dict[int, dict[Ids, int]] = {order: dict(occurrences[order])}
        for n in range(1, order):
            before = defaultdict(set)
            for longer in occurrences[n + 1]:
                before[longer[1:]].add(longer[0])
            self.counts[n] = {g: occurrences[n][g] if n > 1 and g[0] == eos else len(before[g]) for g in occurrences[n]}
        self.discounts = {n: self._discounts(list(self.counts[n].values())) for n in self.counts}
        self._weights: dict[Ids, tuple[int, float]] = {}
        self.followers: dict[Ids, list[int]] = defaultdict(list)
        for n in self.counts:
            for g, count in self.counts[n].items():
                self.followers[g[:-1]].append(count)

    @staticmethod
    def _discounts(counts: list[int]) -> tuple[float, float, float]:
        n1, n2, n3, n4 = (counts.count(c) for c in (1, 2, 3, 4))
        if n1 == 0 or n2 == 0 or n3 == 0:
            return 0.5, 1.0, 1.5
        y = n1 / (n1 + 2 * n2)
        d1, d2, d3 = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
        return (d1, d2, d3) if d1 > 0 and d2 > 0 and d3 > 0 else (0.5, 1.0, 1.5)

    def context(self, prompt: Ids) -> Ids:
        """The tokens that count: those from the last EOS on, at most order - 1."""
        while self.eos in prompt[1:]:
            prompt = prompt[1:]
        return prompt[max(0, len(prompt) - self.order + 1) :]

    def prob(self, prompt: Ids, token: int) -> float:
        """The probability of a token after a prompt."""
        return self._prob(self.context(prompt), token)

    def _prob(self, h: Ids, w: int) -> float:
        lower = self._prob(h[1:], w) if h else 1 / self.vocab_size
        if not (counts := self.followers.get(h)):
            return lower
        n = len(h) + 1
        a = self.counts[n].get((*h, w), 0)
        if h not in self._weights:
            ones, twos, more = counts.count(1), counts.count(2), sum(c >= 3 for c in counts)
            self._weights[h] = sum(counts), float(np.dot(self.discounts[n], (ones, twos, more)))
        total, left = self._weights[h]
        return (a - (0.0, *self.discounts[n])[min(a, 3)]) / total + left / total * lower


def part_of(documents: Sequence[Ids], sign: int = 1, dtype: Any = np.uint16) -> SortedPart:
    separator = np.iinfo(dtype).max
    tokens = np.array([token for document in documents for token in (separator, *document)], dtype)
    return SortedPart(tokens, encode_offsets(suffix_array(tokens), tokens.itemsize, offset_width(tokens.nbytes)), sign)


def fit(documents: Sequence[Ids], order: int, **options: Any) -> KneserNey:
    return KneserNey.fit([part_of(documents)], VOCAB, EOS, order, **options)


def assert_same(model: KneserNey, plain: Formulas, prompts: Sequence[Ids], text: Ids) -> None:
    """Every probability of every method is that of the formulas."""
    for n in range(1, plain.order + 1):
        assert model.discounts[n - 1].tolist() == pytest.approx(plain.discounts[n], rel=1e-14)
    vocabulary = range(plain.vocab_size)
    for prompt in prompts:
        expected = [plain.prob(prompt, token) for token in vocabulary]
        found = model.distribution(prompt)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert abs(found.sum() - 1) < 1e-12
        np.testing.assert_allclose(
            model.prob([prompt] * len(vocabulary), [[token] for token in vocabulary]), expected, rtol=1e-12
        )
    after = [plain.prob((plain.eos, *text[:i]), text[i]) for i in range(len(text))]
    np.testing.assert_allclose(model.score(text), np.log(after), rtol=1e-12, atol=1e-12)
    if text:
        ends = [text[:i] for i in range(1, len(text) + 1)]
        products = np.cumprod(after)
        np.testing.assert_allclose(model.prob([(plain.eos,)] * len(ends), ends), products, rtol=1e-12)


tokens = st.sampled_from([0, 1, 2, 4, 6])
documents = st.lists(st.lists(tokens, max_size=12).map(tuple), max_size=8)


@given(
    tables=st.lists(documents, min_size=1, max_size=3),
    deleted=st.sets(st.tuples(st.integers(0, 2), st.integers(0, 7)), max_size=8),
    prompts=st.lists(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 6]), max_size=6).map(tuple), max_size=4),
    text=st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 6]), max_size=12).map(tuple),
    order=st.integers(1, 5),
    frequent=st.integers(0, 10),
    dtype=st.sampled_from([np.uint8, np.uint16, np.uint32]),
)
@settings(max_examples=200, deadline=None)
def test_probabilities_are_those_of_the_formulas(
    tables: list[list[Ids]],
    deleted: set[tuple[int, int]],
    prompts: list[Ids],
    text: Ids,
    order: int,
    frequent: int,
    dtype: Any,
) -> None:
    """Any order, over several tables from which documents are subtracted, after any prompt."""
    parts = [part_of(table, 1, dtype) for table in tables]
    minus = [[d for row, d in enumerate(table) if (i, row) in deleted] for i, table in enumerate(tables)]
    parts += [part_of(table, -1, dtype) for table in minus if table]
    left = [d for i, table in enumerate(tables) for row, d in enumerate(table) if (i, row) not in deleted]
    model = KneserNey.fit(parts, VOCAB, EOS, order, frequent)
    assert_same(model, Formulas(left, order), prompts, text)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_with_discounts_of_the_corpus(order: int) -> None:
    """A corpus that is large enough for counts of counts of every order, some contexts counted in advance."""
    rng = np.random.default_rng(7)
    phrases = [tuple(np.minimum(rng.zipf(1.3, rng.integers(1, 8)) - 1, 2998).tolist()) for _ in range(1000)]
    picks = [np.minimum(rng.zipf(1.2, rng.integers(0, 40)) - 1, 999) for _ in range(60)]
    texts = [tuple(token for pick in chosen for token in phrases[pick]) for chosen in picks]
    parts = [part_of(texts[i::3]) for i in range(3)] + [part_of(texts[:9:3], -1)]
    left = [text for i, text in enumerate(texts) if i not in (0, 3, 6)]
    plain = Formulas(left, order, 3000, 2999)
    assert all(plain.discounts[n] != FALLBACK_DISCOUNTS for n in range(1, order + 1))
    prompts = [(2999,), (0,), (0, 2998), (2998, 0), texts[1][:7]]
    for frequent in (0, 30, 10**9):
        model = KneserNey.fit(parts, 3000, 2999, order, frequent)
        assert_same(model, plain, prompts, (*texts[0][:50], 2999, *texts[1][:50], 2997, 5))


def test_probabilities_are_those_of_lmplz() -> None:
    """KenLM's own estimator, which writes six digits of 32-bit numbers, gives the same to every token."""
    golden = json.loads(Path(__file__).with_name("kneser_ney_lmplz.json").read_text())
    documents = [tuple(document) for document in golden["documents"]]
    for order, expected in golden["log10_probabilities"].items():
        model = KneserNey.fit([part_of(documents)], golden["vocab_size"], 0, int(order))
        for text, log10_probabilities in zip(golden["texts"], expected, strict=True):
            found = model.score((*text, 0)) / math.log(10)
            np.testing.assert_allclose(found, log10_probabilities, rtol=0, atol=3e-6)


def test_blocks_do_not_change_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tokens are scored at once."""
    rng = np.random.default_rng(1)
    texts = [tuple(rng.choice([0, 1, 2, 4], 50).tolist()) for _ in range(10)]
    model = fit(texts, 4)
    expected = model.score(texts[0] + texts[1])
    monkeypatch.setattr("lodex.index.kneser_ney._BLOCK", 7)
    np.testing.assert_array_equal(model.score(texts[0] + texts[1]), expected)


# ------------------------------------------------------------------------------------------ edges


def test_a_corpus_without_documents_makes_all_tokens_alike() -> None:
    """Nothing is known, so every token has one probability."""
    for documents in ([], [()]):
        parts = [part_of(documents)] + ([part_of(documents, -1)] if documents else [])
        model = KneserNey.fit(parts, VOCAB, EOS, 3)
        np.testing.assert_array_equal(model.distribution((1, 2)), np.full(VOCAB, 1 / VOCAB))
        np.testing.assert_allclose(model.score((1, 2, EOS)), np.log(1 / VOCAB))


def test_a_prompt_that_nothing_follows_has_the_unigrams() -> None:
    """After a context that never occurs, and after none, the distribution is the same."""
    model = fit([(0, 1, 2, 0, 1), (2, 0)], 4)
    unigrams = model.distribution(())
    for prompt in ((5,), (0, 5), (5, 5, 5, 5, 5)):
        np.testing.assert_array_equal(model.distribution(prompt), unigrams)
    assert unigrams[5] > 0


def test_what_stands_before_the_last_eos_is_of_no_account() -> None:
    """Contexts do not cross documents."""
    model = fit([(0, 1, 2, 0, 1), (2, 0), (2, 1)], 4)
    np.testing.assert_array_equal(model.distribution((0, 1, EOS, 2)), model.distribution((EOS, 2)))
    np.testing.assert_array_equal(model.distribution((0, 1, EOS)), model.distribution((EOS,)))
    assert not np.array_equal(model.distribution((EOS, 2)), model.distribution((2,)))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 5, 3, 1), FALLBACK_DISCOUNTS),
        ((5, 0, 3, 1), FALLBACK_DISCOUNTS),
        ((5, 3, 0, 1), FALLBACK_DISCOUNTS),
        ((0, 0, 0, 0), FALLBACK_DISCOUNTS),
        ((6, 3, 4, 1), FALLBACK_DISCOUNTS),  # D2 = 2 - 3 * 0.5 * 4 / 3 is 0
        ((6, 3, 2, 9), FALLBACK_DISCOUNTS),  # D3+ is below 0
        ((6, 3, 2, 0), (0.5, 1.0, 3.0)),
        ((6, 3, 2, 1), (0.5, 1.0, 2.0)),
        ((8, 4, 2, 1), (0.5, 1.25, 2.0)),
    ],
)
def test_discounts_fall_back_where_counts_of_counts_give_none(counts: Any, expected: Any) -> None:
    """0.5, 1 and 1.5 where a needed number is 0 or a discount is not above 0; else equation 26."""
    assert modified_discounts(*counts) == pytest.approx(expected)


def test_a_corpus_without_rare_ngrams_falls_back() -> None:
    """A document repeated five times has no n-gram that occurs once; each order falls back by itself."""
    model = fit([(0, 1, 2, 4, 5)] * 5, 2)
    assert model.counts_of_counts[1].tolist() == [0, 0, 0, 0]
    assert model.discounts[1].tolist() == list(FALLBACK_DISCOUNTS)
    assert_same(model, Formulas([(0, 1, 2, 4, 5)] * 5, 2), [(0,), (0, 1), (EOS,)], (0, 1, 2))


def test_empty_batches_and_texts() -> None:
    """Nothing is asked, nothing is answered."""
    model = fit([(0, 1)], 3)
    assert model.prob([], []).shape == model.score(()).shape == (0,)


# ------------------------------------------------------------------------------------------ hostile input


def test_wrong_arguments_are_named() -> None:
    """The field and what was expected."""
    model = fit([(0, 1)], 3)
    with pytest.raises(InvalidArgumentError, match=r"prompts\[1\]\.tokens\[0\] is 8"):
        model.prob([(0,), (8,)], [(1,), (1,)])
    with pytest.raises(InvalidArgumentError, match=r"continuations\[0\]\.tokens\[1\] is -1"):
        model.prob([(0,)], [(1, -1)])
    with pytest.raises(InvalidArgumentError, match=r"continuations\[0\] is empty"):
        model.prob([(0,)], [()])
    with pytest.raises(InvalidArgumentError, match="expected one for each of 2 prompts"):
        model.prob([(0,), (1,)], [(1,)])
    with pytest.raises(InvalidArgumentError, match=r"prompt\.tokens\[0\] is 8"):
        model.distribution((8,))
    with pytest.raises(InvalidArgumentError, match=r"document\.tokens\[0\] is 8"):
        model.score((8,))
    for order in (0, 256):
        with pytest.raises(InvalidArgumentError, match=f"order is {order}"):
            fit([(0,)], order)
    with pytest.raises(InvalidArgumentError, match="one part"):
        KneserNey.fit([], VOCAB, EOS)


def test_streams_that_do_not_fit_the_vocabulary_are_refused() -> None:
    """An id outside of it, and the id of the end of a document inside one."""
    with pytest.raises(DataLossError, match="token 9 "):
        fit([(0, 9)], 2)
    with pytest.raises(FailedPreconditionError, match=f"token {EOS} stands inside of a document"):
        fit([(0, EOS, 1)], 2)


# ------------------------------------------------------------------------------------------ stores


def letters() -> Tokenizer:
    vocabulary = {"<|endoftext|>": 0, "a": 1, "b": 2, "c": 3, "d": 4}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<|endoftext|>"}
    return Tokenizer(
        json.dumps({"model": model, "pre_tokenizer": {"type": "WhitespaceSplit"}, "added_tokens": []}), "t"
    )


def test_a_snapshot_is_one_corpus_without_its_deleted_documents(tmp_path: Path) -> None:
    """Segments and deletions make no difference."""
    texts = ["a b a c", "", "b a c a b", "c c c", "a b d", "d a b a c"]
    store = Store.create(tmp_path / "store")
    for start in (0, 2, 4):
        store.add(Document(f"d{start + i}", text) for i, text in enumerate(texts[start : start + 2]))
    build_index(store, "t", TokensBuilder(letters()))
    build_index(store, "suffix", SuffixBuilder("t"))
    ids = {"a": 1, "b": 2, "c": 3, "d": 4}
    documents = [tuple(ids[word] for word in text.split()) for text in texts]
    prompts = [(), (0,), (1,), (1, 2), (0, 1), (2, 1, 3)]
    assert_same(fit_kneser_ney(store.snapshot(), order=3), Formulas(documents, 3, 5, 0), prompts, (1, 2, 1, 3, 0))
    store.delete(["d2", "d5"])
    left = [documents[i] for i in (0, 1, 3, 4)]
    assert_same(fit_kneser_ney(store.snapshot(), order=3), Formulas(left, 3, 5, 0), prompts, (1, 2, 1, 3, 0))
    with pytest.raises(InvalidArgumentError, match="need a suffix index"):
        fit_kneser_ney(store.snapshot(), "t")


def test_an_index_without_segments_is_refused(tmp_path: Path) -> None:
    """The error says what to run."""
    store = Store.create(tmp_path / "store")
    build_index(store, "t", TokensBuilder(letters()))
    build_index(store, "suffix", SuffixBuilder("t"))
    with pytest.raises(FailedPreconditionError, match="lodex index update"):
        fit_kneser_ney(store.snapshot())


# ------------------------------------------------------------------------------------------ real text


def books() -> tuple[list[Path], list[Path]]:
    """Books of authors that the tokenizer has read, and of those it has not."""
    held_out_authors = set(
        json.loads((ROOT / "index/tokenizers/lodex-bpe-16k-v1/provenance.json").read_text())["held_out_authors"]
    )
    with (DATA / "lm_books" / "manifest.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    paths = [(DATA / "lm_books" / row["file"], row["author"] in held_out_authors) for row in rows]
    return [path for path, held_out in paths if not held_out], [path for path, held_out in paths if held_out]


@pytest.mark.skipif(not (DATA / "lm_books").exists(), reason="needs the books of $LODEX_DATA/lm_books")
def test_longer_contexts_predict_a_held_out_book_better() -> None:
    """Bits per token fall from order 1 to 2 to 5, distributions sum to one, and methods agree, over six books."""
    tokenizer = Tokenizer.load()
    read, held_out = books()
    texts = [path.read_text(encoding="utf-8") for path in [*read[:6], held_out[0]]]
    *corpus, held = (tuple(ids.tolist()) for ids in tokenizer.encode_batch(texts))
    parts = [part_of(corpus[:3]), part_of(corpus[3:])]
    book = held[5000:7000]
    bits = {}
    for order in (1, 2, 5):
        model = KneserNey.fit(parts, tokenizer.vocab_size, tokenizer.eos_id, order)
        scores = model.score(book)
        bits[order] = -scores.mean() / math.log(2)
        for i in (1, 100, 1999):
            distribution = model.distribution((tokenizer.eos_id, *book[:i]))
            assert abs(distribution.sum() - 1) < 1e-12
            assert distribution[book[i]] == pytest.approx(math.exp(scores[i]), rel=1e-12)
    assert bits[5] < bits[2] - 0.03 < bits[1] - 1
