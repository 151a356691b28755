"""n-grams and ∞-grams: every answer by looking at every document, in one segment and in five."""

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodex.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from lodex.index.build import build_index
from lodex.index.ngrams import NgramIndex
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.types import Document, Occurrences
from tests.index.ngram_oracle import EOS, Corpus, Ids, MakeIndex, index_maker, letters, live_corpus, spell

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LODEX_DATA", ROOT.parent / "shared" / "data"))

# ------------------------------------------------------------------------------------------ the oracle


def assert_distribution(found: Any, expected: list[tuple[int, int]], length: int) -> None:
    assert list(zip(found.token_ids.tolist(), found.counts.tolist(), strict=True)) == expected
    total = sum(n for _, n in expected)
    assert (found.prompt_count, found.distinct, found.suffix_length) == (total, len(expected), length)


def assert_exact(
    index: NgramIndex,
    corpus: Corpus,
    ngrams: list[list[Ids]],
    continuations: list[list[Ids]],
    support: int = 1,
    max_length: int | None = None,
) -> None:
    """Every method of the index agrees with the oracle on every n-gram."""
    counts = index.count(ngrams)
    assert [found.count for found in counts] == [corpus.count(ngram) for ngram in ngrams]
    assert [found.count for found in index.find(ngrams)] == [corpus.count(ngram) for ngram in ngrams]

    def expected(following: list[Ids], continuation: list[Ids]) -> tuple[float | None, int, int]:
        part = sum(any(rest[: len(c)] == c for c in continuation) for rest in following)
        return (part / len(following) if following else None), len(following), part

    limits: dict[str, Any] = {"min_support": support, "max_suffix_length": max_length}
    probabilities = index.prob(ngrams, continuations)
    infgram_probabilities = index.infgram_prob(ngrams, continuations, **limits)
    distributions, infgram_distributions = index.ntd(ngrams), index.infgram_ntd(ngrams, **limits)
    for i, (ngram, continuation) in enumerate(zip(ngrams, continuations, strict=True)):
        p = probabilities[i]
        found = (p.probability, p.prompt_count, p.continuation_count)
        assert found == expected(corpus.following(ngram), continuation)
        assert_distribution(distributions[i], corpus.next_token(ngram), max(map(len, ngram)))

        length, suffixes = corpus.longest(ngram, support, max_length)
        q = infgram_probabilities[i]
        found = (q.probability, q.prompt_count, q.continuation_count)
        assert found == expected(corpus.following(suffixes), continuation)
        assert q.suffix_length == length
        assert_distribution(infgram_distributions[i], corpus.next_token(suffixes), length)

    # A batch whose n-grams have one variant each goes another way.
    alone = [i for i, (ngram, after) in enumerate(zip(ngrams, continuations, strict=True)) if len(ngram + after) == 2]
    literal, behind = [ngrams[i] for i in alone], [continuations[i] for i in alone]
    assert index.count(literal) == [counts[i] for i in alone]
    assert index.prob(literal, behind) == [probabilities[i] for i in alone]
    assert index.infgram_prob(literal, behind, **limits) == [infgram_probabilities[i] for i in alone]


def assert_read(index: NgramIndex, corpus: Corpus, texts: list[Ids], support: int, max_length: int | None) -> None:
    """What is said of every token of texts agrees with the oracle."""
    matches = index.longest_matches(texts)
    scores = index.infgram_score(texts, min_support=support, max_suffix_length=max_length)
    for text, match, score in zip(texts, matches, scores, strict=True):
        assert match.token_ids.tolist() == score.token_ids.tolist() == list(text)
        found = list(zip(match.lengths.tolist(), match.counts.tolist(), strict=True))
        assert found == [corpus.longest_match(text, i) for i in range(len(text))]
        for i, token in enumerate(text):
            length, suffixes = corpus.longest([(corpus.eos, *text[:i])], support, max_length)
            counts = dict(corpus.next_token(suffixes))
            whole, part = sum(counts.values()), counts.get(token, 0)
            assert (score.suffix_lengths[i], score.suffix_counts[i]) == (length, whole)
            assert math.isclose(math.exp(score.log_probabilities[i]), part / whole if whole else 0.0, rel_tol=1e-12)


# ------------------------------------------------------------------------------------------ small stores


