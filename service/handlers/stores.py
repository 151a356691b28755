"""DatastoreService, the part that makes and removes stores, and names what is in them."""

from __future__ import annotations

import threading
from typing import ClassVar

from lodex.errors import ConflictError, FailedPreconditionError
from lodex.service.call import Call, looks_up
from lodex.service.catalog import View, check_name
from lodex.service.descriptions import describe_store
from lodex.service.ingesting import read_request_id
from lodex.service.store_root import StoreRoot
from lodex.service.writing import WriteAccess
from lodex.v1 import datastore_pb2


class StoresHandler:
    """Creates and deletes stores under the folder that the operator gave for them."""

    SERVICE: ClassVar[str] = "DatastoreService"

    def __init__(self, access: WriteAccess) -> None:
        self._access = access
        root = access.policy.store_root
        self._root = None if root is None else StoreRoot(root)
        # Stores are made and removed one at a time.
        self._lock = threading.Lock()

    @looks_up
    def create_store(self, request: datastore_pb2.CreateStoreRequest, call: Call) -> datastore_pb2.CreateStoreResponse:
        """Make an empty store, or find the one that this very request made."""
        check_name(request.store, "store")
        read_request_id(request.request_id, "request_id")
        root, catalog = self._require_root(), self._access.catalog
        with self._lock:
            known = catalog.stores.get(request.store)
            if known is not None:
                root.require_own(known, request.store)
            store = root.create(request.store, request.request_id)
            if known is None:
                catalog.add(request.store, store)
        self._access.written(request.store)
        view = View(request.store, store.snapshot())
        reply = datastore_pb2.CreateStoreResponse(store=describe_store(view, store))
        reply.info.sources.append(view.provenance())
        return reply

    @looks_up
    def delete_store(self, request: datastore_pb2.DeleteStoreRequest, call: Call) -> datastore_pb2.DeleteStoreResponse:
        """Remove a store with all its versions, where `expected_version` is its newest if given."""
        root = self._require_root()
        with self._lock:
            store = self._access.catalog.require(request.store)
            root.require_own(store, request.store)
            if request.HasField("expected_version") and store.version != request.expected_version:
                raise ConflictError(
                    f"store {request.store!r} is at version {store.version}, not {request.expected_version}"
                )
            self._access.catalog.remove(request.store)
            self._access.dropped(request.store)
            root.delete(request.store)
        return datastore_pb2.DeleteStoreResponse()

    def _require_root(self) -> StoreRoot:
        self._access.require_writable()
        if self._root is None:
            raise FailedPreconditionError("this server makes and deletes no stores: its setting store_root is not set")
        return self._root
