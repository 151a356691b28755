"""Plans that describe a server, its stores and their indexes."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.message import Message

from lodex.client import codec
from lodex.client.plan import Call, Plan
from lodex.types import IndexInfo, ModelInfo, ServerInfo, StoreInfo
from lodex.v1 import admin_pb2, datastore_pb2


def info(*, timeout_s: float | None = None) -> Plan[ServerInfo]:
    """What the server serves, and within which limits."""
    reply = yield Call("AdminService", "GetServerInfo", admin_pb2.GetServerInfoRequest(), timeout_s)
    limits = {name: value for name, value in _fields(reply.limits).items() if isinstance(value, int)}
    return ServerInfo(
        release=reply.release,
        stores=tuple(reply.stores),
        models=tuple(map(_model, reply.models)),
        limits=limits,
        read_only=reply.read_only,
    )


def stores(*, timeout_s: float | None = None) -> Plan[tuple[StoreInfo, ...]]:
    """Every store of the server at its newest version, by name."""
    found: list[StoreInfo] = []
    page_token = None
    while page_token != "":
        request = datastore_pb2.ListStoresRequest(page_token=page_token or "")
        reply = yield Call("DatastoreService", "ListStores", request, timeout_s)
        found.extend(map(store_info, reply.stores))
        page_token = reply.next_page_token
    return tuple(found)


def store(store: str, *, version: int | None = None, timeout_s: float | None = None) -> Plan[StoreInfo]:
    """One version of a store, the newest unless `version` names another."""
    request = datastore_pb2.GetStoreRequest(target=codec.store_ref(store, version))
    reply = yield Call("DatastoreService", "GetStore", request, timeout_s)
    return store_info(reply.store)


def indexes(store: str, *, version: int | None = None, timeout_s: float | None = None) -> Plan[tuple[IndexInfo, ...]]:
    """Every index of a store by name, the token streams and chunkings below them among them."""
    found: list[IndexInfo] = []
    page_token = None
    while page_token != "":
        request = datastore_pb2.ListIndexesRequest(target=codec.store_ref(store, version), page_token=page_token or "")
        reply = yield Call("DatastoreService", "ListIndexes", request, timeout_s)
        found.extend(map(index_info, reply.indexes))
        page_token = reply.next_page_token
    return tuple(found)


def _model(message: admin_pb2.Model) -> ModelInfo:
    return ModelInfo(
        name=message.name,
        role=admin_pb2.ModelRole.Name(message.role).removeprefix("MODEL_ROLE_").lower(),
        fingerprint=message.fingerprint,
        max_tokens=message.max_tokens,
        dimension=message.dimension if message.HasField("dimension") else None,
        normalized=message.normalized,
        default=message.default,
        dimensions=tuple(message.dimensions),
        takes_instruction=message.takes_instruction,
    )


def store_info(message: datastore_pb2.Store) -> StoreInfo:
    """A store as a value."""
    return StoreInfo(
        name=message.name,
        version=message.version,
        documents=message.documents,
        text_bytes=message.text_bytes,
        segments=message.segments,
        deleted_documents=message.deleted_documents,
        read_only=message.read_only,
        indexes=tuple(map(index_info, message.indexes)),
    )


def index_info(message: datastore_pb2.Index) -> IndexInfo:
    """An index as a value."""
    kind = message.WhichOneof("details")
    return IndexInfo(
        name=message.name,
        kind=message.kind,
        segments_ok=message.segments_ok,
        segments_total=message.segments_total,
        entries=message.entries,
        size_bytes=message.size_bytes,
        depends_on=tuple(message.depends_on),
        aliases=tuple(message.aliases),
        config=json.loads(message.config_json or "{}"),
        details=_fields(getattr(message, kind)) if kind else {},
    )


def _fields(message: Message) -> dict[str, Any]:
    """The fields of a flat message by name."""
    return {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
