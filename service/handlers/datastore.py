"""DatastoreService, the part that reads: which stores there are, and what is in them."""

from __future__ import annotations

from lodex.config import Limits
from lodex.errors import InvalidArgumentError
from lodex.filters import AllOf
from lodex.service.call import Call, looks_up
from lodex.service.catalog import Catalog, View
from lodex.service.descriptions import describe_index, describe_store
from lodex.service.document_listing import Place, list_page
from lodex.service.filters import read_filter
from lodex.service.paging import Page, decode_page, encode_page, page_size
from lodex.service.writing import WriteAccess
from lodex.v1 import common_pb2, datastore_pb2

_DEFAULT_PAGE = 50
_DEFAULT_DOCUMENTS = 100


class DatastoreHandler:
    """Describes stores and indexes, and lists documents."""

    def __init__(self, catalog: Catalog, limits: Limits, access: WriteAccess) -> None:
        self._catalog = catalog
        self._limits = limits
        self._access = access

    @looks_up
    def get_store(self, request: datastore_pb2.GetStoreRequest, call: Call) -> datastore_pb2.GetStoreResponse:
        """One store, with its indexes."""
        view = self._catalog.view(request.target)
        reply = datastore_pb2.GetStoreResponse(store=self._describe(view))
        reply.info.sources.append(view.provenance())
        return reply

    @looks_up
    def list_stores(self, request: datastore_pb2.ListStoresRequest, call: Call) -> datastore_pb2.ListStoresResponse:
        """The stores by name, each at its newest version."""
        listing = datastore_pb2.ListStoresRequest()
        page = decode_page(request.page_token, listing, "page_token")
        names = [name for name in self._catalog.stores if name > page.cursor]
        size = page_size(request.page_size, _DEFAULT_PAGE, self._limits.max_page_size)
        reply = datastore_pb2.ListStoresResponse()
        for name in names[:size]:
            reply.stores.append(self._describe(self._catalog.view(common_pb2.StoreRef(store=name))))
        if len(names) > size:
            reply.next_page_token = encode_page(Page(names[size - 1]), listing)
        return reply

    @looks_up
    def list_documents(
        self, request: datastore_pb2.ListDocumentsRequest, call: Call
    ) -> datastore_pb2.ListDocumentsResponse:
        """The documents for which a filter is true in the order of the store, without their texts."""
        listing = datastore_pb2.ListDocumentsRequest()
        listing.CopyFrom(request)
        listing.ClearField("page_size")
        listing.ClearField("page_token")
        page = decode_page(request.page_token, listing, "page_token")
        first = Place.read(page.cursor, "page_token")
        wanted = read_filter(request.filter) if request.HasField("filter") else AllOf(())
        size = page_size(request.page_size, _DEFAULT_DOCUMENTS, self._limits.max_page_size)
        view = self._catalog.view(request.target, version=page.version or None)
        room = self._limits.max_message_bytes // 2
        documents, following = list_page(view.snapshot, wanted, first, size, room, call.check)
        reply = datastore_pb2.ListDocumentsResponse(documents=documents)
        if following is not None:
            reply.next_page_token = encode_page(Page(str(following), view.snapshot.version), listing)
        reply.info.sources.append(view.provenance())
        reply.info.usage.items = len(documents)
        return reply

    @looks_up
    def list_indexes(self, request: datastore_pb2.ListIndexesRequest, call: Call) -> datastore_pb2.ListIndexesResponse:
        """The indexes of a store by name, the token streams and chunkings below them among them."""
        listing = datastore_pb2.ListIndexesRequest(target=request.target)
        page = decode_page(request.page_token, listing, "page_token")
        view = self._catalog.view(request.target, version=page.version or None)
        names = [name for name in sorted(view.snapshot.manifest.indexes) if name > page.cursor]
        size = page_size(request.page_size, _DEFAULT_PAGE, self._limits.max_page_size)
        reply = datastore_pb2.ListIndexesResponse(indexes=[describe_index(view, name) for name in names[:size]])
        if len(names) > size:
            reply.next_page_token = encode_page(Page(names[size - 1], view.snapshot.version), listing)
        reply.info.sources.append(view.provenance())
        return reply

    @looks_up
    def get_index(self, request: datastore_pb2.GetIndexRequest, call: Call) -> datastore_pb2.GetIndexResponse:
        """One index by its name."""
        view = self._catalog.view(request.target)
        if not request.target.index:
            raise InvalidArgumentError("target.index is required", "target.index")
        reply = datastore_pb2.GetIndexResponse(index=describe_index(view, request.target.index))
        reply.info.sources.append(view.provenance(request.target.index))
        return reply

    def _describe(self, view: View) -> datastore_pb2.Store:
        return describe_store(view, self._catalog.require(view.store), self._access.is_read_only(view.store))
