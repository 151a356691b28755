"""The embedded handle: the same answers, errors and limits as a server gives, without one."""

import dataclasses
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lodex
from lodex.client import Client, StoreView
from lodex.errors import (
    DuplicateDocumentError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    LodexError,
    NotFoundError,
    UnimplementedError,
)
from lodex.index.ngrams import NgramIndex
from lodex.service.embedded import OpenStore
from lodex.service.indexing import build_suffix_index
from lodex.types import Answers, Conjunction, Document, Rank, Timing
from lodex.v1 import retrieval_pb2

VECTORS = np.random.default_rng(1).normal(size=(2, 384)).astype(np.float32)
NEAR = Conjunction((("the", "a"), ("cat",)), max_distance=2)
CALLS: dict[str, Callable[[StoreView], Any]] = {
    "info": lambda db: db.info(),
    "info of a version": lambda db: db.info(version=4),
    "indexes": lambda db: db.indexes(),
    "documents": lambda db: db.documents(where='source = "tests"', limit=4),
    "search by text": lambda db: db.search(["a pet on a carpet", "how do I read a file?", " "], k=3),
    "search by vectors": lambda db: db.search(vectors=VECTORS, k=20, exact=True),
    "search with nprobe": lambda db: db.search("space flight", nprobe=2),
    "search nothing": lambda db: db.search([]),
    "search with k too large": lambda db: db.search("x", k=10**6),
    "search with wrong vectors": lambda db: db.search(vectors=VECTORS[:, :7]),
    "search with NaN": lambda db: db.search(vectors=np.stack([VECTORS[0], np.full(384, np.nan)])),
    "search another kind": lambda db: db.search("x", index="suffix"),
    "get": lambda db: db.get(["animals", "nothing", "unicode", ""]),
    "passages": lambda db: db.passages(["animals#0", "animals#9", "animals", "files#0"]),
    "passages of no chunking": lambda db: db.passages("animals#0", chunking="256w"),
    "tokenize": lambda db: db.tokenize(["the cat sat", "", "東京"]),
    "tokenize by an index": lambda db: db.tokenize("the cat sat", index="suffix"),
    "tokenize by a dense index": lambda db: db.tokenize("the cat sat", index="dense"),
    "detokenize": lambda db: db.detokenize([[794, 3693], [70_000], []]),
    "count": lambda db: db.count(["the cat", "Cat", "nowhere to be found", [3693], [70_000], "", []]),
    "count literally": lambda db: db.count(["the cat", " cat"], literal=True),
    "count at an old version": lambda db: db.count("cat", version=5),
    "count before the index": lambda db: db.count("cat", version=3),
    "count at no version": lambda db: db.count("cat", version=99),
    "count in no index": lambda db: db.count("cat", index="nothing"),
    "prob": lambda db: db.prob(["the", "nowhere to be found", "the "], "cat"),
    "prob of nothing": lambda db: db.prob("the", ""),
    "ntd": lambda db: db.ntd(["the cat", "", "nowhere to be found"], top_k=4, texts=True),
    "ntd, complete": lambda db: db.ntd(["the", [3693]], top_k=None),
    "ntd with top_k too large": lambda db: db.ntd("the", top_k=10**6),
    "infgram_prob": lambda db: db.infgram_prob(["a purple the cat", "zzz", ""], " sat"),
    "infgram_ntd": lambda db: db.infgram_ntd(["a purple the cat", "zzz", ""], texts=True),
    "search_docs": lambda db: db.search_docs(["cat", "nowhere to be found", "東京", ""], page_size=1, context_tokens=3),
    "search_docs with no page token": lambda db: db.search_docs("cat", page_token="nonsense"),
    "search_docs with too much context": lambda db: db.search_docs("cat", context_tokens=10**6),
    "count near each other": lambda db: db.count([NEAR, Conjunction(()), Conjunction((("cat", [70_000]),)), "cat"]),
    "search_docs of a sample": lambda db: db.search_docs(NEAR, seed=3, where='source = "tests" and title ^= "R"'),
    "search_docs with a wrong filter": lambda db: db.search_docs("cat", where="color = 3"),
    "infgram_prob with support": lambda db: db.infgram_prob("a purple the cat", " sat", min_support=3),
    "infgram_ntd with no support": lambda db: db.infgram_ntd("the cat", min_support=0),
    "infgram_score": lambda db: db.infgram_score(["the cat 東京", [3693], [70_000], ""], max_suffix_length=2),
    "longest_matches": lambda db: db.longest_matches(["the cat 東京", [3693], [70_000], ""]),
    "trace": lambda db: db.trace(["A cat is a small animal. 東京", [3693], [70_000], ""], max_density=1),
    "trace with wrong delimiters": lambda db: db.trace("the cat", delimiters=["", "x"]),
    "find": lambda db: db.find(["cat", NEAR, "nowhere to be found", ""]),
    "locate": lambda db: db.locate([Rank("nothing", 0), Rank(db.find("cat")[0].ranges[0].segment_id, position=1)]),
    "score with no model": lambda db: db.score("the cat", model="nothing"),
    "generate with no model": lambda db: list(db.generate("the cat", model="nothing")),
    "ask with no model": lambda db: list(db.ask("the cat?", model="nothing")),
    "rerank with no model": lambda db: db.rerank("cat", ["a", "b"], model="nothing"),
    "rerank_stream with no model": lambda db: list(db.rerank_stream("cat", ["a", "b"], model="nothing")),
    "another kind of argument": lambda db: db.count("cat", index="dense"),
}


