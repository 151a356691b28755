"""DatastoreService and AdminService: what there is to ask, and within which limits."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

import lodex
from lodex.client import Client
from lodex.config import Limits
from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.index.manifest import FORMAT_VERSION
from lodex.index.store import Store
from lodex.index.tokenizer import Tokenizer
from lodex.service.server import Server
from lodex.types import Document
from lodex.v1 import admin_pb2, common_pb2, datastore_pb2


def test_a_store_is_described_with_its_indexes(
    client: Client, store_path: Path, documents: tuple[Document, ...]
) -> None:
    """Sizes, versions and what is particular to each kind of index."""
    store = client.store("docs")
    opened = Store.open(store_path)
    assert (store.name, store.version, store.documents) == ("docs", opened.version, len(documents))
    assert store.text_bytes == sum(len(document.text.encode()) for document in documents)
    assert store.segments == 3
    by_kind = {index.kind: index for index in store.indexes}
    assert set(by_kind) == {"passages", "tokens", "suffix", "dense"}
    assert all(index.segments_ok == index.segments_total == 3 for index in store.indexes)
    tokens = sum(len(Tokenizer.load().encode(document.text)) for document in documents)
    assert by_kind["tokens"].entries == tokens
    assert by_kind["suffix"].entries == tokens + len(documents)
    assert by_kind["dense"].entries == by_kind["passages"].entries == len([d for d in documents if d.text])
    assert by_kind["suffix"].depends_on == (by_kind["tokens"].name,)
    assert by_kind["dense"].depends_on == (by_kind["passages"].name,)
    assert by_kind["suffix"].details["fingerprint"] == Tokenizer.load().fingerprint
    assert by_kind["dense"].details["dimension"] == 384
    assert by_kind["dense"].details["truncated"] == 0
    assert by_kind["passages"].details == {"chunking": "180w"}
    assert all(index.size_bytes > 0 for index in store.indexes)


def test_an_old_version_is_described_as_it_was(client: Client) -> None:
    """Before its indexes were built it had none; a version that never was is not found."""
    assert client.store("docs", version=2).indexes == ()
    assert client.store("docs", version=2).documents < client.store("docs").documents
    with pytest.raises(NotFoundError, match="999"):
        client.store("docs", version=999)


def test_an_index_is_described_by_its_name(client: Client) -> None:
    """One that is not there is not found; the name is required."""

    def get(index: str) -> datastore_pb2.Index:
        request = datastore_pb2.GetIndexRequest(target=common_pb2.IndexRef(store="docs", index=index))
        return client.transport.unary("DatastoreService", "GetIndex", request, 10).index

    assert get("suffix").kind == "suffix"
    assert get("180w").passages.chunking == "180w"
    with pytest.raises(NotFoundError, match=r"dense, .*suffix"):
        get("nothing")
    with pytest.raises(InvalidArgumentError) as caught:
        get("")
    assert caught.value.field == "target.index"


def test_lists_are_paged(serve: Callable[..., Server], store_path: Path) -> None:
    """Stores and indexes come by name, page by page, each once."""
    names = ("a", "b", "docs", "z-9")
    with Client(serve(dict.fromkeys(names, store_path)).address) as client:
        assert tuple(store.name for store in client.stores()) == names
        for method, listing in (
            ("ListStores", datastore_pb2.ListStoresRequest(page_size=3)),
            ("ListIndexes", datastore_pb2.ListIndexesRequest(page_size=3, target=common_pb2.StoreRef(store="docs"))),
        ):
            first = client.transport.unary("DatastoreService", method, listing, 10)
            listing.page_token = first.next_page_token
            second = client.transport.unary("DatastoreService", method, listing, 10)
            pages = [page.stores if method == "ListStores" else page.indexes for page in (first, second)]
            listed = [item.name for page in pages for item in page]
            assert [len(page) for page in pages] == [3, 1]
            assert listed == sorted(set(listed))
            assert not second.next_page_token
            listing.page_token = "nonsense"
            with pytest.raises(InvalidArgumentError) as caught:
                client.transport.unary("DatastoreService", method, listing, 10)
            assert caught.value.field == "page_token"


def test_the_server_describes_itself(client: Client) -> None:
    """Release, formats, limits, models and stores; the default models are known before they are loaded."""
    info = client.info()
    assert info.release == lodex.__version__
    assert info.stores == ("docs",)
    assert [(model.role, model.name, model.default) for model in info.models] == [
        ("embedder", "minilm", True),
        ("language_model", "lodex-mini-lm", True),
        ("reranker", "lodex-mini-rerank", True),
    ]
    assert info.limits["max_k"] == Limits().max_k
    reply = client.transport.unary("AdminService", "GetServerInfo", admin_pb2.GetServerInfoRequest(), 10)
    assert reply.min_format_version <= reply.format_version == FORMAT_VERSION
    assert reply.limits.default_deadline.ToTimedelta().total_seconds() == Limits().default_deadline_s
    assert 0 < time.time() - reply.start_time.ToNanoseconds() / 1e9 < 3600
    assert not reply.draining


def test_every_limit_is_reported() -> None:
    """A limit that the server enforces stands in the contract under the same name."""
    contract = {field.name for field in admin_pb2.Limits.DESCRIPTOR.fields}
    ours = {name.replace("default_deadline_s", "default_deadline") for name in Limits.model_fields}
    assert ours <= contract
