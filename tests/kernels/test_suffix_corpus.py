"""A corpus of suffix tables: the twin over random and hard texts, signed tables, and input that is none."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.kernels import suffix_corpus_reference as reference
from lodex.kernels._suffix import Corpus, CorruptTableError, SuffixTable
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import encode_offsets, offset_width

Tokens = npt.NDArray[np.unsignedinteger[Any]]
DTYPES = [np.uint8, np.uint16, np.uint32]


def as_tokens(ids: Sequence[int], dtype: Any) -> Tokens:
    return np.array([i % (np.iinfo(dtype).max + 1) for i in ids], dtype)


def table_of(tokens: Tokens) -> SuffixTable:
    return SuffixTable(tokens, encode_offsets(suffix_array(tokens), tokens.itemsize, offset_width(tokens.nbytes)))


def corpora(streams: Sequence[Tokens], signs: Sequence[int], closed: bool) -> tuple[Corpus, reference.Corpus]:
    return Corpus([table_of(s) for s in streams], list(signs), closed), reference.Corpus(streams, signs, closed)


def batch(queries: Sequence[Sequence[int]], dtype: Any) -> tuple[Tokens, npt.NDArray[np.int64]]:
    flat = as_tokens([token for query in queries for token in query], dtype)
    return flat, np.cumsum([0, *map(len, queries)], dtype=np.int64)


def assert_equal(got: Any, expected: Any) -> None:
    if isinstance(got, tuple):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    else:
        np.testing.assert_array_equal(got, expected)


def assert_same(
    fast: Corpus, plain: reference.Corpus, queries: Sequence[Sequence[int]], limits: Any = (1, None)
) -> None:
    """Every method gives what the twin gives, one by one and in a batch."""
    dtype = plain.dtype
    queries = [as_tokens(query, dtype).tolist() for query in queries]
    assert len(fast) == len(plain)
    for query in queries:
        cut = len(query) // 2
        assert fast.count(query) == plain.count(query)
        assert fast.prob(query[:cut], query[cut:]) == plain.prob(query[:cut], query[cut:])
        assert fast.infgram_prob(query[:-1], query[-1:], *limits) == plain.infgram_prob(query[:-1], query[-1:], *limits)
        assert fast.longest_suffix(query, *limits) == plain.longest_suffix(query, *limits)
        assert_equal(fast.next_tokens(query), plain.next_tokens(query))
        assert_equal(fast.longest_matches(query, limits[0]), plain.longest_matches(query, limits[0]))
        assert_equal(fast.match_lengths(query, limits[0]), plain.longest_matches(query, limits[0])[0])
        assert_equal(fast.score(query, *limits), plain.score(query, *limits))
    flat, offsets = batch(queries, dtype)
    tails = np.array([len(query) // 3 for query in queries], np.int64)
    assert_equal(fast.count_many(flat, offsets), plain.count_many(flat, offsets))
    assert_equal(fast.prob_many(flat, offsets, tails), plain.prob_many(flat, offsets, tails))
    assert_equal(
        fast.infgram_prob_many(flat, offsets, tails, *limits), plain.infgram_prob_many(flat, offsets, tails, *limits)
    )
    assert_equal(fast.next_tokens_many(flat, offsets), plain.next_tokens_many(flat, offsets))
    assert_equal(fast.longest_suffix_many(flat, offsets, *limits), plain.longest_suffix_many(flat, offsets, *limits))


ids = st.sampled_from([0, 1, 2, 255, 256, -2, -1])
documents = st.lists(st.lists(st.sampled_from([0, 1, 2, 256, -2]), max_size=9), max_size=5)


def stream_of(docs: Sequence[Sequence[int]], dtype: Any) -> Tokens:
    return as_tokens([token for doc in docs for token in [-1, *doc]], dtype)


@given(
    segments=st.lists(documents, min_size=1, max_size=4),
    deleted=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 4))),
    queries=st.lists(st.lists(ids, max_size=8), max_size=6),
    dtype=st.sampled_from(DTYPES),
    closed=st.booleans(),
    support=st.integers(1, 3),
    longest=st.one_of(st.none(), st.integers(0, 4)),
)
@settings(deadline=None, max_examples=400)
def test_any_corpus_answers_as_the_twin_does(
    segments: list[list[list[int]]],
    deleted: set[tuple[int, int]],
    queries: list[list[int]],
    dtype: Any,
    closed: bool,
    support: int,
    longest: int | None,
) -> None:
    """Segments with and without deleted documents, closed or as they are, and queries that their texts hold or not."""
    streams = [stream_of(docs, dtype) for docs in segments]
    gone = [
        stream_of([doc for d, doc in enumerate(docs) if (s, d) in deleted], dtype) for s, docs in enumerate(segments)
    ]
    gone = [stream for stream in gone if len(stream)] if closed else []
    signs = [1] * len(streams) + [-1] * len(gone)
    fast, plain = corpora([*streams, *gone], signs, closed)
    texts = [stream.tolist() for stream in streams]
    assert_same(fast, plain, [*queries, *texts, *[text[3:9] for text in texts]], (support, longest))


@pytest.mark.parametrize(
    "text",
    [[5] * 130, [1, 0] * 70, [-1] * 20, [0, 0, 1, 0, 0, 1, 0] * 20, [*range(100)] * 2, [-1, *range(90)] * 3],
    ids=["all equal", "period two", "separators", "nearly periodic", "rising", "copies"],
)
@pytest.mark.parametrize("closed", [False, True])
def test_hard_texts_are_swept_as_the_twin_does(text: list[int], closed: bool) -> None:
    """Long matches, nested and overlapping, in one stream and in one that is subtracted from another."""
    dtype = np.uint16
    stream = as_tokens(text, dtype)
    queries = [text[7:100], [*text[:75], 9, *text[:70]], [*text[10:90], *text[5:80]], [3, *text[-80:]]]
    queries = [as_tokens(query, dtype).tolist() for query in queries]
    for streams, signs in [([stream], [1]), ([stream, stream[:100], stream[:100]], [1, 1, -1])][: 1 + closed]:
        fast, plain = corpora(streams, signs, closed)
        memo: dict[tuple[int, ...], int] = {}
        count = plain.count
        plain.count = lambda query, memo=memo, count=count: memo.setdefault(tuple(query), count(query))  # type: ignore
        for query in queries:
            assert_equal(fast.longest_matches(query), plain.longest_matches(query))
            assert_equal(fast.score(query), plain.score(query))


@pytest.mark.parametrize(("dtype", "tokens"), [(np.uint8, 200_000), (np.uint16, 60_000), (np.uint32, 60_000)])
def test_a_table_of_many_pages_answers_as_counting_does(dtype: Any, tokens: int) -> None:
    """Page keys and the table of first tokens narrow down to the right page, also next to the end of the text."""
    rng = np.random.default_rng(11)
    text = (rng.zipf(1.3, tokens) % 200).astype(dtype)
    text[rng.integers(0, tokens, tokens // 50)] = np.iinfo(dtype).max
    text[-12:] = 0
    table = table_of(text)
    assert (len(table.top[0]) > 0) == (dtype == np.uint8)
    fast = Corpus([table], [1], closed=False)
    windows = {n: np.lib.stride_tricks.sliding_window_view(text, n) for n in (1, 2, 3, 4, 5, 9)}
    for n, window in windows.items():
        found, counts = np.unique(window, axis=0, return_counts=True)
        chosen = rng.integers(0, len(found), 60)
        queries = [found[i].tolist() for i in chosen] + [text[-n:].tolist(), [0] * n]
        expected = [int((window == query).all(axis=1).sum()) for query in queries]
        assert expected[: len(chosen)] == counts[chosen].tolist()
        for i, query in product(range(60), [[201] * n]):
            queries.append([*found[chosen[i]][:-1].tolist(), *query[:1]])
            expected.append(0)
        assert [fast.count(query) for query in queries] == expected
        assert fast.count_many(*batch(queries, dtype)).tolist() == expected
        again = Corpus([SuffixTable(text, table_bytes(text), top=table.top)], [1], closed=False)
        assert again.count_many(*batch(queries, dtype)).tolist() == expected


def table_bytes(tokens: Tokens) -> npt.NDArray[np.uint8]:
    return encode_offsets(suffix_array(tokens), tokens.itemsize, offset_width(tokens.nbytes))


@pytest.mark.parametrize("support", [1, 2])
def test_a_long_text_of_the_corpus_is_swept(support: int) -> None:
    """Every token rests on all before it, whatever is subtracted; reading each run to its end would take minutes."""
    rng = np.random.default_rng(3)
    document = rng.integers(0, 5_000, 300_000).astype(np.uint16)
    other = as_tokens([-1, *range(99)], np.uint16)
    streams = [np.concatenate([as_tokens([-1], np.uint16), document])] * support + [other]
    corpus = Corpus([*map(table_of, streams), table_of(other)], [1] * len(streams) + [-1])

    lengths, prompts, counts = corpus.score(document, support)
    assert lengths.tolist() == list(range(len(document)))
    assert (prompts[100:] == support).all()
    assert (counts[100:] == support).all()
    assert corpus.match_lengths(document, support)[1000] == len(document) - 1000


def test_a_sweep_can_be_ended() -> None:
    """What `check` raises ends a sweep and is raised by it."""
    text = np.full(40_000, 7, np.uint16)
    corpus = Corpus([table_of(text[:20_000])], [1])

    def give_up() -> None:
        raise TimeoutError("that is enough")

    for sweep in (corpus.score, corpus.longest_matches, corpus.match_lengths):
        with pytest.raises(TimeoutError, match="enough"):
            sweep(text, check=give_up)


# ------------------------------------------------------------------------------------------ hostile input


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ([70_000], ValueError),
        ([-1], ValueError),
        ([1.5], TypeError),
        (["1"], TypeError),
        (7, TypeError),
        ("12", TypeError),
    ],
)
def test_what_is_no_list_of_tokens_is_refused(query: Any, error: type[Exception]) -> None:
    """Ids that the dtype does not hold, and what is no id, raise before anything is searched."""
    corpus = Corpus([table_of(as_tokens([1, 2, 3], np.uint16))], [1])
    with pytest.raises(error):
        corpus.count(query)
    with pytest.raises(error):
        corpus.infgram_prob([1], query)


def test_a_list_that_changes_while_it_is_read_is_read_once() -> None:
    """Items may run code that empties the list they are in; what counts is the list as it was given."""

    class Emptying:
        def __init__(self, items: list[Any]) -> None:
            self.items = items

        def __index__(self) -> int:
            self.items.clear()
            return 1

    items: list[Any] = []
    items += [Emptying(items), 2, 3]
    assert Corpus([table_of(as_tokens([1, 2, 3], np.uint16))], [1]).count(items) == 1


def test_queries_may_be_any_array_of_integers() -> None:
    """Lists, tuples, ranges and arrays of any integer type and stride are one query."""
    corpus = Corpus([table_of(as_tokens([1, 2, 3, 1, 2], np.uint16))], [1])
    long = np.array([1, 9, 2, 9], np.int64)
    forms = [[1, 2], (1, 2), range(1, 3), long[::2], *(np.array([1, 2], t) for t in ("u1", "i2", "u4", "i8", "u8"))]
    assert [corpus.count(form) for form in forms] == [2] * len(forms)
    assert corpus.count(list(range(1, 400))) == 0


def test_tables_that_do_not_go_together_are_refused() -> None:
    """No table, other signs than 1 and -1, and tables of two dtypes make no corpus."""
    narrow, wide = table_of(as_tokens([1], np.uint8)), table_of(as_tokens([1], np.uint16))
    for tables, signs in [([], []), ([narrow], [2]), ([narrow], []), ([narrow, wide], [1, 1])]:
        with pytest.raises(ValueError, match=r"corpus|signs|dtype"):
            Corpus(tables, signs)
    with pytest.raises(TypeError, match="SuffixTables"):
        Corpus([None], [1])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="closed"):
        Corpus([wide, wide], [1, -1], closed=False)


def test_a_top_level_of_another_table_is_refused() -> None:
    """Wrong sizes and keys out of order raise CorruptTableError; a top level that merely lies crashes nothing."""
    rng = np.random.default_rng(2)
    text = rng.integers(0, 50, 5_000).astype(np.uint16)
    table = table_bytes(text)
    starts, keys = SuffixTable(text, table).top
    for bad in [(starts, keys[:-1]), (keys, keys), (starts, keys[::-1].copy())]:
        with pytest.raises(CorruptTableError, match="lies: "):
            SuffixTable(text, table, "lies", bad)
    lying = Corpus(
        [SuffixTable(text, table, "t", (starts, np.sort(rng.integers(0, 2**63, len(keys)).astype(np.uint64))))], [1]
    )
    for _ in range(200):
        lying.count(rng.integers(0, 50, 3).tolist())


def test_tables_of_lies_crash_nothing() -> None:
    """Whatever a table holds, answers are wrong or CorruptTableError is raised, and memory outside is never read."""
    rng = np.random.default_rng(4)
    text = rng.integers(0, 20, 3_000).astype(np.uint16)
    for _ in range(100):
        table = table_bytes(text)
        for at in rng.integers(0, len(table), 40):
            table[at] = rng.integers(0, 256)
        query = text[100 : 100 + rng.integers(1, 200)].tolist()
        try:
            corpus = Corpus([SuffixTable(text, table)], [1])
            corpus.count(query)
            corpus.next_tokens(query[:1])
            corpus.score(query)
            corpus.longest_matches(query)
        except CorruptTableError:
            pass
