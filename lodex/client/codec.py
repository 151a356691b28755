"""Messages to values, and values to the messages that ask for them."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from lodex.client.status import error_of
from lodex.errors import InternalError, InvalidArgumentError
from lodex.types import Answers, Conjunction, Document, NgramQuery, Occurrence, Passage, Provenance, Timing
from lodex.v1 import common_pb2, ngram_pb2

T = TypeVar("T")
M = TypeVar("M", bound=Message)

# Little-endian on every machine, as the contract says.
_DTYPES: dict[common_pb2.DataType, np.dtype[Any]] = {
    common_pb2.DATA_TYPE_FLOAT32: np.dtype("<f4"),
    common_pb2.DATA_TYPE_FLOAT16: np.dtype("<f2"),
    common_pb2.DATA_TYPE_FLOAT64: np.dtype("<f8"),
    common_pb2.DATA_TYPE_INT8: np.dtype("i1"),
    common_pb2.DATA_TYPE_UINT8: np.dtype("u1"),
    common_pb2.DATA_TYPE_UINT16: np.dtype("<u2"),
    common_pb2.DATA_TYPE_INT32: np.dtype("<i4"),
    common_pb2.DATA_TYPE_UINT32: np.dtype("<u4"),
    common_pb2.DATA_TYPE_INT64: np.dtype("<i8"),
    common_pb2.DATA_TYPE_UINT64: np.dtype("<u8"),
}
_DATA_TYPES = {dtype: data_type for data_type, dtype in _DTYPES.items()}
_EXPECTED = {
    FieldDescriptor.TYPE_INT32: f"a whole number, at most {2**31 - 1}",
    FieldDescriptor.TYPE_INT64: f"a whole number, at most {2**63 - 1}",
    FieldDescriptor.TYPE_UINT32: f"a whole number, 0 to {2**32 - 1}",
    FieldDescriptor.TYPE_UINT64: f"a whole number, 0 to {2**64 - 1}",
    FieldDescriptor.TYPE_FLOAT: "a number",
    FieldDescriptor.TYPE_DOUBLE: "a number",
    FieldDescriptor.TYPE_BOOL: "True or False",
    FieldDescriptor.TYPE_STRING: "Unicode text",
}


def asked(message: type[M], path: str = "", **fields: Any) -> M:
    """A message with these fields; InvalidArgumentError names the one whose value has no place in it.

    `path` is where the message stands in the request, "" for the request itself.
    """
    try:
        return message(**fields)
    except (TypeError, ValueError):
        for name, value in fields.items():
            try:
                message(**{name: value})
            except (TypeError, ValueError) as error:
                field = f"{path}.{name}" if path else name
                expected = _EXPECTED.get(message.DESCRIPTOR.fields_by_name[name].type, "another value")
                raise InvalidArgumentError(
                    f"{field} is {reprlib.repr(value)}, expected {expected}: {error}", field
                ) from error
        raise


def tensor(array: npt.NDArray[Any]) -> common_pb2.Tensor:
    """An array as a message. Raises `InvalidArgumentError` for a dtype that the contract does not know."""
    little = array.dtype.newbyteorder("<")
    if little not in _DATA_TYPES:
        raise InvalidArgumentError(f"arrays of {array.dtype} have no place in a message")
    data = np.ascontiguousarray(array, dtype=little).tobytes()
    return common_pb2.Tensor(data_type=_DATA_TYPES[little], shape=array.shape, data=data)


def array(message: common_pb2.Tensor) -> npt.NDArray[Any]:
    """A message as an array of its own, native and writable; bits as uint8, eight of the last dimension in each."""
    is_bits = message.data_type == common_pb2.DATA_TYPE_BITS
    dtype = np.dtype("u1") if is_bits else _DTYPES.get(message.data_type)
    if dtype is None:
        raise InternalError(f"the server sent a tensor of type {message.data_type}, which this client cannot read")
    shape = tuple(message.shape)
    if is_bits and shape and shape[-1] > 0:
        shape = (*shape[:-1], -(-shape[-1] // 8))
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(message.data):
        raise InternalError(f"the server sent {len(message.data)} bytes for a tensor {shape} of {dtype}")
    return np.frombuffer(message.data, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="))


def index_ref(store: str, index: str | None, version: int | None, path: str = "target") -> common_pb2.IndexRef:
    """The reference of an index of a store; None leaves the choice to the server. `path` names it in errors."""
    return asked(common_pb2.IndexRef, path, store=store, index=index or "", version=version)


def store_ref(store: str, version: int | None) -> common_pb2.StoreRef:
    """The reference of a store; None is its newest version."""
    return asked(common_pb2.StoreRef, "target", store=store, version=version)


def lone_text(texts: str | Sequence[str], field: str) -> Sequence[str]:
    """A batch of texts: a single one is a batch of one. `field` names it in errors."""
    batch = [texts] if isinstance(texts, str) else texts
    for i, text in enumerate(batch):
        require_text(text, f"{field}[{i}]")
    return batch


def require_text(text: str, field: str) -> None:
    """InvalidArgumentError, naming the field, for what is no Unicode text."""
    if not isinstance(text, str):
        raise InvalidArgumentError(f"{field} is {type(text).__name__}, expected text", field)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"{field} is no Unicode text: {error}", field) from error


def lone_query(queries: NgramQuery | Sequence[NgramQuery]) -> Sequence[NgramQuery]:
    """A batch of n-grams: a text, a list of integers and a vector are batches of one; a matrix is one of rows."""
    if isinstance(queries, str):
        return [queries]
    if isinstance(queries, np.ndarray):
        return [queries] if queries.ndim == 1 else list(queries)
    is_lone = len(queries) > 0 and all(isinstance(item, (int, np.integer)) for item in queries)
    return [queries] if is_lone else queries  # type: ignore[list-item,return-value]  # told apart by their items


def ngram(message: type[M], query: NgramQuery, field: str) -> M:
    """A text or token ids as a message with the fields `text` and `tokens`; `field` names it in errors."""
    try:
        if isinstance(query, str):
            return message(text=query)
        ids = query.tolist() if isinstance(query, np.ndarray) else query
        return message(tokens=common_pb2.TokenIds(ids=ids))
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"{field} is neither text nor a sequence of token ids: {error}", field) from error


def texts(queries: NgramQuery | Sequence[NgramQuery], field: str) -> list[common_pb2.TextOrTokens]:
    """A batch of texts or token ids as messages; `field` names it in errors."""
    return [ngram(common_pb2.TextOrTokens, query, f"{field}[{i}]") for i, query in enumerate(lone_query(queries))]


def searches(
    queries: NgramQuery | Conjunction | Sequence[NgramQuery | Conjunction], field: str
) -> list[ngram_pb2.NgramQuery]:
    """A batch of n-grams and conjunctions as messages; `field` names it in errors."""
    if isinstance(queries, Conjunction):
        queries = [queries]
    batch: Sequence[Any] = lone_query(queries)  # type: ignore[arg-type]  # it tells n-grams by their items
    return [_search(query, f"{field}[{i}]") for i, query in enumerate(batch)]


def _search(query: NgramQuery | Conjunction, field: str) -> ngram_pb2.NgramQuery:
    if not isinstance(query, Conjunction):
        return ngram(ngram_pb2.NgramQuery, query, field)
    path = f"{field}.conjunction"
    clauses = [_clause(clause, f"{path}.all_of[{i}]") for i, clause in enumerate(query.all_of)]
    message = asked(
        ngram_pb2.Conjunction,
        path,
        all_of=clauses,
        max_distance=query.max_distance,
        same_document=query.same_document,
        max_clause_count=query.max_clause_count,
    )
    return ngram_pb2.NgramQuery(conjunction=message)


def _clause(clause: Sequence[NgramQuery], field: str) -> ngram_pb2.Disjunction:
    if isinstance(clause, str) or not isinstance(clause, Sequence):
        kind = type(clause).__name__
        raise InvalidArgumentError(f"{field} is {kind}, expected a sequence of n-grams of which one must stand", field)
    any_of = [ngram(common_pb2.TextOrTokens, query, f"{field}.any_of[{i}]") for i, query in enumerate(clause)]
    return ngram_pb2.Disjunction(any_of=any_of)


def document(message: common_pb2.Document) -> Document:
    """A message as a document."""
    return Document(
        doc_id=message.doc_id,
        text=message.text,
        source=message.source,
        title=message.title,
        url=message.url,
        date=message.date,
        metadata=_metadata(message.metadata_json),
    )


def passage(message: common_pb2.Passage) -> Passage:
    """A message as a passage."""
    return Passage(
        id=message.id,
        doc_id=message.doc_id,
        ordinal=message.ordinal,
        begin=message.begin,
        end=message.end,
        text=message.text,
        key=message.key,
        source=message.source,
        title=message.title,
        url=message.url,
        date=message.date,
        metadata=_metadata(message.metadata_json),
    )


def occurrence(message: common_pb2.Occurrence) -> Occurrence:
    """A message as an occurrence."""
    return Occurrence(
        doc_id=message.doc_id,
        begin=message.begin,
        end=message.end,
        before=message.before,
        match=message.match,
        after=message.after,
        title=message.title,
        source=message.source,
        url=message.url,
    )


def answers(reply: Any, read: Callable[[Any], T]) -> Answers[T]:
    """The results of a batch by `read`, failed items as the errors they are."""
    items = tuple(error_of(result.error) if result.HasField("error") else read(result) for result in reply.results)
    return Answers(items, provenance(reply.info))


def provenance(info: common_pb2.ReplyInfo) -> Provenance:
    """What the request's own target was read as."""
    source = info.sources[0] if info.sources else common_pb2.Provenance()
    return Provenance(
        store=source.store,
        version=source.version,
        segments_ok=source.segments_ok,
        segments_total=source.segments_total,
        timing=Timing(info.timing.queue_ns, info.timing.compute_ns, info.timing.total_ns),
    )


def _metadata(text: str) -> dict[str, Any]:
    metadata: dict[str, Any] = json.loads(text) if text else {}
    return metadata