@pytest.fixture
def make_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeIndex:
    """Builds an index over documents, given as texts, in some number of segments."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # these stores need not survive
    return index_maker(tmp_path)


documents = st.lists(st.lists(st.integers(1, 3), max_size=8).map(tuple), min_size=1, max_size=7)
sequences = st.lists(st.integers(0, 4), max_size=4).map(tuple)
longer = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(lambda s: (EOS, 1) if s == [EOS] else tuple(s))
# Where one of several variants is empty or EOS alone, ends of occurrences do not tell places apart as the index does:
# a stream has one EOS between two documents, the oracle one on each side.
variants = st.one_of(
    st.lists(sequences, min_size=1, max_size=1),
    st.lists(longer, min_size=2, max_size=3),
)
following = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=2).map(tuple), min_size=1, max_size=2)


stores = st.tuples(documents, st.integers(1, 5), st.frozensets(st.integers(1, 6), max_size=4))
limits = st.sampled_from([(1, None), (1, None), (2, None), (1, 2), (3, 1), (2, 0)])


@given(stores, st.lists(st.tuples(variants, following), min_size=20, max_size=40), limits)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_answers_are_those_of_looking_at_every_document(
    make_index: MakeIndex,
    store: tuple[list[Ids], int, frozenset[int]],
    asked: list[tuple[list[Ids], list[Ids]]],
    limits: tuple[int, int | None],
) -> None:
    """Counts, ranks, probabilities and distributions are the oracle's, over segments with deleted documents."""
    documents, segments, deleted = store
    deleted = deleted & frozenset(range(len(documents)))
    index = make_index([spell(document) for document in documents], segments, deleted=deleted)
    corpus = live_corpus(documents, segments, deleted)
    assert_exact(index, corpus, [ngram for ngram, _ in asked], [continuation for _, continuation in asked], *limits)


@given(stores, st.lists(st.lists(st.integers(0, 4), max_size=12).map(tuple), min_size=10, max_size=20), limits)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_texts_are_read_as_the_oracle_reads_them(
    make_index: MakeIndex,
    store: tuple[list[Ids], int, frozenset[int]],
    texts: list[Ids],
    limits: tuple[int, int | None],
) -> None:
    """Every token's longest match and ∞-gram score, EOS anywhere in the text."""
    documents, segments, deleted = store
    deleted = deleted & frozenset(range(len(documents)))
    index = make_index([spell(document) for document in documents], segments, deleted=deleted)
    assert_read(index, live_corpus(documents, segments, deleted), texts, *limits)


HARD: dict[str, list[Ids]] = {
    "an empty document": [()],
    "only empty documents": [(), (), ()],
    "one token": [(1,)],
    "all tokens equal": [(1,) * 30],
    "all tokens equal in several documents": [(1,) * 9, (1,) * 3, (1,)],
    "empty documents among others": [(), (1, 2), (), (), (2,), ()],
    "the same document again and again": [(1, 2, 1)] * 6,
    "one document": [(1, 2, 1, 3, 1, 2, 1, 2)],
}


@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("name", HARD)
def test_hard_corpora_are_counted_exactly(make_index: Any, name: str, segments: int) -> None:
    """Every n-gram of the corpus and its neighbours, EOS on either side, and one longer than the corpus."""
    documents = HARD[name]
    present = {text[i : i + size] for text in documents for size in range(6) for i in range(len(text) + 1)}
    fronts: list[Ids] = [(), (EOS,)]
    backs: list[Ids] = [(), (EOS,), (4,)]
    ngrams = sorted({(*front, *ngram, *back) for ngram in present for front in fronts for back in backs})
    ngrams += [(EOS, EOS, EOS), (1, EOS, 1), (EOS, EOS, 1), (1,) * 50, documents[0] * 3]
    index = make_index([spell(document) for document in documents], segments)
    continuations: list[list[Ids]] = [[(EOS,)], [(1,)], [(1, EOS), (2,)], [(EOS, 1)]]
    assert_exact(
        index,
        Corpus(documents, EOS),
        [[ngram] for ngram in ngrams],
        [continuations[i % len(continuations)] for i in range(len(ngrams))],
    )


