import datetime

from google.longrunning import operations_pb2 as _operations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from lodex.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Store(_message.Message):
    __slots__ = ("name", "version", "documents", "text_bytes", "segments", "deleted_documents", "indexes", "publish_time", "read_only", "format_version", "aliases")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    TEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    DELETED_DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TIME_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    documents: int
    text_bytes: int
    segments: int
    deleted_documents: int
    indexes: _containers.RepeatedCompositeFieldContainer[Index]
    publish_time: _timestamp_pb2.Timestamp
    read_only: bool
    format_version: int
    aliases: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., documents: _Optional[int] = ..., text_bytes: _Optional[int] = ..., segments: _Optional[int] = ..., deleted_documents: _Optional[int] = ..., indexes: _Optional[_Iterable[_Union[Index, _Mapping]]] = ..., publish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., read_only: _Optional[bool] = ..., format_version: _Optional[int] = ..., aliases: _Optional[_Iterable[str]] = ...) -> None: ...

class Index(_message.Message):
    __slots__ = ("name", "kind", "aliases", "depends_on", "config_json", "segments_ok", "segments_total", "entries", "size_bytes", "dense", "tokens", "passages")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_OK_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DENSE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    depends_on: _containers.RepeatedScalarFieldContainer[str]
    config_json: str
    segments_ok: int
    segments_total: int
    entries: int
    size_bytes: int
    dense: DenseDetails
    tokens: TokenDetails
    passages: PassageDetails
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., depends_on: _Optional[_Iterable[str]] = ..., config_json: _Optional[str] = ..., segments_ok: _Optional[int] = ..., segments_total: _Optional[int] = ..., entries: _Optional[int] = ..., size_bytes: _Optional[int] = ..., dense: _Optional[_Union[DenseDetails, _Mapping]] = ..., tokens: _Optional[_Union[TokenDetails, _Mapping]] = ..., passages: _Optional[_Union[PassageDetails, _Mapping]] = ...) -> None: ...

class DenseDetails(_message.Message):
    __slots__ = ("model", "fingerprint", "dimension", "chunking", "truncated", "normalized")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    CHUNKING_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    NORMALIZED_FIELD_NUMBER: _ClassVar[int]
    model: str
    fingerprint: str
    dimension: int
    chunking: str
    truncated: int
    normalized: bool
    def __init__(self, model: _Optional[str] = ..., fingerprint: _Optional[str] = ..., dimension: _Optional[int] = ..., chunking: _Optional[str] = ..., truncated: _Optional[int] = ..., normalized: _Optional[bool] = ...) -> None: ...

class TokenDetails(_message.Message):
    __slots__ = ("tokenizer", "fingerprint", "vocabulary_size", "eos_id", "data_type")
    TOKENIZER_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_SIZE_FIELD_NUMBER: _ClassVar[int]
    EOS_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    tokenizer: str
    fingerprint: str
    vocabulary_size: int
    eos_id: int
    data_type: _common_pb2.DataType
    def __init__(self, tokenizer: _Optional[str] = ..., fingerprint: _Optional[str] = ..., vocabulary_size: _Optional[int] = ..., eos_id: _Optional[int] = ..., data_type: _Optional[_Union[_common_pb2.DataType, str]] = ...) -> None: ...

class PassageDetails(_message.Message):
    __slots__ = ("chunking",)
    CHUNKING_FIELD_NUMBER: _ClassVar[int]
    chunking: str
    def __init__(self, chunking: _Optional[str] = ...) -> None: ...

