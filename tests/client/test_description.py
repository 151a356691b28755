"""What the clients tell of a server, its stores and their indexes."""

from collections.abc import Callable
from typing import Any

from google.protobuf import duration_pb2

from lodex.types import IndexInfo, ModelInfo
from lodex.v1 import admin_pb2, datastore_pb2

Ask = Callable[..., Any]


def index(name: str) -> datastore_pb2.Index:
    details = datastore_pb2.DenseDetails(model="minilm", fingerprint="f00d", dimension=384, chunking="180w")
    return datastore_pb2.Index(
        name=name, kind="dense", depends_on=["180w"], config_json='{"model": "minilm"}', segments_ok=1,
        segments_total=2, entries=10, size_bytes=99, dense=details,
    )  # fmt: skip


def test_a_server_tells_its_limits_and_models(server: Any, ask: Ask) -> None:
    """Limits come by name, roles in plain words, and an absent dimension is None."""
    models = [
        admin_pb2.Model(name="minilm", role=admin_pb2.MODEL_ROLE_EMBEDDER, fingerprint="f00d", dimension=384),
        admin_pb2.Model(name="mini-lm", role=admin_pb2.MODEL_ROLE_LANGUAGE_MODEL, default=True),
    ]
    limits = admin_pb2.Limits(max_batch_items=1024, default_deadline=duration_pb2.Duration(seconds=30))
    reply = admin_pb2.GetServerInfoResponse(release="0.1.0", limits=limits, models=models, stores=["docs"])
    server.on("AdminService.GetServerInfo", reply)
    info = ask("info")
    assert (info.release, info.stores, info.read_only) == ("0.1.0", ("docs",), False)
    assert (info.limits["max_batch_items"], info.limits["max_k"]) == (1024, 0)
    assert info.models == (
        ModelInfo("minilm", "embedder", "f00d", 0, 384, normalized=False, default=False),
        ModelInfo("mini-lm", "language_model", "", 0, None, normalized=False, default=True),
    )


def test_all_pages_of_stores_are_read(server: Any, ask: Ask) -> None:
    """The list is whole however the server cuts it."""
    pages = {
        "": datastore_pb2.ListStoresResponse(stores=[{"name": "a", "version": 3}], next_page_token="2"),
        "2": datastore_pb2.ListStoresResponse(stores=[{"name": "b", "documents": 5}]),
    }

    async def page(request: Any, context: Any) -> Any:
        return pages[request.page_token]

    server.on("DatastoreService.ListStores", page)
    first, second = ask("stores")
    assert (first.name, first.version, second.name, second.documents) == ("a", 3, "b", 5)


def test_a_store_lists_its_indexes(server: Any, ask: Ask) -> None:
    """An index says over how many segments it is built, with its configuration and what is particular to it."""
    store = datastore_pb2.Store(
        name="docs", version=7, documents=2, text_bytes=30, segments=2, indexes=[index("dense")]
    )
    server.on("DatastoreService.GetStore", datastore_pb2.GetStoreResponse(store=store))
    info = ask("store", "docs", version=7)
    assert (info.name, info.version, info.documents, info.text_bytes, info.segments) == ("docs", 7, 2, 30, 2)
    details = {"model": "minilm", "fingerprint": "f00d", "dimension": 384, "chunking": "180w"}
    assert info.indexes == (
        IndexInfo(
            "dense", "dense", 1, 2, 10, 99, ("180w",), (), {"model": "minilm"},
            details | {"truncated": 0, "normalized": False},
        ),
    )  # fmt: skip
    assert server.requests[0].target.version == 7


def test_all_pages_of_indexes_are_read(server: Any, ask: Ask) -> None:
    """The list is whole however the server cuts it."""
    pages = {
        "": datastore_pb2.ListIndexesResponse(indexes=[index("a")], next_page_token="2"),
        "2": datastore_pb2.ListIndexesResponse(indexes=[index("b")]),
    }

    async def page(request: Any, context: Any) -> Any:
        return pages[request.page_token]

    server.on("DatastoreService.ListIndexes", page)
    assert [info.name for info in ask("indexes", "docs")] == ["a", "b"]
