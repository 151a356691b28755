"""The kNN index against brute force in numpy, in one segment and several, scanned whole and through lists."""

import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.errors import (
    AlreadyExistsError,
    CancelledError,
    DataLossError,
    DimensionMismatchError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
)
from lodex.index import knn as knn_module
from lodex.index import knn_lists, knn_part, knn_scan
from lodex.index.build import build_index
from lodex.index.deletions import Deletions
from lodex.index.knn import MAX_K, KnnIndex, Neighbors
from lodex.index.knn_build import KnnBuilder
from lodex.index.knn_files import KeySource, squared_distances
from lodex.index.knn_lists import KeyLists
from lodex.index.receipt import Artefact
from lodex.index.segment import doc_id_hash
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.tokenizer import DEFAULT_TOKENIZER, TokenIds, Tokenizer
from lodex.index.tokens import TokensBuilder, TokenStream
from lodex.index.verify import verify_store
from lodex.types import Document

D = 12
SOURCE = KeySource(model="hashed", fingerprint="sha256:1", dimension=D, window_tokens=64, stride_tokens=32)
TEXTS = [
    "it was the best of times, it was the worst of times",
    "",
    "it was the age of wisdom, it was the age of foolishness",
    "the spring of hope",
    "it was the best of times",
    "Zürich \U0001f600",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


def key_of(ids: list[int], i: int) -> npt.NDArray[np.float32]:
    """A key of the last two tokens, so that equal contexts have equal keys; before a document is -1."""
    context = [-1, -1, *ids[:i]][-2:]
    return np.random.default_rng(zlib.crc32(repr(context).encode())).normal(size=D).astype(np.float32)


def make_keys(documents: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[npt.NDArray[np.float32]]:
    """The keys of each document; runs of three rows, which do not end with documents."""
    rows = (key_of(ids.tolist(), i) for ids in documents for i in range(len(ids) + 1))
    while run := list(itertools.islice(rows, 3)):
        advance(len(run))
        yield np.stack(run)


def build(
    path: Path, batches: Iterable[Iterable[Document]], tokenizer: Tokenizer, builder: KnnBuilder | None = None
) -> Snapshot:
    """A store with one segment for each batch, its token stream and a kNN index."""
    store = Store.create(path)
    for batch in batches:
        store.add(batch)
    build_index(store, DEFAULT_TOKENIZER, TokensBuilder(tokenizer))
    return build_index(store, "knn", builder or KnnBuilder(DEFAULT_TOKENIZER, SOURCE, make_keys))


def documents(texts: Iterable[str], first: int = 0) -> list[Document]:
    return [Document(f"doc-{i}", text) for i, text in enumerate(texts, first)]


def prose(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    words = ["the", "of", "it", "was", "age", "times", "wisdom", "hope", "spring", "a", "best", "worst"]
    return [" ".join(rng.choice(words, int(rng.integers(0, 30)))) for _ in range(n)]


def part_of(snapshot: Snapshot, name: str = "knn") -> Artefact:
    (part,) = snapshot.parts(name)
    assert part[1] is not None
    return part[1]


def naive_entries(snapshot: Snapshot, tokenizer: Tokenizer) -> list[tuple[str, int, npt.NDArray[np.float16], int]]:
    """(doc_id, place, key, value) of every entry, from the texts alone; the place before a document is -1."""
    entries = []
    for document in snapshot:
        ids = tokenizer.encode(document.text).tolist()
        for i in range(len(ids) + 1):
            value = ids[i] if i < len(ids) else tokenizer.eos_id
            entries.append((document.doc_id, i - 1, key_of(ids, i).astype(np.float16), value))
    return entries


Answer = list[tuple[float, int, str, int]]


def brute_force(snapshot: Snapshot, tokenizer: Tokenizer, query: npt.NDArray[np.float32], k: int) -> Answer:
    """(distance, value, doc_id, place) of the nearest k, ties by hash of doc_id, then by place."""
    entries = naive_entries(snapshot, tokenizer)
    distances = squared_distances(query, np.stack([key for _, _, key, _ in entries])).tolist()
    ranked = sorted(zip(distances, entries, strict=True), key=lambda e: (e[0], doc_id_hash(e[1][0]), e[1][1]))
    return [(distance, value, doc_id, place) for distance, (doc_id, place, _, value) in ranked[:k]]


def answers(snapshot: Snapshot, found: Neighbors) -> list[Answer]:
    """Neighbours in the words of `brute_force`, resolved by the stream of each part."""
    segments = [segment for segment, part in snapshot.parts("knn") if part is not None]
    streams = [TokenStream(part) for _, part in snapshot.parts(DEFAULT_TOKENIZER) if part is not None]
    rows = []
    for distances, values, parts, positions in zip(
        found.distances, found.token_ids, found.segments, found.positions, strict=True
    ):
        row = []
        for distance, value, part, position in zip(
            distances.tolist(), values.tolist(), parts.tolist(), positions.tolist(), strict=True
        ):
            if position >= 0:
                document = int(streams[part].rows_of(position))
                place = int(streams[part].positions_in_document(position))
                row.append((distance, value, segments[part].doc_id(document), place))
        rows.append(row)
    return rows


def queries(n: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Snapshot:
    return build(tmp_path_factory.mktemp("knn") / "store", [documents(prose(60))], tokenizer)


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Snapshot:
    """The documents of `one`, in five segments."""
    texts = prose(60)
    borders = [0, 1, 20, 21, 50, 60]
    batches = [documents(texts[a:b], a) for a, b in itertools.pairwise(borders)]
    return build(tmp_path_factory.mktemp("knn") / "store", batches, tokenizer)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Snapshot:
    """The documents of `one` in two segments, the first with lists."""
    texts = prose(60)
    builder = KnnBuilder(DEFAULT_TOKENIZER, SOURCE, make_keys, lists_from=300)
    batches = [documents(texts[:45]), documents(texts[45:], 45)]
    return build(tmp_path_factory.mktemp("knn") / "store", batches, tokenizer, builder)


# ------------------------------------------------------------------------------------------ what is found


@settings(max_examples=8, deadline=None)
@given(
    picks=st.lists(st.integers(0, len(TEXTS) - 1), min_size=1, max_size=12),
    cut=st.integers(0, 12),
    k=st.integers(1, 200),
)
def test_answers_equal_brute_force_over_any_segments(tmp_path_factory, tokenizer, picks, cut, k):
    """Distances, values, places and the order of ties are those of a walk over the texts."""
    made = documents([TEXTS[pick] for pick in picks])
    snapshot = build(tmp_path_factory.mktemp("knn") / "store", [b for b in (made[:cut], made[cut:]) if b], tokenizer)
    rows = np.concatenate([queries(2), key_of([], 0)[None], np.zeros((1, D), np.float32)])
    found = KnnIndex(snapshot).search(rows, k)
    assert answers(snapshot, found) == [brute_force(snapshot, tokenizer, query, k) for query in rows]


def test_distances_are_squared_l2_of_the_stored_keys(one: Snapshot, tokenizer: Tokenizer) -> None:
    """Against float64: float32 sums of twelve squares are off by a few units in the last place."""
    keys = np.stack([key for _, _, key, _ in naive_entries(one, tokenizer)]).astype(np.float64)
    rows = queries(8)
    found = KnnIndex(one).search(rows, 20)
    expected = np.sort(((rows.astype(np.float64)[:, None] - keys[None]) ** 2).sum(axis=2), axis=1)[:, :20]
    np.testing.assert_allclose(found.distances, expected, rtol=2e-6)


@pytest.mark.parametrize("k", [1, 7, 400])
def test_one_segment_or_five_give_the_same_neighbours(one: Snapshot, five: Snapshot, k: int) -> None:
    """Bit for bit, ties included."""
    rows = np.concatenate([queries(20, seed=3), key_of([], 0)[None]])
    together, apart = (KnnIndex(snapshot).search(rows, k) for snapshot in (one, five))
    assert answers(one, together) == answers(five, apart)
    np.testing.assert_array_equal(together.distances, apart.distances)
    np.testing.assert_array_equal(together.token_ids, apart.token_ids)


def test_neighbours_do_not_depend_on_tiles_and_batches(one: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query alone, among others, and over tiles of a few keys is answered by the same bits."""
    rows = queries(9, seed=4)
    index = KnnIndex(one)
    expected = index.search(rows, 50)
    for i in range(9):
        np.testing.assert_array_equal(index.search(rows[i : i + 1], 50).distances[0], expected.distances[i])
    monkeypatch.setattr(knn_part, "_FEW_QUERIES", 0)
    monkeypatch.setattr(knn_part, "_TILE_FLOATS", 7 * D)
    monkeypatch.setattr(knn_part, "_ROWS_AT_ONCE", 5)
    monkeypatch.setattr(knn_module, "_QUERIES_AT_ONCE", 4)
    found = index.search(rows, 50)
    np.testing.assert_array_equal(found.distances, expected.distances)
    np.testing.assert_array_equal(found.positions, expected.positions)


def test_fewer_entries_than_k_leave_the_rest_empty(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Distance +inf, and -1 for token, part and position."""
    snapshot = build(tmp_path / "store", [documents(["", ""])], tokenizer)
    found = KnnIndex(snapshot).search(queries(1), 4)
    assert np.isfinite(found.distances[0, :2]).all()
    assert found.token_ids[0].tolist() == [tokenizer.eos_id] * 2 + [-1, -1]
    assert found.distances[0, 2:].tolist() == [np.inf, np.inf]
    assert found.segments[0].tolist() == [0, 0, -1, -1]
    assert sorted(found.positions[0].tolist()) == [-1, -1, 0, 1]
    dtypes = [found.distances.dtype, found.token_ids.dtype, found.segments.dtype, found.positions.dtype]
    assert dtypes == [np.float32, np.int64, np.int32, np.int64]


def test_no_queries_have_no_neighbours(one: Snapshot, listed: Snapshot) -> None:
    """An empty batch is answered by empty arrays."""
    for snapshot in (one, listed):
        assert KnnIndex(snapshot).search(queries(0), 3).distances.shape == (0, 3)


def test_near_ties_among_large_keys_are_told_apart(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Where products in float32 cannot order keys far from the origin, exact distances do."""

    def far(texts: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[npt.NDArray[np.float32]]:
        for keys in make_keys(texts, advance):
            yield 2000 + np.round(keys * 4)

    builder = KnnBuilder(DEFAULT_TOKENIZER, SOURCE, far)
    snapshot = build(tmp_path / "store", [documents(prose(40, seed=5))], tokenizer, builder)
    keys = np.fromfile(part_of(snapshot).file("keys.f16"), "<f2").reshape(-1, D).astype(np.float64)
    rows = (2000 + queries(6)).astype(np.float32)
    exact = ((rows.astype(np.float64)[:, None] - keys[None]) ** 2).sum(axis=2)
    found = KnnIndex(snapshot).search(rows, 30)
    np.testing.assert_allclose(found.distances, np.sort(exact, axis=1)[:, :30], rtol=1e-5)


@pytest.mark.parametrize("few", [0, 100])
def test_queries_scanned_one_by_one_or_in_tiles_find_the_same(
    one: Snapshot, five: Snapshot, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Either way of reading the keys gives the same bits, also where runs are short and equal keys fill the slack."""
    rows = np.concatenate([queries(12, seed=8), key_of([], 0)[None]])
    expected = KnnIndex(one).search(rows, 30)
    monkeypatch.setattr(knn_part, "_FEW_QUERIES", few)
    monkeypatch.setattr(knn_scan, "_ROWS_BETWEEN_CHECKS", 17)
    for slack in (1, 5, 64):
        monkeypatch.setattr(knn_part, "_SLACK", slack)
        assert answers(five, KnnIndex(five).search(rows, 30)) == answers(one, expected)


def test_a_scan_finds_the_rows_of_least_distance() -> None:
    """Against numpy in float64, over several runs, halves beyond the range of float16's square included."""
    rng = np.random.default_rng(0)
    keys = (rng.normal(size=(500, D)) * 300).astype(np.float16)
    query = (rng.normal(size=D) * 300).astype(np.float32)
    exact = ((keys.astype(np.float64) - query.astype(np.float64)) ** 2).sum(axis=1)
    distances, rows = knn_scan.nearest_rows(query, keys, 40, lambda: None)
    assert sorted(rows) == sorted(np.argsort(exact)[:40])
    np.testing.assert_allclose(distances, exact[rows], rtol=1e-5)
    assert len(knn_scan.nearest_rows(query, keys[:3], 40, lambda: None)[1]) == 3


# ------------------------------------------------------------------------------------------ lists


def test_all_lists_probed_is_the_exact_answer(listed: Snapshot, one: Snapshot) -> None:
    """With every list, and with `exact`, neighbours are those of a whole scan, bit for bit."""
    rows = np.concatenate([queries(20, seed=6), key_of([], 0)[None]])
    index = KnnIndex(listed)
    expected = KnnIndex(one).search(rows, 40)
    for found in (index.search(rows, 40, nprobe=10_000), index.search(rows, 40, exact=True)):
        assert answers(listed, found) == answers(one, expected)


def test_lists_hold_every_entry_once_with_its_key(listed: Snapshot, one: Snapshot, tokenizer: Tokenizer) -> None:
    """Rows are grouped by nearest centroid, ascending within a list, and the key of each is that of its entry."""
    artefact = next(part for _, part in listed.parts("knn") if part is not None and "nlist" in part.receipt.details)
    details = artefact.receipt.details
    n = artefact.receipt.rows
    assert details["nlist"] == int(4 * n**0.5)
    assert details["recall"] >= 0.95
    keys = np.fromfile(artefact.file("keys.f16"), "<f2").reshape(n, D)
    centroids = np.fromfile(artefact.file("centroids.f32"), "<f4").reshape(-1, D)
    bounds = np.fromfile(artefact.file("bounds.u64"), "<u8").astype(int)
    entries = np.fromfile(artefact.file("entries.u64"), "<u8").astype(int)
    naive = naive_entries(one, tokenizer)[:n]
    np.testing.assert_array_equal(keys, np.stack([naive[i][2] for i in entries]))
    distances = ((keys.astype(np.float64)[:, None] - centroids[None]) ** 2).sum(axis=2)
    for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
        assert (np.diff(entries[begin:end]) > 0).all()
        np.testing.assert_allclose(distances[begin:end, number], distances[begin:end].min(axis=1), rtol=1e-4)
    assert sorted(entries) == list(range(n))
    assert not (artefact.path / "ungrouped.f16").exists()


def test_the_default_number_of_lists_reaches_its_recall(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clustered keys: searched for with keys beside its own, the default finds most of the nearest 64."""
    monkeypatch.setattr(knn_lists, "_RECALL_K", 64)
    centres = np.random.default_rng(0).normal(size=(40, D)).astype(np.float32) * 5

    def clustered(texts: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[npt.NDArray[np.float32]]:
        rng = np.random.default_rng(1)
        for ids in texts:
            picks = rng.integers(0, len(centres), len(ids) + 1)
            yield centres[picks] + rng.normal(size=(len(ids) + 1, D)).astype(np.float32)

    builder = KnnBuilder(DEFAULT_TOKENIZER, SOURCE, clustered, lists_from=100)
    snapshot = build(tmp_path / "store", [documents(prose(300))], tokenizer, builder)
    index = KnnIndex(snapshot)
    rng = np.random.default_rng(2)
    rows = (centres[rng.integers(0, 40, 50)] + rng.normal(size=(50, D))).astype(np.float32)
    exact, probed = index.search(rows, 64, exact=True), index.search(rows, 64)
    recalls = [
        len(set(a) & set(b)) / 64 for a, b in zip(exact.positions.tolist(), probed.positions.tolist(), strict=True)
    ]
    assert part_of(snapshot).receipt.details["nprobe"] < part_of(snapshot).receipt.details["nlist"] / 2
    assert np.mean(recalls) > 0.9


def test_a_query_probes_the_same_lists_alone_and_among_others(listed: Snapshot) -> None:
    """An answer through lists does not depend on its batch."""
    rows = queries(30, seed=7)
    index = KnnIndex(listed)
    together = index.search(rows, 10, nprobe=2)
    for i in range(30):
        alone = index.search(rows[i : i + 1], 10, nprobe=2)
        np.testing.assert_array_equal(alone.positions[0], together.positions[i])
        np.testing.assert_array_equal(alone.distances[0], together.distances[i])


def test_lists_are_probed_until_there_are_k(listed: Snapshot) -> None:
    """One list alone would not fill a large k."""
    found = KnnIndex(listed).search(queries(3), 150, nprobe=1)
    assert (found.positions >= 0).all()


def test_the_same_keys_give_the_same_bytes(listed: Snapshot, tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Lists are built by one thread from a fixed seed."""
    builder = KnnBuilder(DEFAULT_TOKENIZER, SOURCE, make_keys, lists_from=300)
    texts = prose(60)
    again = build(tmp_path / "store", [documents(texts[:45]), documents(texts[45:], 45)], tokenizer, builder)
    for (_, first), (_, second) in zip(listed.parts("knn"), again.parts("knn"), strict=True):
        assert first is not None
        assert second is not None
        assert first.receipt == second.receipt


def test_an_empty_list_is_passed_over() -> None:
    """A centroid that no key was nearest to is no list to read."""
    centroids = np.eye(3, dtype=np.float32)
    lists = KeyLists(centroids, np.array([0, 0, 2, 5]), np.arange(5, dtype=np.uint64), 1)
    assert lists.nearest(centroids[0], 1, None).tolist() == [0, 1]
    assert lists.nearest(centroids[2], 1, None).tolist() == [2]
    assert lists.nearest(centroids[2], 9, None).tolist() == [2, 0, 1]


# ------------------------------------------------------------------------------------------ where entries stand


def test_an_occurrence_is_the_token_that_followed(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Every entry's match is the text of its value, empty at a document's end, with its context on both sides."""
    snapshot = build(tmp_path / "store", [documents(TEXTS[:3]), documents(TEXTS[3:], 3)], tokenizer)
    index = KnnIndex(snapshot)
    for number, segment in enumerate(snapshot.segments):
        position = 0
        for row in range(segment.num_documents):
            document = segment.document(row)
            ids = tokenizer.encode(document.text).tolist()
            for i in range(len(ids) + 1):
                found = index.occurrence(number, position, context_tokens=2)
                assert found.doc_id == document.doc_id
                assert found.begin == len(tokenizer.decode(ids[:i]).encode()) or "\ufffd" in tokenizer.decode(ids[:i])
                text = document.text.encode()
                assert text[found.begin : found.end].decode(errors="replace") == found.match
                assert found.match == (tokenizer.decode(ids[i : i + 1]) if i < len(ids) else "")
                if "\ufffd" not in found.match:
                    assert document.text.startswith(found.after, len(text[: found.end].decode()))
                    assert text[: found.begin].decode().endswith(found.before)
                    assert bool(found.before) == (i > 0)
                position += 1


@pytest.mark.parametrize(("segment", "position"), [(-1, 0), (5, 0), (0, -1), (0, 10**9)])
def test_an_entry_that_is_none_is_refused(five: Snapshot, segment: int, position: int) -> None:
    """Parts and positions come from answers; others are InvalidArgumentError."""
    with pytest.raises(InvalidArgumentError, match="no entry"):
        KnnIndex(five).occurrence(segment, position)


def test_an_index_says_what_it_is(five: Snapshot, tokenizer: Tokenizer) -> None:
    """Model, windows, stream, and the entries of all segments: a token or separator each."""
    index = KnnIndex(five)
    assert (index.model, index.model_fingerprint, index.dimension) == ("hashed", "sha256:1", D)
    assert (index.window_tokens, index.stride_tokens, index.stream_name) == (64, 32, DEFAULT_TOKENIZER)
    assert (index.segments_ok, index.segments_total, index.version) == (5, 5, five.version)
    assert (index.eos_id, index.tokenizer.fingerprint) == (tokenizer.eos_id, tokenizer.fingerprint)
    assert index.num_entries == len(naive_entries(five, tokenizer))


# ------------------------------------------------------------------------------------------ refused


def test_bad_queries_are_refused(one: Snapshot) -> None:
    """Another dimension, a vector instead of rows, numbers that are none, and k and nprobe out of range."""
    index = KnnIndex(one)
    with pytest.raises(DimensionMismatchError, match=f"d={D}"):
        index.search(np.zeros((1, D + 1), np.float32), 1)
    with pytest.raises(InvalidArgumentError, match="shape"):
        index.search(np.zeros(D, np.float32), 1)
    for bad in (np.nan, np.inf, -np.inf, 1e30):
        rows = queries(3)
        rows[1, 2] = bad
        with pytest.raises(InvalidArgumentError, match="query 1"):
            index.search(rows, 1)
    for k in (0, -1, MAX_K + 1):
        with pytest.raises(InvalidArgumentError, match="k is"):
            index.search(queries(1), k)
    with pytest.raises(InvalidArgumentError, match="nprobe is 0"):
        index.search(queries(1), 1, nprobe=0)


def test_a_search_may_be_stopped(one: Snapshot, listed: Snapshot) -> None:
    """`check` is called while keys are read, and what it raises ends the search."""

    def stop() -> None:
        raise CancelledError("enough")

    for snapshot in (one, listed):
        with pytest.raises(CancelledError):
            KnnIndex(snapshot).search(queries(1), 1, check=stop)


def test_an_index_that_is_none_is_refused(one: Snapshot, tmp_path: Path, tokenizer: Tokenizer) -> None:
    """An unknown name, another kind, and an index without a segment each have their error."""
    with pytest.raises(NotFoundError):
        KnnIndex(one, "other")
    with pytest.raises(InvalidArgumentError, match="kind 'tokens'"):
        KnnIndex(one, DEFAULT_TOKENIZER)
    with pytest.raises(FailedPreconditionError, match="no segment yet"):
        KnnIndex(build(tmp_path / "store", [], tokenizer))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 70_000.0, -65_520.0])
def test_a_key_that_float16_does_not_hold_is_refused(tmp_path: Path, tokenizer: Tokenizer, bad: float) -> None:
    """The error names the entry and the model; nothing is published."""

    def broken(texts: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[npt.NDArray[np.float32]]:
        for number, keys in enumerate(make_keys(texts, advance)):
            keys[-1, 3] = bad if number == 1 else 0
            yield keys

    with pytest.raises(InvalidArgumentError, match=r"'hashed' gave entry 5 .* float16"):
        build(tmp_path / "store", [documents(TEXTS)], tokenizer, KnnBuilder(DEFAULT_TOKENIZER, SOURCE, broken))
    assert "knn" not in Store.open(tmp_path / "store").snapshot().manifest.indexes


def test_the_largest_key_of_float16_is_kept(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Its square overflows float16, not the float32 in which lengths and distances are summed."""

    def large(texts: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[npt.NDArray[np.float32]]:
        for keys in make_keys(texts, advance):
            yield np.sign(keys) * np.float32(65_504)

    snapshot = build(tmp_path / "store", [documents(TEXTS)], tokenizer, KnnBuilder(DEFAULT_TOKENIZER, SOURCE, large))
    query = np.sign(key_of([], 0)) * np.float32(65_504)
    assert KnnIndex(snapshot).search(query[None], 1).distances[0, 0] == 0


def test_keys_of_another_number_or_size_are_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """A maker of keys that leaves an entry out, or has another dimension, never becomes an index."""

    def short(texts: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[npt.NDArray[np.float32]]:
        yield np.zeros((1, D), np.float32)

    def wide(texts: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[npt.NDArray[np.float32]]:
        yield np.zeros((1, D + 1), np.float32)

    store = Store.create(tmp_path / "store")
    store.add(documents(TEXTS))
    build_index(store, DEFAULT_TOKENIZER, TokensBuilder(tokenizer))
    with pytest.raises(InternalError, match="gave 1 keys"):
        build_index(store, "knn", KnnBuilder(DEFAULT_TOKENIZER, SOURCE, short))
    with pytest.raises(DimensionMismatchError, match=f"expected \\(m, {D}\\)"):
        build_index(store, "knn", KnnBuilder(DEFAULT_TOKENIZER, SOURCE, wide))


def test_another_configuration_needs_another_name(one: Snapshot, tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Keys of other windows are another index."""
    store = Store.create(tmp_path / "store")
    store.add(documents(TEXTS))
    build_index(store, DEFAULT_TOKENIZER, TokensBuilder(tokenizer))
    build_index(store, "knn", KnnBuilder(DEFAULT_TOKENIZER, SOURCE, make_keys))
    other = KeySource("hashed", "sha256:1", D, window_tokens=64, stride_tokens=64)
    with pytest.raises(AlreadyExistsError, match="--name"):
        build_index(store, "knn", KnnBuilder(DEFAULT_TOKENIZER, other, make_keys))


# ------------------------------------------------------------------------------------------ damage


@pytest.mark.parametrize("name", ["keys.f16", "squares.f32", "centroids.f32", "bounds.u64", "entries.u64"])
def test_truncated_and_missing_files_are_noticed(tmp_path: Path, tokenizer: Tokenizer, name: str) -> None:
    """A file of another size than its receipt's is DataLossError, and verify names it."""
    builder = KnnBuilder(DEFAULT_TOKENIZER, SOURCE, make_keys, lists_from=10)
    snapshot = build(tmp_path / "store", [documents(TEXTS)], tokenizer, builder)
    assert verify_store(tmp_path / "store").damaged == ()
    path = part_of(snapshot).path / name
    sound = path.read_bytes()
    path.write_bytes(sound[:-1])
    with pytest.raises(DataLossError, match=name):
        KnnIndex(snapshot)
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert name in verify_store(tmp_path / "store").damaged[0]
    path.unlink()
    with pytest.raises(DataLossError, match=name):
        KnnIndex(snapshot)


def test_impossible_lists_are_refused(tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that do not ascend are noticed when the index is opened, entries beyond the stream when they are met."""
    monkeypatch.setattr("lodex.index.receipt.BLOCK_BYTES", -1)  # as of files too large to be checked first
    builder = KnnBuilder(DEFAULT_TOKENIZER, SOURCE, make_keys, lists_from=10)
    snapshot = build(tmp_path / "store", [documents(TEXTS)], tokenizer, builder)
    folder = part_of(snapshot).path
    bounds = np.fromfile(folder / "bounds.u64", "<u8")
    for bad in (bounds[::-1], bounds + np.uint64(1)):
        bad.tofile(folder / "bounds.u64")
        with pytest.raises(DataLossError, match="ascending"):
            KnnIndex(snapshot)
    bounds.tofile(folder / "bounds.u64")
    for far in (10**6, 2**64 - 1):
        np.full(part_of(snapshot).receipt.rows, far, "<u8").tofile(folder / "entries.u64")
        with pytest.raises(DataLossError, match="entries beyond"):
            KnnIndex(snapshot).search(queries(1), 1)


def test_keys_of_another_stream_are_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """A part is opened only with the stream that it was made from."""
    one = build(tmp_path / "one", [documents(TEXTS)], tokenizer)
    other = build(tmp_path / "other", [documents(TEXTS[:2])], tokenizer)
    (segment, _), (_, foreign) = one.parts("knn")[0], other.parts(DEFAULT_TOKENIZER)[0]
    assert foreign is not None
    with pytest.raises(DataLossError, match=segment.id):
        knn_part.KnnPart(segment, TokenStream(foreign), part_of(one), D, Deletions.none(segment.num_documents))