WRITING = {
    *("ingest", "upsert", "delete", "drop", "versions", "tag", "set_alias", "drop_index"),
    *("build_index", "compact", "purge", "gc", "verify", "import_files"),
}
"""What changes a store: test_writing, test_operations and test_ingest_stream compare the two on stores of their own."""


def outcome(call: Callable[[StoreView], Any], view: StoreView) -> Any:
    """What a call gives, as plain values without its timing: an answer, or an error with its class and field."""
    try:
        return plain(call(view))
    except LodexError as error:
        return plain(error)


def plain(value: Any) -> Any:
    if isinstance(value, LodexError):
        return type(value), str(value), vars(value)
    if isinstance(value, Answers):
        return [plain(item) for item in value.items], plain(value.provenance)
    if isinstance(value, Timing):
        return None
    if isinstance(value, np.ndarray):
        return value.dtype, value.tolist()
    if dataclasses.is_dataclass(value):
        return type(value), {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_embedded_and_remote_answer_alike(
    call: Callable[[StoreView], Any], client: Client, embedded: OpenStore
) -> None:
    """The same call gives equal answers, or the same error with the same field, in process and over gRPC."""
    assert outcome(call, embedded) == outcome(call, client["docs"])


def test_every_method_is_compared() -> None:
    """A method that is added to a store's view is added to the comparison."""
    methods = {name for name in vars(StoreView) if not name.startswith("_")}
    used = {name for call in CALLS.values() for name in call.__code__.co_names}
    assert methods <= used | WRITING


def test_embeddings_are_the_same_too(client: Client, embedded: OpenStore) -> None:
    """Embedding belongs to no store; both have it."""
    texts = ["a pet on a carpet", ""]
    here, there = embedded.embed(texts, "query"), client.embed(texts, "query")
    assert plain(here) == plain(there)
    assert embedded.search(vectors=here, k=1)[0] == embedded.search(texts[0], k=1)[0]


def test_nothing_listens(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handle answers where no socket may be made."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", refuse)
    with lodex.open(store_path) as db:
        assert db.count("the cat")[0].count > 0


def test_the_name_is_that_of_the_folder(store_path: Path, tmp_path: Path) -> None:
    """In the form that names have; another can be given."""
    assert lodex.open(store_path).name == "docs"
    assert lodex.open(tmp_path / "My_Docs 2", create=True).name == "my-docs-2"
    assert lodex.open(tmp_path / "2024", create=True).name == "store"
    assert lodex.open(store_path, "other").count("cat").provenance.store == "other"
    with pytest.raises(InvalidArgumentError):
        lodex.open(store_path, "No Name")


def test_the_client_of_a_handle_has_its_store_under_no_name_too(embedded: OpenStore) -> None:
    """One store needs no name."""
    assert embedded.client.count("", "cat").provenance.store == "docs"
    with pytest.raises(NotFoundError):
        embedded.client.count("source", "cat")


def test_there_must_be_a_store(tmp_path: Path) -> None:
    """Opening makes nothing unless it is asked to."""
    with pytest.raises(NotFoundError):
        lodex.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_what_is_added_is_found(tmp_path: Path, documents: tuple[Document, ...]) -> None:
    """Adding publishes the documents and brings the indexes up to date; a duplicate leaves the store as it was."""
    with lodex.open(tmp_path / "docs", create=True) as db:
        build_suffix_index(db.store)
        with pytest.raises(FailedPreconditionError):
            db.count("cat")
        assert db.add(documents[:2]).documents == 2
        before = db.count("cat")
        assert before[0].count == 3
        assert before.provenance.segments_ok == before.provenance.segments_total == 1
        assert db.add(documents[2:]).documents == len(documents) - 2
        after = db.count("cat")
        assert after[0].count == 7
        assert after.provenance.segments_ok == after.provenance.segments_total == 2
        with pytest.raises(DuplicateDocumentError):
            db.add(documents[:1])
        db.add([Document("animals", "no pets")], replace=True)
        assert db.count("cat")[0].count == 4


def test_a_defect_has_its_cause(embedded: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """In process an unknown exception is an InternalError too, but one may look at where it came from."""
    monkeypatch.setattr(NgramIndex, "count", lambda index, queries: 1 // 0)
    with pytest.raises(InternalError) as caught:
        embedded.count("cat")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_what_is_not_built_says_so(embedded: OpenStore) -> None:
    """As a server does, streams included."""
    transport = embedded.client.transport
    with pytest.raises(UnimplementedError, match="SearchStream"):
        list(transport.stream("RetrievalService", "SearchStream", retrieval_pb2.SearchStreamRequest(), None))
