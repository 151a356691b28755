import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from lodex.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_ROLE_UNSPECIFIED: _ClassVar[ModelRole]
    MODEL_ROLE_EMBEDDER: _ClassVar[ModelRole]
    MODEL_ROLE_SPARSE_EMBEDDER: _ClassVar[ModelRole]
    MODEL_ROLE_LANGUAGE_MODEL: _ClassVar[ModelRole]
    MODEL_ROLE_RERANKER: _ClassVar[ModelRole]

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_LEVEL_UNSPECIFIED: _ClassVar[LogLevel]
    LOG_LEVEL_DEBUG: _ClassVar[LogLevel]
    LOG_LEVEL_INFO: _ClassVar[LogLevel]
    LOG_LEVEL_WARNING: _ClassVar[LogLevel]
    LOG_LEVEL_ERROR: _ClassVar[LogLevel]
MODEL_ROLE_UNSPECIFIED: ModelRole
MODEL_ROLE_EMBEDDER: ModelRole
MODEL_ROLE_SPARSE_EMBEDDER: ModelRole
MODEL_ROLE_LANGUAGE_MODEL: ModelRole
MODEL_ROLE_RERANKER: ModelRole
LOG_LEVEL_UNSPECIFIED: LogLevel
LOG_LEVEL_DEBUG: LogLevel
LOG_LEVEL_INFO: LogLevel
LOG_LEVEL_WARNING: LogLevel
LOG_LEVEL_ERROR: LogLevel

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("release", "format_version", "min_format_version", "limits", "models", "stores", "start_time", "read_only", "draining")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    MIN_FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    release: str
    format_version: int
    min_format_version: int
    limits: Limits
    models: _containers.RepeatedCompositeFieldContainer[Model]
    stores: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    read_only: bool
    draining: bool
    def __init__(self, release: _Optional[str] = ..., format_version: _Optional[int] = ..., min_format_version: _Optional[int] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., stores: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., read_only: _Optional[bool] = ..., draining: _Optional[bool] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_message_bytes", "max_batch_items", "max_batch_tokens", "max_embed_inputs", "max_k", "max_ngram_tokens", "max_top_k", "max_page_size", "max_context_tokens", "max_text_bytes", "max_document_bytes", "max_ingest_documents", "max_generate_prompts", "max_generated_tokens", "max_rerank_queries", "max_rerank_candidates", "max_concurrent_requests", "default_deadline", "max_queued_tokens")
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_EMBED_INPUTS_FIELD_NUMBER: _ClassVar[int]
    MAX_K_FIELD_NUMBER: _ClassVar[int]
    MAX_NGRAM_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOP_K_FIELD_NUMBER: _ClassVar[int]
    MAX_PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_DOCUMENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_INGEST_DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    MAX_GENERATE_PROMPTS_FIELD_NUMBER: _ClassVar[int]
    MAX_GENERATED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_RERANK_QUERIES_FIELD_NUMBER: _ClassVar[int]
    MAX_RERANK_CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    max_message_bytes: int
    max_batch_items: int
    max_batch_tokens: int
    max_embed_inputs: int
    max_k: int
    max_ngram_tokens: int
    max_top_k: int
    max_page_size: int
    max_context_tokens: int
    max_text_bytes: int
    max_document_bytes: int
    max_ingest_documents: int
    max_generate_prompts: int
    max_generated_tokens: int
    max_rerank_queries: int
    max_rerank_candidates: int
    max_concurrent_requests: int
    default_deadline: _duration_pb2.Duration
    max_queued_tokens: int
    def __init__(self, max_message_bytes: _Optional[int] = ..., max_batch_items: _Optional[int] = ..., max_batch_tokens: _Optional[int] = ..., max_embed_inputs: _Optional[int] = ..., max_k: _Optional[int] = ..., max_ngram_tokens: _Optional[int] = ..., max_top_k: _Optional[int] = ..., max_page_size: _Optional[int] = ..., max_context_tokens: _Optional[int] = ..., max_text_bytes: _Optional[int] = ..., max_document_bytes: _Optional[int] = ..., max_ingest_documents: _Optional[int] = ..., max_generate_prompts: _Optional[int] = ..., max_generated_tokens: _Optional[int] = ..., max_rerank_queries: _Optional[int] = ..., max_rerank_candidates: _Optional[int] = ..., max_concurrent_requests: _Optional[int] = ..., default_deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_queued_tokens: _Optional[int] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "role", "fingerprint", "max_tokens", "dimension", "normalized", "default", "dimensions", "data_type", "loaded", "takes_instruction", "max_batch_tokens", "vector_types", "queue")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    NORMALIZED_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    TAKES_INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_TOKENS_FIELD_NUMBER: _ClassVar[int]
    VECTOR_TYPES_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: ModelRole
    fingerprint: str
    max_tokens: int
    dimension: int
    normalized: bool
    default: bool
    dimensions: _containers.RepeatedScalarFieldContainer[int]
    data_type: _common_pb2.DataType
    loaded: bool
    takes_instruction: bool
    max_batch_tokens: int
    vector_types: _containers.RepeatedScalarFieldContainer[_common_pb2.DataType]
    queue: ModelQueue
    def __init__(self, name: _Optional[str] = ..., role: _Optional[_Union[ModelRole, str]] = ..., fingerprint: _Optional[str] = ..., max_tokens: _Optional[int] = ..., dimension: _Optional[int] = ..., normalized: _Optional[bool] = ..., default: _Optional[bool] = ..., dimensions: _Optional[_Iterable[int]] = ..., data_type: _Optional[_Union[_common_pb2.DataType, str]] = ..., loaded: _Optional[bool] = ..., takes_instruction: _Optional[bool] = ..., max_batch_tokens: _Optional[int] = ..., vector_types: _Optional[_Iterable[_Union[_common_pb2.DataType, str]]] = ..., queue: _Optional[_Union[ModelQueue, _Mapping]] = ...) -> None: ...

class ModelQueue(_message.Message):
    __slots__ = ("waiting_texts", "waiting_tokens", "batches", "texts", "tokens", "dropped_texts", "refused_requests", "busy")
    WAITING_TEXTS_FIELD_NUMBER: _ClassVar[int]
    WAITING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_TEXTS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    waiting_texts: int
    waiting_tokens: int
    batches: int
    texts: int
    tokens: int
    dropped_texts: int
    refused_requests: int
    busy: _duration_pb2.Duration
    def __init__(self, waiting_texts: _Optional[int] = ..., waiting_tokens: _Optional[int] = ..., batches: _Optional[int] = ..., texts: _Optional[int] = ..., tokens: _Optional[int] = ..., dropped_texts: _Optional[int] = ..., refused_requests: _Optional[int] = ..., busy: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ReloadStoresRequest(_message.Message):
    __slots__ = ("stores",)
    STORES_FIELD_NUMBER: _ClassVar[int]
    stores: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, stores: _Optional[_Iterable[str]] = ...) -> None: ...

class ReloadStoresResponse(_message.Message):
    __slots__ = ("stores",)
    STORES_FIELD_NUMBER: _ClassVar[int]
    stores: _containers.RepeatedCompositeFieldContainer[_common_pb2.Provenance]
    def __init__(self, stores: _Optional[_Iterable[_Union[_common_pb2.Provenance, _Mapping]]] = ...) -> None: ...

class SetLogLevelRequest(_message.Message):
    __slots__ = ("level", "logger")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    LOGGER_FIELD_NUMBER: _ClassVar[int]
    level: LogLevel
    logger: str
    def __init__(self, level: _Optional[_Union[LogLevel, str]] = ..., logger: _Optional[str] = ...) -> None: ...

class SetLogLevelResponse(_message.Message):
    __slots__ = ("level",)
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    level: LogLevel
    def __init__(self, level: _Optional[_Union[LogLevel, str]] = ...) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ("grace",)
    GRACE_FIELD_NUMBER: _ClassVar[int]
    grace: _duration_pb2.Duration
    def __init__(self, grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DrainResponse(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: int
    def __init__(self, requests: _Optional[int] = ...) -> None: ...
