from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.rpc import status_pb2 as _status_pb2
from lodex.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SearchRequest(_message.Message):
    __slots__ = ("target", "queries", "vectors", "k", "parameters", "filter", "read_mask", "legs", "fusion", "rerank", "fingerprint")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    LEGS_FIELD_NUMBER: _ClassVar[int]
    FUSION_FIELD_NUMBER: _ClassVar[int]
    RERANK_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    queries: _containers.RepeatedCompositeFieldContainer[SearchQuery]
    vectors: _common_pb2.Tensor
    k: int
    parameters: SearchParameters
    filter: _common_pb2.Filter
    read_mask: _field_mask_pb2.FieldMask
    legs: _containers.RepeatedCompositeFieldContainer[SearchLeg]
    fusion: Fusion
    rerank: RerankStage
    fingerprint: str
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., queries: _Optional[_Iterable[_Union[SearchQuery, _Mapping]]] = ..., vectors: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., k: _Optional[int] = ..., parameters: _Optional[_Union[SearchParameters, _Mapping]] = ..., filter: _Optional[_Union[_common_pb2.Filter, _Mapping]] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., legs: _Optional[_Iterable[_Union[SearchLeg, _Mapping]]] = ..., fusion: _Optional[_Union[Fusion, _Mapping]] = ..., rerank: _Optional[_Union[RerankStage, _Mapping]] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class SearchQuery(_message.Message):
    __slots__ = ("text", "sparse")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SPARSE_FIELD_NUMBER: _ClassVar[int]
    text: str
    sparse: _common_pb2.SparseVector
    def __init__(self, text: _Optional[str] = ..., sparse: _Optional[_Union[_common_pb2.SparseVector, _Mapping]] = ...) -> None: ...

class SearchParameters(_message.Message):
    __slots__ = ("exact", "nprobe", "ef_search", "refine_factor")
    EXACT_FIELD_NUMBER: _ClassVar[int]
    NPROBE_FIELD_NUMBER: _ClassVar[int]
    EF_SEARCH_FIELD_NUMBER: _ClassVar[int]
    REFINE_FACTOR_FIELD_NUMBER: _ClassVar[int]
    exact: bool
    nprobe: int
    ef_search: int
    refine_factor: int
    def __init__(self, exact: _Optional[bool] = ..., nprobe: _Optional[int] = ..., ef_search: _Optional[int] = ..., refine_factor: _Optional[int] = ...) -> None: ...

class SearchLeg(_message.Message):
    __slots__ = ("index", "k", "weight", "parameters")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    index: str
    k: int
    weight: float
    parameters: SearchParameters
    def __init__(self, index: _Optional[str] = ..., k: _Optional[int] = ..., weight: _Optional[float] = ..., parameters: _Optional[_Union[SearchParameters, _Mapping]] = ...) -> None: ...

class Fusion(_message.Message):
    __slots__ = ("reciprocal_rank", "convex")
    RECIPROCAL_RANK_FIELD_NUMBER: _ClassVar[int]
    CONVEX_FIELD_NUMBER: _ClassVar[int]
    reciprocal_rank: ReciprocalRankFusion
    convex: ConvexFusion
    def __init__(self, reciprocal_rank: _Optional[_Union[ReciprocalRankFusion, _Mapping]] = ..., convex: _Optional[_Union[ConvexFusion, _Mapping]] = ...) -> None: ...

class ReciprocalRankFusion(_message.Message):
    __slots__ = ("constant",)
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    constant: float
    def __init__(self, constant: _Optional[float] = ...) -> None: ...

class ConvexFusion(_message.Message):
    __slots__ = ("missing_score",)
    MISSING_SCORE_FIELD_NUMBER: _ClassVar[int]
    missing_score: float
    def __init__(self, missing_score: _Optional[float] = ...) -> None: ...

class RerankStage(_message.Message):
    __slots__ = ("model", "candidates")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    model: str
    candidates: int
    def __init__(self, model: _Optional[str] = ..., candidates: _Optional[int] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SearchResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[SearchResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class SearchResult(_message.Message):
    __slots__ = ("error", "hits")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("passage", "score", "legs", "first_score")
    PASSAGE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LEGS_FIELD_NUMBER: _ClassVar[int]
    FIRST_SCORE_FIELD_NUMBER: _ClassVar[int]
    passage: _common_pb2.Passage
    score: float
    legs: _containers.RepeatedCompositeFieldContainer[LegScore]
    first_score: float
    def __init__(self, passage: _Optional[_Union[_common_pb2.Passage, _Mapping]] = ..., score: _Optional[float] = ..., legs: _Optional[_Iterable[_Union[LegScore, _Mapping]]] = ..., first_score: _Optional[float] = ...) -> None: ...

class LegScore(_message.Message):
    __slots__ = ("index", "rank", "score")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    index: str
    rank: int
    score: float
    def __init__(self, index: _Optional[str] = ..., rank: _Optional[int] = ..., score: _Optional[float] = ...) -> None: ...

class SearchStreamRequest(_message.Message):
    __slots__ = ("batch_id", "request")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    request: SearchRequest
    def __init__(self, batch_id: _Optional[str] = ..., request: _Optional[_Union[SearchRequest, _Mapping]] = ...) -> None: ...

class SearchStreamResponse(_message.Message):
    __slots__ = ("batch_id", "response", "error", "backoff")
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    response: SearchResponse
    error: _status_pb2.Status
    backoff: _common_pb2.Backoff
    def __init__(self, batch_id: _Optional[str] = ..., response: _Optional[_Union[SearchResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., backoff: _Optional[_Union[_common_pb2.Backoff, _Mapping]] = ...) -> None: ...

class FetchDocumentsRequest(_message.Message):
    __slots__ = ("target", "doc_ids", "read_mask")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    DOC_IDS_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.StoreRef
    doc_ids: _containers.RepeatedScalarFieldContainer[str]
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, target: _Optional[_Union[_common_pb2.StoreRef, _Mapping]] = ..., doc_ids: _Optional[_Iterable[str]] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class FetchDocumentsResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[FetchDocumentsResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[FetchDocumentsResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class FetchDocumentsResult(_message.Message):
    __slots__ = ("error", "document")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    document: _common_pb2.Document
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., document: _Optional[_Union[_common_pb2.Document, _Mapping]] = ...) -> None: ...

class FetchPassagesRequest(_message.Message):
    __slots__ = ("target", "passage_ids", "chunking", "read_mask")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    CHUNKING_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.StoreRef
    passage_ids: _containers.RepeatedScalarFieldContainer[str]
    chunking: str
    read_mask: _field_mask_pb2.FieldMask
    def __init__(self, target: _Optional[_Union[_common_pb2.StoreRef, _Mapping]] = ..., passage_ids: _Optional[_Iterable[str]] = ..., chunking: _Optional[str] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class FetchPassagesResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[FetchPassagesResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[FetchPassagesResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class FetchPassagesResult(_message.Message):
    __slots__ = ("error", "passage")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    passage: _common_pb2.Passage
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., passage: _Optional[_Union[_common_pb2.Passage, _Mapping]] = ...) -> None: ...
