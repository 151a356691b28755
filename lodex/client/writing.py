"""Plans that write stores: documents out, stores in and out, names of indexes and versions, and jobs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from lodex.client import codec
from lodex.client.description import index_info, store_info
from lodex.client.filters import filter_message
from lodex.client.operation import Started
from lodex.client.plan import Call, Plan
from lodex.client.results import (
    BuildResult,
    CompactResult,
    DeleteResult,
    GarbageResult,
    ImportResult,
    PurgeResult,
    VerifyResult,
    VersionInfo,
)
from lodex.errors import InvalidArgumentError
from lodex.filters import Filter
from lodex.types import StoreInfo
from lodex.v1 import datastore_pb2

SERVICE = "DatastoreService"
# One request has one version, so a deletion of more ids takes several.
_IDS_AT_ONCE = 10_000


def delete(
    store: str,
    doc_ids: str | Sequence[str] | None = None,
    *,
    where: str | Filter | None = None,
    request_id: str | None = None,
    timeout_s: float | None = None,
) -> Plan[DeleteResult]:
    """Delete documents by their ids, or all for which a filter is true; no later version has them.

    Ids that are not there are `missing` in the result. `request_id` makes it idempotent: repeating it deletes nothing
    more. More than 10,000 ids are deleted in several versions.
    """
    if (doc_ids is None) == (where is None):
        raise InvalidArgumentError("a deletion takes either doc_ids or where", "doc_ids")
    if where is not None:
        request = datastore_pb2.DeleteDocumentsRequest(
            store=store, request_id=request_id or "", filter=filter_message(where)
        )
        reply = yield Call(SERVICE, "DeleteDocuments", request, timeout_s)
        return DeleteResult(codec.provenance(reply.info).version, reply.deleted)
    ids = list(codec.lone_text(doc_ids or (), "doc_ids"))
    if not ids:
        raise InvalidArgumentError("doc_ids is empty", "doc_ids")
    version = deleted = 0
    missing: list[str] = []
    for first in range(0, len(ids), _IDS_AT_ONCE):
        some = ids[first : first + _IDS_AT_ONCE]
        part = f"{request_id}.{first // _IDS_AT_ONCE}" if request_id and first else request_id or ""
        request = datastore_pb2.DeleteDocumentsRequest(store=store, doc_ids=some, request_id=part)
        reply = yield Call(SERVICE, "DeleteDocuments", request, timeout_s)
        version, deleted = codec.provenance(reply.info).version, deleted + reply.deleted
        missing += [doc_id for doc_id, result in zip(some, reply.results, strict=True) if result.HasField("error")]
    return DeleteResult(version, deleted, tuple(dict.fromkeys(missing)))


def create_store(store: str, *, timeout_s: float | None = None) -> Plan[StoreInfo]:
    """Make an empty store under the server's root; AlreadyExistsError where the name is taken."""
    request = codec.asked(datastore_pb2.CreateStoreRequest, store=store, request_id=secrets.token_hex(16))
    reply = yield Call(SERVICE, "CreateStore", request, timeout_s)
    return store_info(reply.store)


def drop_store(store: str, *, expected_version: int | None = None, timeout_s: float | None = None) -> Plan[None]:
    """Delete a store with all its versions; ConflictError where `expected_version` is not its newest."""
    request = codec.asked(datastore_pb2.DeleteStoreRequest, store=store, expected_version=expected_version)
    yield Call(SERVICE, "DeleteStore", request, timeout_s)


def versions(store: str, *, limit: int | None = None, timeout_s: float | None = None) -> Plan[tuple[VersionInfo, ...]]:
    """The versions of a store, newest first; `limit` is how many, None all that are kept."""
    found: list[VersionInfo] = []
    request = datastore_pb2.ListVersionsRequest(store=store, page_size=1000)
    while limit is None or len(found) < limit:
        reply = yield Call(SERVICE, "ListVersions", request, timeout_s)
        found.extend(map(_version, reply.versions))
        request.page_token = reply.next_page_token
        if not request.page_token:
            break
    return tuple(found[:limit])


def tag(
    store: str, tag: str, *, version: int | None = None, remove: bool = False, timeout_s: float | None = None
) -> Plan[VersionInfo]:
    """Name a version, the newest unless given, so that it is kept; or take the name away."""
    target = codec.store_ref(store, version)
    request = codec.asked(datastore_pb2.TagVersionRequest, target=target, tag=tag, remove=remove)
    reply = yield Call(SERVICE, "TagVersion", request, timeout_s)
    return _version(reply.version)


def set_alias(store: str, alias: str, index: str | None, *, timeout_s: float | None = None) -> Plan[int]:
    """Point an alias at an index, or drop it where `index` is None; the first version with that."""
    request = codec.asked(datastore_pb2.SetAliasRequest, store=store, alias=alias, index=index or "")
    reply = yield Call(SERVICE, "SetAlias", request, timeout_s)
    return codec.provenance(reply.info).version


def drop_index(store: str, index: str, *, timeout_s: float | None = None) -> Plan[int]:
    """Drop an index from later versions; the first version without it."""
    request = codec.asked(datastore_pb2.DeleteIndexRequest, store=store, index=index)
    reply = yield Call(SERVICE, "DeleteIndex", request, timeout_s)
    return codec.provenance(reply.info).version