@pytest.mark.parametrize("top", [65_535, 65_536, 100_000])
def test_ids_at_the_top_of_the_range_are_counted(make_index: Any, top: int) -> None:
    """The last ids below the separator of 16 bits are ordinary tokens; a larger vocabulary takes 32 bits."""
    index = make_index(["d e d", "e", "", "a e"], 2, letters(top))
    d, e = top - 2, top - 1
    assert index.vocabulary.dtype.itemsize == (2 if top == 65_535 else 4)
    corpus = Corpus([(d, e, d), (e,), (), (1, e)], EOS)
    ngrams: list[list[Ids]] = [
        [(d,)],
        [(e,)],
        [(d, e)],
        [(e, EOS)],
        [(EOS, e)],
        [(EOS,)],
        [(d, e, d, EOS)],
        [(e, e)],
        [()],
    ]
    assert_exact(index, corpus, ngrams, [[(e,)]] * len(ngrams))


def test_what_eos_means_at_the_ends_and_inside(make_index: Any) -> None:
    """[EOS] counts documents, [EOS, EOS] empty ones; it says "at the start", "at the end", and inside nothing."""
    index = make_index(["a b", "a", "", "b a"], 3)
    asked = {(EOS,): 4, (EOS, EOS): 1, (EOS, 1): 2, (1, EOS): 2, (EOS, 1, EOS): 1, (1, EOS, 1): 0, (EOS, EOS, EOS): 0}
    assert {ngram: index.count([[ngram]])[0].count for ngram in asked} == asked


def test_a_distribution_sums_to_its_prompts_count(make_index: Any) -> None:
    """EOS has its exact share, so probabilities sum to one, in the unigram distribution as elsewhere."""
    index = make_index(["a b a", "a", "c"], 2)
    unigrams, after_a = index.ntd([[()], [(1,)]])
    assert unigrams.prompt_count == 5 + 3
    assert dict(zip(unigrams.token_ids.tolist(), unigrams.counts.tolist(), strict=True)) == {1: 3, EOS: 3, 2: 1, 3: 1}
    assert after_a.probabilities.sum() == 1
    assert after_a.token_ids.tolist() == [EOS, 2]
    assert after_a.counts.tolist() == [2, 1]


def test_top_k_is_the_head_of_the_complete_distribution(make_index: Any) -> None:
    """The most frequent come first, equal counts by id, and the totals are those of all tokens."""
    index = make_index(["a c", "a b", "a b", "a d", "a"])
    (whole,), (head,) = index.ntd([[(1,)]]), index.ntd([[(1,)]], top_k=2)
    assert whole.token_ids.tolist() == [2, EOS, 3, 4]
    assert head.token_ids.tolist() == [2, EOS]
    assert (head.prompt_count, head.distinct) == (whole.prompt_count, whole.distinct) == (5, 4)


def test_the_longest_suffix_is_decided_over_all_segments(make_index: Any) -> None:
    """A segment where only a shorter suffix occurs adds nothing to a longer one found elsewhere."""
    index = make_index(["b c", "a b d", "b c", "b c"], 4)
    (found,) = index.infgram_ntd([[(1, 2)]])
    assert (found.suffix_length, found.prompt_count, found.token_ids.tolist()) == (2, 1, [4])


def test_an_unseen_prompt_falls_back_to_unigrams(make_index: Any) -> None:
    """With nothing of the prompt in the corpus the suffix is empty; without ∞ the probability is undefined."""
    index = make_index(["a b", "a"], 2)
    (found,) = index.infgram_prob([[(4, 5)]], [[(1,)]])
    assert (found.probability, found.prompt_count, found.continuation_count, found.suffix_length) == (2 / 5, 5, 2, 0)
    (plain,) = index.prob([[(4, 5)]], [[(1,)]])
    assert (plain.probability, plain.prompt_count, plain.continuation_count) == (None, 0, 0)


def test_variants_count_each_place_once(make_index: Any) -> None:
    """A variant that ends with another is left out of an n-gram, one that begins with another of a continuation."""
    index = make_index(["a b c", "b c", "c"])
    (found,) = index.count([[(1, 2), (2,), (2,), (3,)]])
    assert (found.count, found.token_ids) == (5, ((2,), (3,)))
    (probability,) = index.prob([[(2,)]], [[(3,), (3, EOS)]])
    assert (probability.prompt_count, probability.continuation_count) == (2, 2)


