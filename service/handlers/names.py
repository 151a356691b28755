"""DatastoreService, the part that names: versions and their tags, aliases of indexes, indexes that are dropped."""

from __future__ import annotations

from itertools import islice
from typing import ClassVar

from lodex.config import Limits
from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.index.aliases import drop_index, set_alias
from lodex.index.history import VersionInfo, tag, untag, version_of_tag, versions
from lodex.index.store import Store
from lodex.service.call import Call, looks_up
from lodex.service.catalog import View
from lodex.service.paging import Page, decode_page, encode_page, page_size
from lodex.service.writing import WriteAccess
from lodex.v1 import datastore_pb2

_DEFAULT_PAGE = 50


class NamesHandler:
    """Tells the history of stores, and changes what their versions and indexes are called."""

    SERVICE: ClassVar[str] = "DatastoreService"

    def __init__(self, access: WriteAccess, limits: Limits) -> None:
        self._access = access
        self._limits = limits

    @looks_up
    def list_versions(
        self, request: datastore_pb2.ListVersionsRequest, call: Call
    ) -> datastore_pb2.ListVersionsResponse:
        """The versions that are kept, newest first."""
        store = self._access.catalog.require(request.store)
        listing = datastore_pb2.ListVersionsRequest(store=request.store)
        page = decode_page(request.page_token, listing, "page_token")
        if page.cursor and not page.cursor.isdecimal():
            raise InvalidArgumentError("page_token is not a page token", "page_token")
        size = page_size(request.page_size, _DEFAULT_PAGE, self._limits.max_page_size)
        before = int(page.cursor) if page.cursor else None
        reply = datastore_pb2.ListVersionsResponse()
        found = versions(store.path, before)
        for version in islice(found, size):
            call.check()
            reply.versions.append(describe_version(version))
        if len(reply.versions) == size and next(found, None) is not None:
            reply.next_page_token = encode_page(Page(str(reply.versions[-1].version)), listing)
        return reply

    async def tag_version(
        self, request: datastore_pb2.TagVersionRequest, call: Call
    ) -> datastore_pb2.TagVersionResponse:
        """Name a version, or take the name away."""
        target = request.target
        store = self._access.require(target.store, "target.store")
        version = target.version if target.HasField("version") else None
        if version is not None and version < 1:
            raise InvalidArgumentError(f"versions begin at 1, got {version}", "target.version")
        return await call.run(self._tag, store, request.tag, version, request.remove, writes=self._name(target.store))

    async def set_alias(self, request: datastore_pb2.SetAliasRequest, call: Call) -> datastore_pb2.SetAliasResponse:
        """Point an alias at an index, or drop it."""
        self._access.require(request.store)
        view = await call.run(self._set_alias, request, writes=self._name(request.store))
        reply = datastore_pb2.SetAliasResponse()
        reply.info.sources.append(view.provenance(request.index))
        return reply

    async def delete_index(
        self, request: datastore_pb2.DeleteIndexRequest, call: Call
    ) -> datastore_pb2.DeleteIndexResponse:
        """Leave an index out of later versions."""
        self._access.require(request.store)
        if not request.index:
            raise InvalidArgumentError("index is required", "index")
        view = await call.run(self._drop, request, writes=self._name(request.store))
        reply = datastore_pb2.DeleteIndexResponse()
        reply.info.sources.append(view.provenance())
        return reply

    def _tag(self, store: Store, name: str, version: int | None, remove: bool) -> datastore_pb2.TagVersionResponse:
        if remove:
            wanted = version_of_tag(store.path, name)
            if version not in (None, wanted):
                raise NotFoundError(f"tag {name!r} is of version {wanted}, not {version}")
            untag(store.path, name)
        else:
            wanted = tag(store.path, name, version)
        found = next((found for found in versions(store.path, wanted + 1) if found.version == wanted), None)
        if found is None:
            raise NotFoundError(f"version {wanted} is not kept any more")
        return datastore_pb2.TagVersionResponse(version=describe_version(found))

    def _set_alias(self, request: datastore_pb2.SetAliasRequest) -> View:
        with self._access.writing(request.store) as store:
            return View(self._name(request.store), set_alias(store, request.alias, request.index or None))

    def _drop(self, request: datastore_pb2.DeleteIndexRequest) -> View:
        with self._access.writing(request.store) as store:
            return View(self._name(request.store), drop_index(store, request.index))

    def _name(self, store: str) -> str:
        return self._access.catalog.resolve(store)


def describe_version(info: VersionInfo) -> datastore_pb2.Version:
    """One version as a message."""
    message = datastore_pb2.Version(
        version=info.version,
        parent=info.parent or None,
        change=info.change,
        documents=info.documents,
        segments=info.segments,
        tags=info.tags,
    )
    if info.time_ns:
        message.publish_time.FromNanoseconds(info.time_ns)
    return message