def build_index(
    store: str,
    index: str,
    kind: str = "",
    config: Mapping[str, Any] | None = None,
    *,
    request_id: str | None = None,
    timeout_s: float | None = None,
) -> Plan[Started[BuildResult]]:
    """Build an index over the segments that lack it, or a new one of a kind with a configuration."""
    request = codec.asked(
        datastore_pb2.BuildIndexRequest,
        store=store,
        index=index,
        kind=kind,
        config_json=json.dumps(dict(config)) if config else "",
        request_id=request_id or secrets.token_hex(16),
    )
    reply = yield Call(SERVICE, "BuildIndex", request, timeout_s)
    return Started(
        reply,
        datastore_pb2.BuildIndexResponse,
        lambda done: BuildResult(codec.provenance(done.info).version, index_info(done.index)),
    )


def compact(
    store: str, *, full: bool = False, request_id: str | None = None, timeout_s: float | None = None
) -> Plan[Started[CompactResult]]:
    """Merge small segments and those with many deleted documents; with `full`, all there are."""
    request = datastore_pb2.CompactStoreRequest(store=store, full=full, request_id=request_id or secrets.token_hex(16))
    reply = yield Call(SERVICE, "CompactStore", request, timeout_s)
    return Started(
        reply,
        datastore_pb2.CompactStoreResponse,
        lambda done: CompactResult(codec.provenance(done.info).version, done.segments_before, done.segments_after),
    )


def purge(store: str, *, request_id: str | None = None, timeout_s: float | None = None) -> Plan[Started[PurgeResult]]:
    """Remove the bytes of deleted documents from every version."""
    request = datastore_pb2.PurgeStoreRequest(store=store, request_id=request_id or secrets.token_hex(16))
    reply = yield Call(SERVICE, "PurgeStore", request, timeout_s)
    return Started(
        reply,
        datastore_pb2.PurgeStoreResponse,
        lambda done: PurgeResult(codec.provenance(done.info).version, done.documents, done.versions, done.bytes),
    )


def gc(
    store: str,
    *,
    keep_versions: int | None = None,
    grace_s: int | None = None,
    dry_run: bool = False,
    request_id: str | None = None,
    timeout_s: float | None = None,
) -> Plan[Started[GarbageResult]]:
    """Remove old versions, and files that none needs; `keep_versions` and `grace_s` are 10 and a day unless given."""
    request = codec.asked(
        datastore_pb2.CollectGarbageRequest,
        store=store,
        keep_versions=keep_versions,
        grace_s=grace_s,
        dry_run=dry_run,
        request_id=request_id or secrets.token_hex(16),
    )
    reply = yield Call(SERVICE, "CollectGarbage", request, timeout_s)
    return Started(
        reply,
        datastore_pb2.CollectGarbageResponse,
        lambda done: GarbageResult(done.versions, done.files, done.bytes),
    )


def verify(
    store: str, *, version: int | None = None, request_id: str | None = None, timeout_s: float | None = None
) -> Plan[Started[VerifyResult]]:
    """Check every file of a version against its checksum."""
    request = datastore_pb2.VerifyStoreRequest(
        target=codec.store_ref(store, version), request_id=request_id or secrets.token_hex(16)
    )
    reply = yield Call(SERVICE, "VerifyStore", request, timeout_s)
    return Started(
        reply,
        datastore_pb2.VerifyStoreResponse,
        lambda done: VerifyResult(
            codec.provenance(done.info).version,
            done.files,
            done.bytes,
            tuple(damage.reason for damage in done.damages),
        ),
    )


def import_files(
    store: str,
    inputs: str | Sequence[str],
    *,
    replace: bool = False,
    stop_on_error: bool = False,
    fields: Mapping[str, str] | None = None,
    request_id: str | None = None,
    timeout_s: float | None = None,
) -> Plan[Started[ImportResult]]:
    """Add documents from files that the server can read, within its import roots.

    `fields` are the names of fields in the files, by the field of Document that they become.
    """
    request = codec.asked(
        datastore_pb2.ImportFilesRequest,
        store=store,
        inputs=codec.lone_text(inputs, "inputs"),
        replace=replace,
        stop_on_error=stop_on_error,
        fields=dict(fields or {}),
        request_id=request_id or secrets.token_hex(16),
    )
    reply = yield Call(SERVICE, "ImportFiles", request, timeout_s)
    return Started(reply, datastore_pb2.ImportFilesResponse, _imported)


def _imported(done: datastore_pb2.ImportFilesResponse) -> ImportResult:
    sums = done.summary
    examples = tuple(rejected.error.message for rejected in done.rejected)
    return ImportResult(sums.version, sums.documents, sums.replaced, sums.rejected, sums.text_bytes, examples)


def _version(message: datastore_pb2.Version) -> VersionInfo:
    return VersionInfo(
        version=message.version,
        parent=message.parent if message.HasField("parent") else None,
        time=message.publish_time.ToDatetime(UTC),
        change=message.change,
        documents=message.documents,
        segments=message.segments,
        tags=tuple(message.tags),
    )