def test_a_whole_variant_goes_before_a_longer_suffix(make_index: Any) -> None:
    """Of two spellings of a prompt, one that occurs whole is used though part of the other is longer."""
    index = make_index(["a b", "c d e"])
    (found,) = index.infgram_ntd([[(1, 3, 4), (1,)]])
    assert (found.suffix_length, found.token_ids.tolist()) == (1, [2])


def test_a_corpus_without_tokens_has_only_document_ends(make_index: Any) -> None:
    """Of empty documents, EOS is all that can be said."""
    index = make_index(["", ""], 2)
    (found,) = index.infgram_prob([[(1,)]], [[(EOS,)]])
    assert (found.probability, found.suffix_length) == (1.0, 0)


def test_an_empty_batch_has_no_answers(make_index: Any) -> None:
    """No queries, no answers, no error."""
    index = make_index(["a"])
    assert index.count([]) == index.prob([], []) == index.ntd([]) == index.infgram_ntd([]) == index.find([]) == []
    assert index.infgram_prob([], []) == index.infgram_score([]) == index.longest_matches([]) == index.trace([]) == []
    assert index.search_docs([]) == index.locate([]) == []


def test_arrays_of_any_integer_type_are_accepted(make_index: Any) -> None:
    """Lists, tuples and integer arrays ask the same."""
    index = make_index(["a b a"])
    asked: list[Any] = [[[1, 2]], ((1, 2),), [np.array([1, 2], np.uint8)], [np.array([1, 2], np.int64)]]
    assert [found.count for found in index.count(asked)] == [1] * 4


