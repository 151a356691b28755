"""The dense index against brute force in numpy, in one segment and several, scanned whole and through lists."""

import itertools
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.errors import (
    AlreadyExistsError,
    DataLossError,
    DimensionMismatchError,
    FailedPreconditionError,
    FingerprintMismatchError,
    InvalidArgumentError,
    NotFoundError,
)
from lodex.index.build import build_index
from lodex.index.dense import MAX_K, DenseIndex
from lodex.index.dense_build import DenseBuilder
from lodex.index.dense_ivf import InvertedLists, build_lists, choose_nprobe
from lodex.index.passages import PassagesBuilder
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.types import Document, Embeddings, EncoderInfo

D = 16
INFO = EncoderInfo(name="hashed", fingerprint="sha256:1", dimension=D, max_tokens=256, normalized=True)


def vector_of(text: str) -> npt.NDArray[np.float32]:
    vector = np.random.default_rng(zlib.crc32(text.encode())).normal(size=D)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def embed(texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
    """Equal texts have equal vectors, others point anywhere; a text of over 20 characters counts as truncated."""
    advance(len(texts))
    vectors = np.stack([vector_of(text) for text in texts])
    return Embeddings(vectors, np.array([len(text) > 20 for text in texts]), sum(map(len, texts)))


def build(path: Path, batches: Iterable[Iterable[Document]], builder: DenseBuilder | None = None) -> Snapshot:
    """A store with one segment for each batch, whole documents as passages, and a dense index."""
    store = Store.create(path)
    for batch in batches:
        store.add(batch)
    build_index(store, "document", PassagesBuilder("document"))
    return build_index(store, "dense", builder or DenseBuilder("document", INFO, embed))


def documents(texts: Iterable[str], first: int = 0) -> list[Document]:
    return [Document(f"doc-{i}", text) for i, text in enumerate(texts, first)]


def queries(n: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)


def brute_force(snapshot: Snapshot, query: npt.NDArray[np.float32], k: int) -> list[tuple[float, str]]:
    """(score, key) of the best k passages, from texts and nothing else."""
    scored = []
    for segment in snapshot.segments:
        table = snapshot.passages(segment, "document")
        for i in range(table.num_passages):
            score = np.float32(vector_of(table.text(i)).astype(np.float64) @ query.astype(np.float64))
            scored.append((float(score), table.key(i).hex()))
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:k]


def answers(index: DenseIndex, rows: npt.NDArray[np.float32], k: int, **how: object) -> list[list[tuple[float, str]]]:
    return [[(hit.score, hit.passage.key) for hit in hits] for hits in index.search(rows, k, **how)]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """300 passages in three segments, most texts twice or more in different segments."""
    texts = [f"text {i % 90}" for i in range(300)]
    batches = [documents(texts[a:b], a) for a, b in ((0, 100), (100, 130), (130, 300))]
    return build(tmp_path_factory.mktemp("dense") / "store", batches)


@settings(max_examples=25, deadline=None)
@given(
    picks=st.lists(st.integers(0, 12), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=2),
    k=st.integers(1, 70),
)
def test_answers_equal_brute_force_over_any_segments(tmp_path_factory, picks, cuts, k):
    """Scores and order are those of numpy, ties by key, whatever the segments and however many texts are equal."""
    texts = [f"text {pick}" for pick in picks]
    borders = sorted({0, len(texts), *(cut for cut in cuts if cut < len(texts))})
    batches = [documents(texts[a:b], a) for a, b in itertools.pairwise(borders)]
    snapshot = build(tmp_path_factory.mktemp("dense") / "store", batches)
    rows = np.concatenate([queries(2), vector_of("text 3")[None]])
    assert answers(DenseIndex(snapshot), rows, k) == [brute_force(snapshot, query, k) for query in rows]


def test_a_tie_at_the_cut_is_broken_by_key_however_many_tie(tmp_path: Path) -> None:
    """Of 500 passages with one vector the five with the lowest keys are given, over two segments."""
    same = ["same"] * 500
    snapshot = build(tmp_path / "store", [documents(same[:200]), documents(same[200:], 200)])
    query = vector_of("same")
    assert answers(DenseIndex(snapshot), query[None], 5) == [brute_force(snapshot, query, 5)]


def test_a_query_of_zeros_ties_with_everything(three: Snapshot) -> None:
    """Every score is 0, so the order is that of the keys."""
    (found,) = answers(DenseIndex(three), np.zeros((1, D), np.float32), 7)
    assert found == brute_force(three, np.zeros(D, np.float32), 7)


def test_an_answer_does_not_depend_on_its_batch(three: Snapshot) -> None:
    """A query alone is answered as it is among 64, score for score."""
    index = DenseIndex(three)
    rows = queries(64)
    together = answers(index, rows, 10)
    assert [answers(index, row[None], 10)[0] for row in rows] == together


