"""Plans that list the documents of a store."""

from __future__ import annotations

from lodex.client import codec
from lodex.client.filters import filter_message
from lodex.client.plan import Call, Plan
from lodex.errors import InvalidArgumentError
from lodex.filters import Filter
from lodex.types import Document
from lodex.v1 import datastore_pb2

_PAGE = 1000


def documents(
    store: str,
    *,
    where: str | Filter | None = None,
    limit: int | None = None,
    version: int | None = None,
    timeout_s: float | None = None,
) -> Plan[tuple[Document, ...]]:
    """The documents of one version of a store in its order, "" for their texts.

    `where` is a filter, or one as people write it: 'source = "books" and date >= "2020"'; None is every document.
    `limit` is how many are wanted, None all; each page of up to 1,000 has the deadline of its own.
    """
    if limit is not None and limit < 0:
        raise InvalidArgumentError(f"limit is {limit}, it must not be negative", "limit")
    request = datastore_pb2.ListDocumentsRequest(target=codec.store_ref(store, version))
    if where is not None:
        request.filter.CopyFrom(filter_message(where))
    found: list[Document] = []
    while limit is None or len(found) < limit:
        request.page_size = _PAGE if limit is None else min(_PAGE, limit - len(found))
        reply = yield Call("DatastoreService", "ListDocuments", request, timeout_s)
        found.extend(map(codec.document, reply.documents))
        request.page_token = reply.next_page_token
        if not request.page_token:
            break
    return tuple(found)
