from google.rpc import status_pb2 as _status_pb2
from lodex.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RerankMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RERANK_METHOD_UNSPECIFIED: _ClassVar[RerankMethod]
    RERANK_METHOD_FIRST: _ClassVar[RerankMethod]
    RERANK_METHOD_GENERATION: _ClassVar[RerankMethod]
    RERANK_METHOD_POINTWISE: _ClassVar[RerankMethod]

class RerankStrategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RERANK_STRATEGY_UNSPECIFIED: _ClassVar[RerankStrategy]
    RERANK_STRATEGY_SLIDING: _ClassVar[RerankStrategy]
    RERANK_STRATEGY_SINGLE: _ClassVar[RerankStrategy]
    RERANK_STRATEGY_TOURNAMENT: _ClassVar[RerankStrategy]

class RerankAggregate(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RERANK_AGGREGATE_UNSPECIFIED: _ClassVar[RerankAggregate]
    RERANK_AGGREGATE_MEAN: _ClassVar[RerankAggregate]
    RERANK_AGGREGATE_BORDA: _ClassVar[RerankAggregate]
    RERANK_AGGREGATE_RECIPROCAL_RANK: _ClassVar[RerankAggregate]
    RERANK_AGGREGATE_KEMENY: _ClassVar[RerankAggregate]
RERANK_METHOD_UNSPECIFIED: RerankMethod
RERANK_METHOD_FIRST: RerankMethod
RERANK_METHOD_GENERATION: RerankMethod
RERANK_METHOD_POINTWISE: RerankMethod
RERANK_STRATEGY_UNSPECIFIED: RerankStrategy
RERANK_STRATEGY_SLIDING: RerankStrategy
RERANK_STRATEGY_SINGLE: RerankStrategy
RERANK_STRATEGY_TOURNAMENT: RerankStrategy
RERANK_AGGREGATE_UNSPECIFIED: RerankAggregate
RERANK_AGGREGATE_MEAN: RerankAggregate
RERANK_AGGREGATE_BORDA: RerankAggregate
RERANK_AGGREGATE_RECIPROCAL_RANK: RerankAggregate
RERANK_AGGREGATE_KEMENY: RerankAggregate

class RerankOptions(_message.Message):
    __slots__ = ("method", "strategy", "window", "stride", "passes", "order_invariant", "permutations", "aggregate", "seed")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    PASSES_FIELD_NUMBER: _ClassVar[int]
    ORDER_INVARIANT_FIELD_NUMBER: _ClassVar[int]
    PERMUTATIONS_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    method: RerankMethod
    strategy: RerankStrategy
    window: int
    stride: int
    passes: int
    order_invariant: bool
    permutations: int
    aggregate: RerankAggregate
    seed: int
    def __init__(self, method: _Optional[_Union[RerankMethod, str]] = ..., strategy: _Optional[_Union[RerankStrategy, str]] = ..., window: _Optional[int] = ..., stride: _Optional[int] = ..., passes: _Optional[int] = ..., order_invariant: _Optional[bool] = ..., permutations: _Optional[int] = ..., aggregate: _Optional[_Union[RerankAggregate, str]] = ..., seed: _Optional[int] = ...) -> None: ...

class RerankRequest(_message.Message):
    __slots__ = ("model", "queries", "target", "chunking", "options", "top_n", "with_texts")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    CHUNKING_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    TOP_N_FIELD_NUMBER: _ClassVar[int]
    WITH_TEXTS_FIELD_NUMBER: _ClassVar[int]
    model: str
    queries: _containers.RepeatedCompositeFieldContainer[RerankQuery]
    target: _common_pb2.StoreRef
    chunking: str
    options: RerankOptions
    top_n: int
    with_texts: bool
    def __init__(self, model: _Optional[str] = ..., queries: _Optional[_Iterable[_Union[RerankQuery, _Mapping]]] = ..., target: _Optional[_Union[_common_pb2.StoreRef, _Mapping]] = ..., chunking: _Optional[str] = ..., options: _Optional[_Union[RerankOptions, _Mapping]] = ..., top_n: _Optional[int] = ..., with_texts: _Optional[bool] = ...) -> None: ...

class RerankQuery(_message.Message):
    __slots__ = ("query", "candidates", "query_id")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    query: str
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    query_id: str
    def __init__(self, query: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., query_id: _Optional[str] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("id", "text", "passage_id", "title", "first_score")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    FIRST_SCORE_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    passage_id: str
    title: str
    first_score: float
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ..., passage_id: _Optional[str] = ..., title: _Optional[str] = ..., first_score: _Optional[float] = ...) -> None: ...

class RerankResponse(_message.Message):
    __slots__ = ("results", "info", "model", "fingerprint")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RerankResult]
    info: _common_pb2.ReplyInfo
    model: str
    fingerprint: str
    def __init__(self, results: _Optional[_Iterable[_Union[RerankResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ..., model: _Optional[str] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class RerankResult(_message.Message):
    __slots__ = ("error", "candidates", "windows", "forwards", "decoded_tokens", "prompt_tokens", "partial", "query_id")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    FORWARDS_FIELD_NUMBER: _ClassVar[int]
    DECODED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    QUERY_ID_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    candidates: _containers.RepeatedCompositeFieldContainer[RankedCandidate]
    windows: int
    forwards: int
    decoded_tokens: int
    prompt_tokens: int
    partial: bool
    query_id: str
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., candidates: _Optional[_Iterable[_Union[RankedCandidate, _Mapping]]] = ..., windows: _Optional[int] = ..., forwards: _Optional[int] = ..., decoded_tokens: _Optional[int] = ..., prompt_tokens: _Optional[int] = ..., partial: _Optional[bool] = ..., query_id: _Optional[str] = ...) -> None: ...

class RankedCandidate(_message.Message):
    __slots__ = ("index", "id", "score", "logit", "windows", "truncated", "text", "probability")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LOGIT_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    index: int
    id: str
    score: float
    logit: float
    windows: int
    truncated: bool
    text: str
    probability: float
    def __init__(self, index: _Optional[int] = ..., id: _Optional[str] = ..., score: _Optional[float] = ..., logit: _Optional[float] = ..., windows: _Optional[int] = ..., truncated: _Optional[bool] = ..., text: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class RerankStreamRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: RerankRequest
    def __init__(self, request: _Optional[_Union[RerankRequest, _Mapping]] = ...) -> None: ...

class RerankStreamResponse(_message.Message):
    __slots__ = ("item", "window", "result", "info")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    item: int
    window: RerankWindow
    result: RerankResult
    info: _common_pb2.ReplyInfo
    def __init__(self, item: _Optional[int] = ..., window: _Optional[_Union[RerankWindow, _Mapping]] = ..., result: _Optional[_Union[RerankResult, _Mapping]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class RerankWindow(_message.Message):
    __slots__ = ("begin", "candidates")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    begin: int
    candidates: _containers.RepeatedCompositeFieldContainer[RankedCandidate]
    def __init__(self, begin: _Optional[int] = ..., candidates: _Optional[_Iterable[_Union[RankedCandidate, _Mapping]]] = ...) -> None: ...
