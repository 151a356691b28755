"""Small stores with every kind of artefact, made without models, and the questions that touch every file of one."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer as Trained
from tokenizers import decoders, models, pre_tokenizers, trainers

from lodex.index.dense import DenseIndex
from lodex.index.knn import KnnIndex
from lodex.index.knn_files import KeySource
from lodex.index.ngrams import NgramIndex
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.tokenizer import TokenIds, Tokenizer
from lodex.types import Document, Embeddings, EncoderInfo

D = 4
ENCODER = EncoderInfo(name="hashed", fingerprint="sha256:1", dimension=D, max_tokens=256, normalized=True)
SOURCE = KeySource(model="hashed", fingerprint="sha256:1", dimension=D, window_tokens=64, stride_tokens=32)

PHRASES = ("the", " the lode", " was mined by", "Zürich", " index index", " nothing like it", " datastore")
ABSENT = "no-such-document"


def tiny_tokenizer() -> Tokenizer:
    """A byte-level BPE of 320 tokens, trained on a line."""
    trained = Trained(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    line = "the lode index was mined by the seam, and of ore it was not a datastore on the shaft "
    trained.train_from_iterator([line * 20], trainer)
    return Tokenizer(trained.to_str(), "tiny")


def hashed_vector(key: str) -> npt.NDArray[np.float32]:
    """A vector that points anywhere, always the same for one key."""
    vector = np.random.default_rng(zlib.crc32(key.encode())).normal(size=D)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def embed(texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
    """Texts to vectors by their hashes."""
    advance(len(texts))
    vectors = np.stack([hashed_vector(text) for text in texts])
    return Embeddings(vectors, np.zeros(len(texts), np.bool_), sum(map(len, texts)))


def make_keys(documents: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[npt.NDArray[np.float32]]:
    """A key for each entry from the last three tokens."""
    for ids in documents:
        context = [-1, -1, -1, *ids.tolist()]
        keys = [hashed_vector(repr(context[i : i + 3])) for i in range(len(ids) + 1)]
        for start in range(0, len(keys), 512):
            run = np.stack(keys[start : start + 512])
            advance(len(run))
            yield run


Question = tuple[str, Callable[[Snapshot], Any]]


def questions() -> Iterator[Question]:
    """Each question by a name that begins with what it reads; answers are JSON, floats rounded."""
    yield "documents/all", lambda snapshot: [_document(document) for document in snapshot]
    for doc_id in ("doc-1", "doc-10", "long", ABSENT):
        yield f"documents/has {doc_id}", lambda snapshot, doc_id=doc_id: doc_id in snapshot
    yield "documents/get", lambda snapshot: _document(snapshot.get("doc-3"))
    yield "passages/180w", lambda snapshot: _passages(snapshot, "180w")
    yield "passages/document", lambda snapshot: _passages(snapshot, "document")
    yield "suffix/count", _counts
    yield "suffix/ntd", _distributions
    yield "suffix/infgram", _infgrams
    yield "suffix/search", _occurrences
    yield "dense/exact", lambda snapshot: _nearest(snapshot, exact=True)
    yield "dense/lists", lambda snapshot: _nearest(snapshot, exact=False)
    yield "knn/exact", lambda snapshot: _neighbors(snapshot, exact=True)
    yield "knn/lists", lambda snapshot: _neighbors(snapshot, exact=False)


def answers(store: Store) -> dict[str, Any]:
    """Every question asked of the newest version."""
    snapshot = store.snapshot()
    return {name: ask(snapshot) for name, ask in questions()}


def _document(document: Document) -> list[Any]:
    text = document.text if len(document.text) < 1000 else [len(document.text), zlib.crc32(document.text.encode())]
    fields = [document.source, document.title, document.url, document.date, dict(document.metadata)]
    return [document.doc_id, text, *fields]


def _passages(snapshot: Snapshot, chunking: str) -> list[Any]:
    found = []
    for segment, part in snapshot.parts(chunking):
        if part is None:
            continue
        table = snapshot.passages(segment, chunking)
        passages = map(table.passage, range(table.num_passages))
        found += [[p.id, p.begin, p.end, p.key, zlib.crc32(p.text.encode())] for p in passages]
    return found


def _ngrams(snapshot: Snapshot) -> tuple[NgramIndex, list[list[TokenIds]]]:
    index = NgramIndex(snapshot, "suffix")
    return index, [[index.tokenizer.encode(phrase)] for phrase in PHRASES]


def _counts(snapshot: Snapshot) -> list[int]:
    index, queries = _ngrams(snapshot)
    return [count.count for count in index.count(queries)]


def _distributions(snapshot: Snapshot) -> list[Any]:
    index, prompts = _ngrams(snapshot)
    return [[d.token_ids.tolist(), d.counts.tolist()] for d in index.ntd(prompts)]


def _infgrams(snapshot: Snapshot) -> list[Any]:
    index, prompts = _ngrams(snapshot)
    following = [[index.tokenizer.encode(" the")]] * len(prompts)
    return [[p.prompt_count, p.continuation_count, p.suffix_length] for p in index.infgram_prob(prompts, following)]


def _occurrences(snapshot: Snapshot) -> list[Any]:
    index, queries = _ngrams(snapshot)
    return [
        [found.count, [[o.doc_id, o.begin, o.end, o.before, o.match, o.after] for o in found.occurrences]]
        for found in index.search_docs(queries, page_size=20, context_tokens=4)
    ]


def _nearest(snapshot: Snapshot, exact: bool) -> list[Any]:
    queries = np.stack([hashed_vector(phrase) for phrase in PHRASES])
    index = DenseIndex(snapshot, "dense")
    return [
        [[hit.passage.id, round(hit.score, 4)] for hit in hits]
        for hits in index.search(queries, 5, nprobe=3, exact=exact)
    ]


def _neighbors(snapshot: Snapshot, exact: bool) -> list[Any]:
    queries = np.stack([hashed_vector(phrase) for phrase in PHRASES])
    index = KnnIndex(snapshot, "knn")
    found = index.search(queries, 8, nprobe=3, exact=exact)
    queried = zip(found.segments, found.positions, strict=True)
    where = [[_place(index, *place) for place in zip(*rows, strict=True)] for rows in queried]
    return [np.round(found.distances.astype(float), 4).tolist(), found.token_ids.tolist(), where]


def _place(index: KnnIndex, segment: int, position: int) -> list[Any]:
    found = index.occurrence(int(segment), int(position), 2)
    return [found.doc_id, found.begin]