@pytest.mark.slow
def test_counts_over_books_are_those_of_a_naive_count() -> None:
    """1,000 random n-grams of 1 to 50 tokens over ten million, in one segment and in five."""
    if not (DATA / "lm_books").is_dir():
        pytest.skip("no books: set LODEX_DATA")
    command = [sys.executable, str(ROOT / "scripts" / "check_ngrams.py")]
    done = subprocess.run(command, env={**os.environ, "LODEX_DATA": str(DATA)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("1000 of 1000 counts agree") == 2


# ------------------------------------------------------------------------------------------ documents


def pages(index: NgramIndex, ngram: list[Ids], size: int) -> Iterator[Occurrences]:
    token = ""
    while True:
        (page,) = index.search_docs([ngram], size, [token])
        yield page
        if not page.next_page_token:
            return
        token = page.next_page_token


@pytest.mark.parametrize("segments", [1, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_list_each_document_once(make_index: Any, size: int, segments: int) -> None:
    """Every document that holds the n-gram, with its first place, over pages of any size; none twice, none left out."""
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abc"), rng.integers(0, 12))) for _ in range(23)]
    index = make_index(texts, segments)
    asked: dict[str, Ids] = {"a b": (1, 2), "c": (3,), "b b b": (2, 2, 2), "e": (5,)}
    for spelled, ids in asked.items():
        ngram = [ids]
        found = list(pages(index, ngram, size))
        listed = [occurrence for page in found for occurrence in page.occurrences]
        places = {f"doc-{i}": text.find(spelled) for i, text in enumerate(texts) if spelled in text}
        assert {o.doc_id: o.begin for o in listed} == places
        assert len(listed) == len(places)
        assert all(len(page.occurrences) == size for page in found[:-1])
        assert {page.count for page in found} == {index.count([ngram])[0].count}


def test_documents_come_in_the_order_of_the_corpus(make_index: Any) -> None:
    """Rows ascend within a segment, whatever their suffixes' ranks."""
    index = make_index([f"{letter} a" for letter in "edcbaedcba"])
    (page,) = index.search_docs([[(1,)]])
    assert [o.doc_id for o in page.occurrences] == [f"doc-{i}" for i in range(10)]


def test_a_document_with_many_places_does_not_hide_the_next(make_index: Any) -> None:
    """However often a document holds the n-gram, it takes one line of a page."""
    index = make_index(["a " * 5_000, "b", "a " * 900, "a"])
    (page,) = index.search_docs([[(1,)]], page_size=2)
    assert [(o.doc_id, o.begin) for o in page.occurrences] == [("doc-0", 0), ("doc-2", 0)]
    (page,) = index.search_docs([[(1,)]], page_size=2, page_tokens=[page.next_page_token])
    assert [o.doc_id for o in page.occurrences] == ["doc-3"]
    assert page.next_page_token == ""


def test_eos_finds_documents_by_their_ends(make_index: Any) -> None:
    """EOS first finds starts, last it finds ends, of the last document of a segment too; a match has no text for it."""
    index = make_index(["b a", "a b", "a", "b a b a"], 2)

    def found(ngram: Ids) -> dict[str, tuple[int, int, str]]:
        (page,) = index.search_docs([[ngram]])
        return {o.doc_id: (o.begin, o.end, o.match) for o in page.occurrences}

    assert found((EOS, 1)) == {"doc-1": (0, 1, "a"), "doc-2": (0, 1, "a")}
    assert found((1, EOS)) == {"doc-0": (2, 3, "a"), "doc-2": (0, 1, "a"), "doc-3": (6, 7, "a")}
    assert found((EOS,)) == {f"doc-{i}": (0, 0, "") for i in range(4)} == found(())
    assert found((1, EOS, 1)) == {}


def test_the_context_stays_within_the_document(make_index: Any) -> None:
    """So many tokens on each side, fewer at the ends, with the fields of the document."""
    index = make_index(["a b c d e", "e a e"])
    (page,) = index.search_docs([[(3,)]], context_tokens=1)
    (o,) = page.occurrences
    assert (o.doc_id, o.title, o.begin, o.end) == ("doc-0", "Title 0", 4, 5)
    assert (o.before, o.match, o.after) == ("b ", "c", " d")
    (page,) = index.search_docs([[(3,)]], context_tokens=50)
    (o,) = page.occurrences
    assert (o.before, o.match, o.after) == ("a b ", "c", " d e")
    (page,) = index.search_docs([[(3,)]], context_tokens=0)
    (o,) = page.occurrences
    assert (o.before, o.match, o.after) == ("", "c", "")


def test_bytes_of_a_match_are_those_of_its_text(make_index: Any) -> None:
    """With byte-level tokens and characters of several bytes, spans are exact and context is whole characters."""
    tokenizer = Tokenizer.load()
    text = "Ein Mädchen \U0001f600\U0001f600 sagt: »naïve 文字«, und \U0001f389 geht.\r\n" * 3
    index = make_index(["", text, "other"], 2, tokenizer)
    tokens = tokenizer.encode(text)
    spans = tokenizer.byte_spans(tokens, text)
    data = text.encode()
    for start in range(len(tokens) - 3):
        ngram = tokens[start : start + 3]
        (page,) = index.search_docs([[ngram]], context_tokens=2)
        (o,) = page.occurrences
        first = next(i for i in range(len(tokens)) if np.array_equal(tokens[i : i + 3], ngram))
        assert (o.doc_id, o.begin, o.end) == ("doc-1", spans[first, 0], spans[first + 2, 1])
        assert o.match == data[o.begin : o.end].decode(errors="replace")
        around = data[: o.begin].decode(errors="replace"), data[o.end :].decode(errors="replace")
        assert around[0].endswith(o.before)
        assert around[1].startswith(o.after)
        assert len(o.before) >= (first > 1)


# ------------------------------------------------------------------------------------------ hostile input


@pytest.mark.parametrize(
    ("ngram", "field", "message"),
    [
        ([[1, 2, 99]], "queries[1].tokens[2]", "99"),
        ([[-1]], "queries[1].tokens[0]", "-1"),
        ([[1], [2, 6]], "queries[1].variants[1].tokens[1]", "6"),
        ([[2**70]], "queries[1]", "list of token ids"),
        ([[1.5]], "queries[1]", "list of token ids"),
        ([["a"]], "queries[1]", "list of token ids"),
        ([[[1]]], "queries[1]", "list of token ids"),
        ([1], "queries[1]", "list of token ids"),
        ([], "queries[1]", "no token sequence"),
    ],
)
def test_what_is_no_token_sequence_is_refused_by_its_place(
    make_index: Any, ngram: Any, field: str, message: str
) -> None:
    """The error names the query, the variant and the token, and says what came."""
    index = make_index(["a"])
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        index.count([[[1]], ngram])
    assert caught.value.field == field


def test_the_separator_of_the_stream_is_not_an_id(make_index: Any) -> None:
    """All ones stands for EOS in the files only."""
    index = make_index(["a"])
    with pytest.raises(InvalidArgumentError):
        index.count([[[65_535]]])


def test_other_arguments_are_checked(make_index: Any) -> None:
    """Continuations must pair with prompts and have tokens; sizes must be sensible."""
    index = make_index(["a"])
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: index.prob([[[1]]], []), "continuations"),
        (lambda: index.prob([[[1]]], [[[]]]), "continuations[0]"),
        (lambda: index.infgram_prob([[[1]]], [[[9]]]), "continuations[0].tokens[0]"),
        (lambda: index.infgram_prob([[[9]]], [[[1]]]), "prompts[0].tokens[0]"),
        (lambda: index.ntd([[[1]]], top_k=0), "top_k"),
        (lambda: index.infgram_prob([[[1]]], [[[1]]], min_support=0), "min_support"),
        (lambda: index.infgram_ntd([[[1]]], max_suffix_length=-1), "max_suffix_length"),
        (lambda: index.infgram_score([[1]], min_support=0), "min_support"),
        (lambda: index.infgram_score([[1], [9]]), "texts[1].tokens[0]"),
        (lambda: index.longest_matches([[1], [2, -1]]), "texts[1].tokens[1]"),
        (lambda: index.find([[[9]]]), "queries[0].tokens[0]"),
        (lambda: index.locate([], match_tokens=0), "match_tokens"),
        (lambda: index.locate([], context_tokens=-1), "context_tokens"),
        (lambda: index.search_docs([[[1]]], page_size=0), "page_size"),
        (lambda: index.search_docs([[[1]]], seed=-1), "seed"),
        (lambda: index.search_docs([[[1]]], context_tokens=-1), "context_tokens"),
        (lambda: index.search_docs([[[1]]], page_tokens=["", ""]), "page_tokens"),
    ]
    for call, field in calls:
        with pytest.raises(InvalidArgumentError) as caught:
            call()
        assert caught.value.field == field


def test_page_tokens_of_others_are_refused(make_index: Any) -> None:
    """A token of another query, another version, no document, or no token at all is an error of its field."""
    index = make_index(["a", "a b", "b"], 2)
    (page,) = index.search_docs([[(1,)]], page_size=1)
    token = page.next_page_token
    version, digest, segment, row = token.split("-")
    for ngram, bad in (
        ((2,), token),
        ((1,), f"{int(version) + 1}-{digest}-{segment}-{row}"),
        ((1,), f"{version}-{digest}-{segment}-99"),
        ((1,), f"{version}-{digest}-{'0' * 32}-{row}"),
        ((1,), "nonsense"),
        ((1,), token + "0" * 20),
    ):
        with pytest.raises(InvalidArgumentError, match=r"page_tokens\[0\]") as caught:
            index.search_docs([[ngram]], page_tokens=[bad])
        assert caught.value.field == "page_tokens[0]"


# ------------------------------------------------------------------------------------------ opening


def test_segments_without_the_index_are_counted_as_missing(tmp_path: Path) -> None:
    """What is added after the index was built is not answered from, and the index says so."""
    store = Store.create(tmp_path / "store")
    store.add([Document("x", "a b")])
    build_index(store, "stream", TokensBuilder(letters()))
    build_index(store, "suffix", SuffixBuilder("stream"))
    store.add([Document("y", "a a a")])
    index = NgramIndex(store.snapshot())
    assert (index.segments_ok, index.segments_total) == (1, 2)
    assert index.count([[[1]]])[0].count == 1


def test_what_is_no_suffix_index_is_refused(tmp_path: Path) -> None:
    """An unknown name, an index of another kind, and one without any segment each have their own error."""
    store = Store.create(tmp_path / "store")
    build_index(store, "stream", TokensBuilder(letters()))
    build_index(store, "suffix", SuffixBuilder("stream"))
    snapshot = store.snapshot()
    with pytest.raises(NotFoundError):
        NgramIndex(snapshot, "other")
    with pytest.raises(InvalidArgumentError, match="tokens"):
        NgramIndex(snapshot, "stream")
    with pytest.raises(FailedPreconditionError, match="no documents"):
        NgramIndex(snapshot)
