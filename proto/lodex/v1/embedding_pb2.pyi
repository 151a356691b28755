from google.rpc import status_pb2 as _status_pb2
from lodex.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EmbedRequest(_message.Message):
    __slots__ = ("model", "inputs", "kind", "instruction", "normalize", "dimensions", "data_type", "truncate")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    NORMALIZE_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    TRUNCATE_FIELD_NUMBER: _ClassVar[int]
    model: str
    inputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.TextOrTokens]
    kind: _common_pb2.TextKind
    instruction: str
    normalize: bool
    dimensions: int
    data_type: _common_pb2.DataType
    truncate: bool
    def __init__(self, model: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[_common_pb2.TextOrTokens, _Mapping]]] = ..., kind: _Optional[_Union[_common_pb2.TextKind, str]] = ..., instruction: _Optional[str] = ..., normalize: _Optional[bool] = ..., dimensions: _Optional[int] = ..., data_type: _Optional[_Union[_common_pb2.DataType, str]] = ..., truncate: _Optional[bool] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("results", "vectors", "model", "fingerprint", "info", "ranges")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[EmbedResult]
    vectors: _common_pb2.Tensor
    model: str
    fingerprint: str
    info: _common_pb2.ReplyInfo
    ranges: _common_pb2.Tensor
    def __init__(self, results: _Optional[_Iterable[_Union[EmbedResult, _Mapping]]] = ..., vectors: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., model: _Optional[str] = ..., fingerprint: _Optional[str] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ..., ranges: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ...) -> None: ...

class EmbedResult(_message.Message):
    __slots__ = ("error", "tokens", "truncated", "sparse")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    SPARSE_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    tokens: int
    truncated: bool
    sparse: _common_pb2.SparseVector
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., tokens: _Optional[int] = ..., truncated: _Optional[bool] = ..., sparse: _Optional[_Union[_common_pb2.SparseVector, _Mapping]] = ...) -> None: ...

class EmbedStreamRequest(_message.Message):
    __slots__ = ("batch_id", "request")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    request: EmbedRequest
    def __init__(self, batch_id: _Optional[str] = ..., request: _Optional[_Union[EmbedRequest, _Mapping]] = ...) -> None: ...

class EmbedStreamResponse(_message.Message):
    __slots__ = ("batch_id", "response", "error", "backoff")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    response: EmbedResponse
    error: _status_pb2.Status
    backoff: _common_pb2.Backoff
    def __init__(self, batch_id: _Optional[str] = ..., response: _Optional[_Union[EmbedResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., backoff: _Optional[_Union[_common_pb2.Backoff, _Mapping]] = ...) -> None: ...

class TokenizeRequest(_message.Message):
    __slots__ = ("model", "index", "texts", "add_special_tokens", "with_spans")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    ADD_SPECIAL_TOKENS_FIELD_NUMBER: _ClassVar[int]
    WITH_SPANS_FIELD_NUMBER: _ClassVar[int]
    model: str
    index: _common_pb2.IndexRef
    texts: _containers.RepeatedScalarFieldContainer[str]
    add_special_tokens: bool
    with_spans: bool
    def __init__(self, model: _Optional[str] = ..., index: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., texts: _Optional[_Iterable[str]] = ..., add_special_tokens: _Optional[bool] = ..., with_spans: _Optional[bool] = ...) -> None: ...

class TokenizeResponse(_message.Message):
    __slots__ = ("results", "tokenizer", "fingerprint", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TOKENIZER_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[TokenizeResult]
    tokenizer: str
    fingerprint: str
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[TokenizeResult, _Mapping]]] = ..., tokenizer: _Optional[str] = ..., fingerprint: _Optional[str] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class TokenizeResult(_message.Message):
    __slots__ = ("error", "token_ids", "texts", "begins", "ends")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    BEGINS_FIELD_NUMBER: _ClassVar[int]
    ENDS_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    begins: _containers.RepeatedScalarFieldContainer[int]
    ends: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., token_ids: _Optional[_Iterable[int]] = ..., texts: _Optional[_Iterable[str]] = ..., begins: _Optional[_Iterable[int]] = ..., ends: _Optional[_Iterable[int]] = ...) -> None: ...

class DetokenizeRequest(_message.Message):
    __slots__ = ("model", "index", "sequences")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    model: str
    index: _common_pb2.IndexRef
    sequences: _containers.RepeatedCompositeFieldContainer[_common_pb2.TokenIds]
    def __init__(self, model: _Optional[str] = ..., index: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., sequences: _Optional[_Iterable[_Union[_common_pb2.TokenIds, _Mapping]]] = ...) -> None: ...

class DetokenizeResponse(_message.Message):
    __slots__ = ("results", "tokenizer", "fingerprint", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TOKENIZER_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[DetokenizeResult]
    tokenizer: str
    fingerprint: str
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[DetokenizeResult, _Mapping]]] = ..., tokenizer: _Optional[str] = ..., fingerprint: _Optional[str] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class DetokenizeResult(_message.Message):
    __slots__ = ("error", "text")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    text: str
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., text: _Optional[str] = ...) -> None: ...