def test_more_passages_than_there_are_give_all_of_them(three: Snapshot) -> None:
    """A k beyond the number of passages is no error."""
    assert [len(hits) for hits in DenseIndex(three).search(queries(2), 1000)] == [300, 300]


def test_a_hit_carries_its_passage(three: Snapshot) -> None:
    """The nearest passage of a text's own vector has that text, score 1 and a document to cite."""
    (hits,) = DenseIndex(three).search(vector_of("text 42")[None], 1)
    assert hits[0].passage.text == "text 42"
    assert hits[0].score == pytest.approx(1)
    assert three.get(hits[0].passage.doc_id).text == "text 42"


def test_documents_of_matches_are_named_without_their_text(three: Snapshot) -> None:
    """`doc_ids` gives the documents of `nearest`, in its order."""
    index = DenseIndex(three)
    (hits,) = index.search(queries(1), 20)
    (matches,) = index.nearest(queries(1), 20)
    assert index.doc_ids(matches) == [hit.passage.doc_id for hit in hits]


def test_a_title_is_embedded_before_the_passage(tmp_path: Path) -> None:
    """Title, a space and the text; the text alone where there is no title."""
    seen: list[str] = []

    def record(texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
        seen.extend(texts)
        return embed(texts, advance)

    batch = [Document("a", "first", title="A title"), Document("b", "second")]
    build(tmp_path / "store", [batch], DenseBuilder("document", INFO, record))
    assert seen == ["A title first", "second"]


def test_the_share_of_truncated_passages_is_recorded(tmp_path: Path) -> None:
    """The receipt and the index say how many passages the embedder cut."""
    snapshot = build(tmp_path / "store", [documents(["short", "x" * 21, "y" * 20]), documents(["z" * 100], 3)])
    index = DenseIndex(snapshot)
    assert (index.num_passages, index.num_truncated) == (4, 2)
    assert snapshot.parts("dense")[0][1].receipt.details["tokens"] == 46


def test_blocks_of_passages_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Embedding a few passages or bytes at a time writes the same vectors."""
    batch = documents(f"text {i}" for i in range(50))
    whole = build(tmp_path / "whole", [batch]).parts("dense")[0][1].receipt
    monkeypatch.setattr("lodex.index.dense_build.SHARD_ROWS", 7)
    assert build(tmp_path / "few", [batch]).parts("dense")[0][1].receipt.files == whole.files
    monkeypatch.setattr("lodex.index.dense_build.SHARD_BYTES", 3)
    assert build(tmp_path / "one", [batch]).parts("dense")[0][1].receipt.files == whole.files


def test_an_empty_document_chunked_to_nothing_is_no_hindrance(tmp_path: Path) -> None:
    """A segment without passages is built, opened and searched, alone and beside another."""
    store = Store.create(tmp_path / "store")
    store.add([Document("empty", "")])
    build_index(store, "180w", PassagesBuilder("180w"))
    builder = DenseBuilder("180w", INFO, embed)
    assert DenseIndex(build_index(store, "dense", builder)).search(queries(2), 3) == [[], []]
    store.add([Document("full", "word")])
    build_index(store, "180w", PassagesBuilder("180w"))
    hits = DenseIndex(build_index(store, "dense", builder)).search(queries(1), 3)[0]
    assert [hit.passage.doc_id for hit in hits] == ["full"]


def test_a_store_without_segments_has_no_hits(tmp_path: Path) -> None:
    """An index over nothing answers with nothing."""
    index = DenseIndex(build(tmp_path / "store", []))
    assert (index.search(queries(2), 3), index.segments_total) == ([[], []], 0)


def test_a_segment_that_is_not_built_yet_is_counted(tmp_path: Path) -> None:
    """The index answers from the segments it has and says that one is missing."""
    build(tmp_path / "store", [documents(["one"])])
    Store.open(tmp_path / "store").add(documents(["two"], 1))
    index = DenseIndex(Store.open(tmp_path / "store").snapshot())
    assert (index.segments_ok, index.segments_total, len(index.search(queries(1), 9)[0])) == (1, 2, 1)


def test_no_queries_give_no_answers(three: Snapshot) -> None:
    """An empty batch is answered by an empty list."""
    assert DenseIndex(three).search(queries(0), 3) == []


# ------------------------------------------------------------------------------------------ inverted lists


@pytest.fixture(scope="module")
def clustered() -> npt.NDArray[np.float32]:
    """4,000 vectors around 100 centres."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(100, D)).repeat(40, 0) + 0.4 * rng.normal(size=(4000, D))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def embed_rows(vectors: npt.NDArray[np.float32]) -> Callable[[Sequence[str], Callable[[int], None]], Embeddings]:
    """An embedder that reads a text as the number of its row."""

    def embed_row(texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
        return Embeddings(vectors[[int(text) for text in texts]], np.zeros(len(texts), np.bool_))

    return embed_row


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory, clustered: npt.NDArray[np.float32]) -> Snapshot:
    """Two segments: one large enough for inverted lists, one scanned."""
    batches = [documents(map(str, range(3500))), documents(map(str, range(3500, 4000)), 3500)]
    builder = DenseBuilder("document", INFO, embed_rows(clustered), ivf_from=1000)
    return build(tmp_path_factory.mktemp("lists") / "store", batches, builder)


def test_lists_reach_the_recall_that_is_recorded(listed: Snapshot, clustered: npt.NDArray[np.float32]) -> None:
    """Passages searched for by their own vectors: at least 95 % of the exact ten, with fewer lists than there are."""
    index = DenseIndex(listed)
    rows = clustered[7::40]
    found, exact = (index.nearest(rows, 10, exact=how) for how in (False, True))
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact, strict=True)])
    details = listed.parts("dense")[0][1].receipt.details
    assert recall >= 0.94  # the recorded 0.95 is measured on other passages
    assert details["recall_at_10"] >= 0.95
    assert 1 <= details["nprobe"] < details["nlist"] == int(4 * 3500**0.5)