class CreateStoreRequest(_message.Message):
    __slots__ = ("store", "request_id")
    STORE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    store: str
    request_id: str
    def __init__(self, store: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateStoreResponse(_message.Message):
    __slots__ = ("store", "info")
    STORE_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    store: Store
    info: _common_pb2.ReplyInfo
    def __init__(self, store: _Optional[_Union[Store, _Mapping]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class GetStoreRequest(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.StoreRef
    def __init__(self, target: _Optional[_Union[_common_pb2.StoreRef, _Mapping]] = ...) -> None: ...

class GetStoreResponse(_message.Message):
    __slots__ = ("store", "info")
    STORE_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    store: Store
    info: _common_pb2.ReplyInfo
    def __init__(self, store: _Optional[_Union[Store, _Mapping]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class ListStoresRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListStoresResponse(_message.Message):
    __slots__ = ("stores", "next_page_token")
    STORES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    stores: _containers.RepeatedCompositeFieldContainer[Store]
    next_page_token: str
    def __init__(self, stores: _Optional[_Iterable[_Union[Store, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteStoreRequest(_message.Message):
    __slots__ = ("store", "expected_version")
    STORE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    store: str
    expected_version: int
    def __init__(self, store: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class DeleteStoreResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IngestRequest(_message.Message):
    __slots__ = ("start", "batch")
    START_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    start: IngestStart
    batch: IngestBatch
    def __init__(self, start: _Optional[_Union[IngestStart, _Mapping]] = ..., batch: _Optional[_Union[IngestBatch, _Mapping]] = ...) -> None: ...

class IngestStart(_message.Message):
    __slots__ = ("store", "request_id", "replace", "stop_on_error")
    STORE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    STOP_ON_ERROR_FIELD_NUMBER: _ClassVar[int]
    store: str
    request_id: str
    replace: bool
    stop_on_error: bool
    def __init__(self, store: _Optional[str] = ..., request_id: _Optional[str] = ..., replace: _Optional[bool] = ..., stop_on_error: _Optional[bool] = ...) -> None: ...

class IngestBatch(_message.Message):
    __slots__ = ("sequence", "documents", "publish")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    documents: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    publish: bool
    def __init__(self, sequence: _Optional[int] = ..., documents: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ..., publish: _Optional[bool] = ...) -> None: ...

class IngestResponse(_message.Message):
    __slots__ = ("started", "acknowledged", "backoff", "finished")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    started: IngestStarted
    acknowledged: IngestAcknowledged
    backoff: _common_pb2.Backoff
    finished: IngestFinished
    def __init__(self, started: _Optional[_Union[IngestStarted, _Mapping]] = ..., acknowledged: _Optional[_Union[IngestAcknowledged, _Mapping]] = ..., backoff: _Optional[_Union[_common_pb2.Backoff, _Mapping]] = ..., finished: _Optional[_Union[IngestFinished, _Mapping]] = ...) -> None: ...

class IngestStarted(_message.Message):
    __slots__ = ("next_sequence",)
    NEXT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    next_sequence: int
    def __init__(self, next_sequence: _Optional[int] = ...) -> None: ...

class IngestAcknowledged(_message.Message):
    __slots__ = ("sequence", "version", "rejected")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    version: int
    rejected: _containers.RepeatedCompositeFieldContainer[RejectedDocument]
    def __init__(self, sequence: _Optional[int] = ..., version: _Optional[int] = ..., rejected: _Optional[_Iterable[_Union[RejectedDocument, _Mapping]]] = ...) -> None: ...

class RejectedDocument(_message.Message):
    __slots__ = ("sequence", "item", "doc_id", "error")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    DOC_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    item: int
    doc_id: str
    error: _status_pb2.Status
    def __init__(self, sequence: _Optional[int] = ..., item: _Optional[int] = ..., doc_id: _Optional[str] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class IngestFinished(_message.Message):
    __slots__ = ("version", "documents", "replaced", "rejected", "text_bytes", "info")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    TEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    version: int
    documents: int
    replaced: int
    rejected: int
    text_bytes: int
    info: _common_pb2.ReplyInfo
    def __init__(self, version: _Optional[int] = ..., documents: _Optional[int] = ..., replaced: _Optional[int] = ..., rejected: _Optional[int] = ..., text_bytes: _Optional[int] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class ImportFilesRequest(_message.Message):
    __slots__ = ("store", "inputs", "replace", "stop_on_error", "request_id", "fields")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    STORE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    STOP_ON_ERROR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    store: str
    inputs: _containers.RepeatedScalarFieldContainer[str]
    replace: bool
    stop_on_error: bool
    request_id: str
    fields: _containers.ScalarMap[str, str]
    def __init__(self, store: _Optional[str] = ..., inputs: _Optional[_Iterable[str]] = ..., replace: _Optional[bool] = ..., stop_on_error: _Optional[bool] = ..., request_id: _Optional[str] = ..., fields: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ImportFilesResponse(_message.Message):
    __slots__ = ("summary", "rejected")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    summary: IngestFinished
    rejected: _containers.RepeatedCompositeFieldContainer[RejectedDocument]
    def __init__(self, summary: _Optional[_Union[IngestFinished, _Mapping]] = ..., rejected: _Optional[_Iterable[_Union[RejectedDocument, _Mapping]]] = ...) -> None: ...

class ListDocumentsRequest(_message.Message):
    __slots__ = ("target", "filter", "page_size", "page_token")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.StoreRef
    filter: _common_pb2.Filter
    page_size: int
    page_token: str
    def __init__(self, target: _Optional[_Union[_common_pb2.StoreRef, _Mapping]] = ..., filter: _Optional[_Union[_common_pb2.Filter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDocumentsResponse(_message.Message):
    __slots__ = ("documents", "next_page_token", "info")
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    documents: _containers.RepeatedCompositeFieldContainer[_common_pb2.Document]
    next_page_token: str
    info: _common_pb2.ReplyInfo
    def __init__(self, documents: _Optional[_Iterable[_Union[_common_pb2.Document, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class DeleteDocumentsRequest(_message.Message):
    __slots__ = ("store", "doc_ids", "filter", "request_id")
    STORE_FIELD_NUMBER: _ClassVar[int]
    DOC_IDS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    store: str
    doc_ids: _containers.RepeatedScalarFieldContainer[str]
    filter: _common_pb2.Filter
    request_id: str
    def __init__(self, store: _Optional[str] = ..., doc_ids: _Optional[_Iterable[str]] = ..., filter: _Optional[_Union[_common_pb2.Filter, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteDocumentsResponse(_message.Message):
    __slots__ = ("results", "deleted", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[DeleteDocumentsResult]
    deleted: int
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[DeleteDocumentsResult, _Mapping]]] = ..., deleted: _Optional[int] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class DeleteDocumentsResult(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class Version(_message.Message):
    __slots__ = ("version", "parent", "publish_time", "change", "documents", "segments", "tags")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TIME_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    version: int
    parent: int
    publish_time: _timestamp_pb2.Timestamp
    change: str
    documents: int
    segments: int
    tags: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[int] = ..., parent: _Optional[int] = ..., publish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., change: _Optional[str] = ..., documents: _Optional[int] = ..., segments: _Optional[int] = ..., tags: _Optional[_Iterable[str]] = ...) -> None: ...

class ListVersionsRequest(_message.Message):
    __slots__ = ("store", "page_size", "page_token")
    STORE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    store: str
    page_size: int
    page_token: str
    def __init__(self, store: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListVersionsResponse(_message.Message):
    __slots__ = ("versions", "next_page_token")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[Version]
    next_page_token: str
    def __init__(self, versions: _Optional[_Iterable[_Union[Version, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TagVersionRequest(_message.Message):
    __slots__ = ("target", "tag", "remove")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.StoreRef
    tag: str
    remove: bool
    def __init__(self, target: _Optional[_Union[_common_pb2.StoreRef, _Mapping]] = ..., tag: _Optional[str] = ..., remove: _Optional[bool] = ...) -> None: ...

class TagVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: Version
    def __init__(self, version: _Optional[_Union[Version, _Mapping]] = ...) -> None: ...

class ListIndexesRequest(_message.Message):
    __slots__ = ("target", "page_size", "page_token")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.StoreRef
    page_size: int
    page_token: str
    def __init__(self, target: _Optional[_Union[_common_pb2.StoreRef, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListIndexesResponse(_message.Message):
    __slots__ = ("indexes", "next_page_token", "info")
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    indexes: _containers.RepeatedCompositeFieldContainer[Index]
    next_page_token: str
    info: _common_pb2.ReplyInfo
    def __init__(self, indexes: _Optional[_Iterable[_Union[Index, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class GetIndexRequest(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ...) -> None: ...

class GetIndexResponse(_message.Message):
    __slots__ = ("index", "info")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    index: Index
    info: _common_pb2.ReplyInfo
    def __init__(self, index: _Optional[_Union[Index, _Mapping]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class BuildIndexRequest(_message.Message):
    __slots__ = ("store", "index", "kind", "config_json", "request_id")
    STORE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    store: str
    index: str
    kind: str
    config_json: str
    request_id: str
    def __init__(self, store: _Optional[str] = ..., index: _Optional[str] = ..., kind: _Optional[str] = ..., config_json: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class BuildIndexResponse(_message.Message):
    __slots__ = ("index", "info")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    index: Index
    info: _common_pb2.ReplyInfo
    def __init__(self, index: _Optional[_Union[Index, _Mapping]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class DeleteIndexRequest(_message.Message):
    __slots__ = ("store", "index")
    STORE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    store: str
    index: str
    def __init__(self, store: _Optional[str] = ..., index: _Optional[str] = ...) -> None: ...

class DeleteIndexResponse(_message.Message):
    __slots__ = ("info",)
    INFO_FIELD_NUMBER: _ClassVar[int]
    info: _common_pb2.ReplyInfo
    def __init__(self, info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class SetAliasRequest(_message.Message):
    __slots__ = ("store", "alias", "index")
    STORE_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    store: str
    alias: str
    index: str
    def __init__(self, store: _Optional[str] = ..., alias: _Optional[str] = ..., index: _Optional[str] = ...) -> None: ...

class SetAliasResponse(_message.Message):
    __slots__ = ("info",)
    INFO_FIELD_NUMBER: _ClassVar[int]
    info: _common_pb2.ReplyInfo
    def __init__(self, info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class CompactStoreRequest(_message.Message):
    __slots__ = ("store", "full", "request_id")
    STORE_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    store: str
    full: bool
    request_id: str
    def __init__(self, store: _Optional[str] = ..., full: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class CompactStoreResponse(_message.Message):
    __slots__ = ("segments_before", "segments_after", "info")
    SEGMENTS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_AFTER_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    segments_before: int
    segments_after: int
    info: _common_pb2.ReplyInfo
    def __init__(self, segments_before: _Optional[int] = ..., segments_after: _Optional[int] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class PurgeStoreRequest(_message.Message):
    __slots__ = ("store", "request_id")
    STORE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    store: str
    request_id: str
    def __init__(self, store: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PurgeStoreResponse(_message.Message):
    __slots__ = ("documents", "versions", "bytes", "info")
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    documents: int
    versions: int
    bytes: int
    info: _common_pb2.ReplyInfo
    def __init__(self, documents: _Optional[int] = ..., versions: _Optional[int] = ..., bytes: _Optional[int] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class CollectGarbageRequest(_message.Message):
    __slots__ = ("store", "keep_versions", "grace_s", "dry_run", "request_id")
    STORE_FIELD_NUMBER: _ClassVar[int]
    KEEP_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    GRACE_S_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    store: str
    keep_versions: int
    grace_s: int
    dry_run: bool
    request_id: str
    def __init__(self, store: _Optional[str] = ..., keep_versions: _Optional[int] = ..., grace_s: _Optional[int] = ..., dry_run: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class CollectGarbageResponse(_message.Message):
    __slots__ = ("versions", "files", "bytes")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    versions: int
    files: int
    bytes: int
    def __init__(self, versions: _Optional[int] = ..., files: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class VerifyStoreRequest(_message.Message):
    __slots__ = ("target", "request_id")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.StoreRef
    request_id: str
    def __init__(self, target: _Optional[_Union[_common_pb2.StoreRef, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class VerifyStoreResponse(_message.Message):
    __slots__ = ("files", "bytes", "damages", "info")
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DAMAGES_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    files: int
    bytes: int
    damages: _containers.RepeatedCompositeFieldContainer[Damage]
    info: _common_pb2.ReplyInfo
    def __init__(self, files: _Optional[int] = ..., bytes: _Optional[int] = ..., damages: _Optional[_Iterable[_Union[Damage, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class Damage(_message.Message):
    __slots__ = ("path", "reason", "index", "segment_id")
    PATH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_ID_FIELD_NUMBER: _ClassVar[int]
    path: str
    reason: str
    index: str
    segment_id: str
    def __init__(self, path: _Optional[str] = ..., reason: _Optional[str] = ..., index: _Optional[str] = ..., segment_id: _Optional[str] = ...) -> None: ...

class JobProgress(_message.Message):
    __slots__ = ("job", "store", "phase", "done", "total", "unit", "tasks_done", "tasks_total", "start_time", "end_time")
    JOB_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    TASKS_DONE_FIELD_NUMBER: _ClassVar[int]
    TASKS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    job: str
    store: str
    phase: str
    done: int
    total: int
    unit: str
    tasks_done: int
    tasks_total: int
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, job: _Optional[str] = ..., store: _Optional[str] = ..., phase: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., unit: _Optional[str] = ..., tasks_done: _Optional[int] = ..., tasks_total: _Optional[int] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