def test_the_smaller_segment_has_no_lists(listed: Snapshot) -> None:
    """Each segment decides by its own size."""
    parts = [part for _, part in listed.parts("dense")]
    assert [sorted(part.receipt.files) for part in parts] == [["lists.faiss", "vectors.f32"], ["vectors.f32"]]


def test_all_lists_probed_equal_the_exact_answer(listed: Snapshot) -> None:
    """With every list probed, scores and order are those of the scan."""
    index = DenseIndex(listed)
    assert index.nearest(queries(20), 10, nprobe=10**6) == index.nearest(queries(20), 10, exact=True)


def test_few_lists_still_give_k_passages(listed: Snapshot) -> None:
    """Where the lists probed hold fewer than k, more are probed."""
    assert [len(found) for found in DenseIndex(listed).nearest(queries(3), 2000, nprobe=1)] == [2000] * 3


def test_answers_from_lists_do_not_depend_on_their_batch(listed: Snapshot) -> None:
    """A query alone is answered as it is among 50."""
    index = DenseIndex(listed)
    rows = queries(50)
    assert [index.nearest(row[None], 10)[0] for row in rows] == index.nearest(rows, 10)


def test_lists_are_the_same_bytes_with_any_threads(tmp_path: Path, clustered: npt.NDArray[np.float32]) -> None:
    """The same vectors give the same file, and the caller's number of threads is left as it was."""
    before = faiss.omp_get_max_threads()
    files = []
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        try:
            build_lists(clustered, tmp_path / f"{threads}.faiss")
            assert faiss.omp_get_max_threads() == threads
        finally:
            faiss.omp_set_num_threads(before)
        files.append((tmp_path / f"{threads}.faiss").read_bytes())
    assert files[0] == files[1]


def test_nprobe_is_the_least_that_reaches_the_target() -> None:
    """The next lower number of lists misses the recall asked for; where none reaches it, all lists are probed."""
    vectors = queries(3000)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = faiss.index_factory(D, "IVF64,SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    lists = InvertedLists(index, 64)
    chosen = [choose_nprobe(lists, vectors, target) for target in (0.5, 0.8, 0.95)]
    assert [nprobe for nprobe, _ in chosen] == sorted({nprobe for nprobe, _ in chosen})
    assert all(recall >= target for (_, recall), target in zip(chosen, (0.5, 0.8, 0.95), strict=True))
    for nprobe, recall in chosen:
        assert choose_nprobe(lists, vectors, recall)[0] == nprobe
    assert choose_nprobe(lists, vectors, 1.1)[0] == 64


# ------------------------------------------------------------------------------------------ hostile input


def test_vectors_of_another_dimension_are_refused(three: Snapshot) -> None:
    """The message gives both dimensions."""
    with pytest.raises(DimensionMismatchError, match=r"d=8.*d=16") as caught:
        DenseIndex(three).search(np.zeros((1, 8), np.float32), 3)
    assert caught.value.field == "queries"


def test_one_vector_without_its_batch_is_refused(three: Snapshot) -> None:
    """A row must come as a batch of one."""
    with pytest.raises(InvalidArgumentError, match=r"shape \(16,\)"):
        DenseIndex(three).search(np.zeros(D, np.float32), 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_numbers_that_cannot_be_compared_are_named_by_row(three: Snapshot, bad: float) -> None:
    """NaN, infinity and what would overflow are wrong input, found by the row that has them."""
    rows = queries(3)
    rows[1, 4] = bad
    with pytest.raises(InvalidArgumentError, match="query 1") as caught:
        DenseIndex(three).search(rows, 3)
    assert caught.value.field == "queries[1]"


@pytest.mark.parametrize(("field", "arguments"), [("k", (0,)), ("k", (MAX_K + 1,)), ("nprobe", (3, 0))])
def test_limits_are_kept(three: Snapshot, field: str, arguments: tuple[int, ...]) -> None:
    """Neither k nor nprobe may be below 1, nor k above its maximum; the field at fault is named."""
    with pytest.raises(InvalidArgumentError) as caught:
        DenseIndex(three).search(queries(1), *arguments)
    assert caught.value.field == field


def test_vectors_of_another_embedder_are_refused(three: Snapshot) -> None:
    """The same name and dimension with another fingerprint is another embedder."""
    index = DenseIndex(three)
    index.check_encoder(INFO)
    other = EncoderInfo(name="hashed", fingerprint="sha256:2", dimension=D, max_tokens=256, normalized=True)
    with pytest.raises(FingerprintMismatchError, match=r"sha256:1.*sha256:2"):
        index.check_encoder(other)


def test_another_embedder_cannot_extend_the_index(tmp_path: Path) -> None:
    """Building under the same name with another embedder is refused, so one index never holds two kinds of vector."""
    build(tmp_path / "store", [documents(["one"])])
    store = Store.open(tmp_path / "store")
    store.add(documents(["two"], 1))
    build_index(store, "document", PassagesBuilder("document"))
    other = EncoderInfo(name="hashed", fingerprint="sha256:2", dimension=D, max_tokens=256, normalized=True)
    with pytest.raises(AlreadyExistsError, match="another configuration"):
        build_index(store, "dense", DenseBuilder("document", other, embed))


def test_an_unknown_index_and_one_of_another_kind_are_told_apart(three: Snapshot) -> None:
    """No such name is not found; a chunking is no dense index."""
    with pytest.raises(NotFoundError, match="nothing"):
        DenseIndex(three, "nothing")
    with pytest.raises(InvalidArgumentError, match="of kind 'passages'"):
        DenseIndex(three, "document")


def test_the_chunking_must_be_built_first(tmp_path: Path) -> None:
    """Without passages there is nothing to embed, and the message names what is missing."""
    store = Store.create(tmp_path / "store")
    store.add(documents(["one"]))
    with pytest.raises(FailedPreconditionError, match="'180w'"):
        build_index(store, "dense", DenseBuilder("180w", INFO, embed))


@pytest.mark.parametrize(
    ("vectors", "error", "complaint"),
    [
        (np.zeros((1, 3), np.float32), DimensionMismatchError, r"\(1, 3\)"),
        (np.full((1, D), np.nan, np.float32), InvalidArgumentError, "not finite"),
    ],
)
def test_an_embedder_that_breaks_its_word_is_refused(tmp_path: Path, vectors, error, complaint: str) -> None:
    """Wrong shapes and NaN never reach the disk; the store stays at its version."""

    def broken(texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
        return Embeddings(vectors, np.zeros(1, np.bool_))

    store = Store.create(tmp_path / "store")
    store.add(documents(["one"]))
    version = build_index(store, "document", PassagesBuilder("document")).version
    with pytest.raises(error, match=complaint):
        build_index(store, "dense", DenseBuilder("document", INFO, broken))
    assert store.snapshot().version == version


def damage(path: Path, change: Callable[[bytes], bytes]) -> None:
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(change(data))


@pytest.mark.parametrize("file", ["vectors.f32", "lists.faiss"])
def test_a_file_cut_short_is_data_loss(tmp_path: Path, clustered: npt.NDArray[np.float32], file: str) -> None:
    """Opening a truncated file fails before it is mapped."""
    builder = DenseBuilder("document", INFO, embed_rows(clustered), ivf_from=50)
    snapshot = build(tmp_path / "store", [documents(map(str, range(60)))], builder)
    damage(snapshot.parts("dense")[0][1].path / file, lambda data: data[:-1])
    with pytest.raises(DataLossError, match=file):
        DenseIndex(snapshot)


@pytest.mark.parametrize("position", [0, 4, 100, -1])
def test_one_bit_of_the_lists_is_data_loss(tmp_path: Path, clustered: npt.NDArray[np.float32], position: int) -> None:
    """A damaged list file is noticed on opening, before any native code reads it."""
    builder = DenseBuilder("document", INFO, embed_rows(clustered), ivf_from=50)
    snapshot = build(tmp_path / "store", [documents(map(str, range(60)))], builder)

    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[position] ^= 1
        return bytes(changed)

    damage(snapshot.parts("dense")[0][1].path / "lists.faiss", flip)
    with pytest.raises(DataLossError, match="checksum"):
        DenseIndex(snapshot)
