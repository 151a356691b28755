from google.rpc import status_pb2 as _status_pb2
from lodex.v1 import common_pb2 as _common_pb2
from lodex.v1 import retrieval_pb2 as _retrieval_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_END: _ClassVar[FinishReason]
    FINISH_REASON_LENGTH: _ClassVar[FinishReason]
    FINISH_REASON_STOP: _ClassVar[FinishReason]

class ContextStrategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTEXT_STRATEGY_UNSPECIFIED: _ClassVar[ContextStrategy]
    CONTEXT_STRATEGY_PROMPT: _ClassVar[ContextStrategy]
    CONTEXT_STRATEGY_ENSEMBLE: _ClassVar[ContextStrategy]
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_END: FinishReason
FINISH_REASON_LENGTH: FinishReason
FINISH_REASON_STOP: FinishReason
CONTEXT_STRATEGY_UNSPECIFIED: ContextStrategy
CONTEXT_STRATEGY_PROMPT: ContextStrategy
CONTEXT_STRATEGY_ENSEMBLE: ContextStrategy

class Mixture(_message.Message):
    __slots__ = ("knn", "infgram", "calibration")
    KNN_FIELD_NUMBER: _ClassVar[int]
    INFGRAM_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    knn: KnnSource
    infgram: InfgramSource
    calibration: str
    def __init__(self, knn: _Optional[_Union[KnnSource, _Mapping]] = ..., infgram: _Optional[_Union[InfgramSource, _Mapping]] = ..., calibration: _Optional[str] = ...) -> None: ...

class KnnSource(_message.Message):
    __slots__ = ("target", "k", "temperature", "weight", "parameters", "min_followed")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    MIN_FOLLOWED_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    k: int
    temperature: float
    weight: float
    parameters: _retrieval_pb2.SearchParameters
    min_followed: int
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., k: _Optional[int] = ..., temperature: _Optional[float] = ..., weight: _Optional[float] = ..., parameters: _Optional[_Union[_retrieval_pb2.SearchParameters, _Mapping]] = ..., min_followed: _Optional[int] = ...) -> None: ...

class InfgramSource(_message.Message):
    __slots__ = ("target", "weight", "single_weight", "min_support", "max_suffix_length")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SINGLE_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    MIN_SUPPORT_FIELD_NUMBER: _ClassVar[int]
    MAX_SUFFIX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    weight: float
    single_weight: float
    min_support: int
    max_suffix_length: int
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., weight: _Optional[float] = ..., single_weight: _Optional[float] = ..., min_support: _Optional[int] = ..., max_suffix_length: _Optional[int] = ...) -> None: ...

class ScoreRequest(_message.Message):
    __slots__ = ("model", "texts", "mixture", "with_components", "neighbors", "window_tokens", "stride_tokens")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    MIXTURE_FIELD_NUMBER: _ClassVar[int]
    WITH_COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    NEIGHBORS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STRIDE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    model: str
    texts: _containers.RepeatedCompositeFieldContainer[_common_pb2.TextOrTokens]
    mixture: Mixture
    with_components: bool
    neighbors: int
    window_tokens: int
    stride_tokens: int
    def __init__(self, model: _Optional[str] = ..., texts: _Optional[_Iterable[_Union[_common_pb2.TextOrTokens, _Mapping]]] = ..., mixture: _Optional[_Union[Mixture, _Mapping]] = ..., with_components: _Optional[bool] = ..., neighbors: _Optional[int] = ..., window_tokens: _Optional[int] = ..., stride_tokens: _Optional[int] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("results", "info", "model", "fingerprint")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ScoreResult]
    info: _common_pb2.ReplyInfo
    model: str
    fingerprint: str
    def __init__(self, results: _Optional[_Iterable[_Union[ScoreResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ..., model: _Optional[str] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class ScoreResult(_message.Message):
    __slots__ = ("error", "token_ids", "log_probabilities", "components", "neighbors", "text_bytes", "searches_saved")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    LOG_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    NEIGHBORS_FIELD_NUMBER: _ClassVar[int]
    TEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEARCHES_SAVED_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    token_ids: _common_pb2.Tensor
    log_probabilities: _common_pb2.Tensor
    components: _containers.RepeatedCompositeFieldContainer[ComponentScores]
    neighbors: _containers.RepeatedCompositeFieldContainer[TokenNeighbors]
    text_bytes: int
    searches_saved: int
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., token_ids: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., log_probabilities: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., components: _Optional[_Iterable[_Union[ComponentScores, _Mapping]]] = ..., neighbors: _Optional[_Iterable[_Union[TokenNeighbors, _Mapping]]] = ..., text_bytes: _Optional[int] = ..., searches_saved: _Optional[int] = ...) -> None: ...

class ComponentScores(_message.Message):
    __slots__ = ("component", "log_probabilities", "weights", "suffix_lengths")
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    LOG_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_LENGTHS_FIELD_NUMBER: _ClassVar[int]
    component: str
    log_probabilities: _common_pb2.Tensor
    weights: _common_pb2.Tensor
    suffix_lengths: _common_pb2.Tensor
    def __init__(self, component: _Optional[str] = ..., log_probabilities: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., weights: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., suffix_lengths: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ...) -> None: ...

class TokenNeighbors(_message.Message):
    __slots__ = ("token", "neighbors")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    NEIGHBORS_FIELD_NUMBER: _ClassVar[int]
    token: int
    neighbors: _containers.RepeatedCompositeFieldContainer[Neighbor]
    def __init__(self, token: _Optional[int] = ..., neighbors: _Optional[_Iterable[_Union[Neighbor, _Mapping]]] = ...) -> None: ...

class Neighbor(_message.Message):
    __slots__ = ("token_id", "distance", "weight", "occurrence")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCE_FIELD_NUMBER: _ClassVar[int]
    token_id: int
    distance: float
    weight: float
    occurrence: _common_pb2.Occurrence
    def __init__(self, token_id: _Optional[int] = ..., distance: _Optional[float] = ..., weight: _Optional[float] = ..., occurrence: _Optional[_Union[_common_pb2.Occurrence, _Mapping]] = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "with_log_probabilities", "draft")
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    WITH_LOG_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    with_log_probabilities: bool
    draft: _common_pb2.IndexRef
    def __init__(self, max_tokens: _Optional[int] = ..., temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., top_k: _Optional[int] = ..., seed: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ..., with_log_probabilities: _Optional[bool] = ..., draft: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ...) -> None: ...

class GenerateRequest(_message.Message):
    __slots__ = ("model", "prompts", "mixture", "sampling")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    MIXTURE_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    model: str
    prompts: _containers.RepeatedCompositeFieldContainer[_common_pb2.TextOrTokens]
    mixture: Mixture
    sampling: Sampling
    def __init__(self, model: _Optional[str] = ..., prompts: _Optional[_Iterable[_Union[_common_pb2.TextOrTokens, _Mapping]]] = ..., mixture: _Optional[_Union[Mixture, _Mapping]] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("item", "tokens", "finished", "error", "info")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    item: int
    tokens: GeneratedTokens
    finished: Finished
    error: _status_pb2.Status
    info: _common_pb2.ReplyInfo
    def __init__(self, item: _Optional[int] = ..., tokens: _Optional[_Union[GeneratedTokens, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class GeneratedTokens(_message.Message):
    __slots__ = ("token_ids", "text", "log_probabilities")
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOG_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    text: str
    log_probabilities: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, token_ids: _Optional[_Iterable[int]] = ..., text: _Optional[str] = ..., log_probabilities: _Optional[_Iterable[float]] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("reason", "prompt_tokens", "generated_tokens", "drafted_tokens", "forwards")
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    GENERATED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    DRAFTED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    FORWARDS_FIELD_NUMBER: _ClassVar[int]
    reason: FinishReason
    prompt_tokens: int
    generated_tokens: int
    drafted_tokens: int
    forwards: int
    def __init__(self, reason: _Optional[_Union[FinishReason, str]] = ..., prompt_tokens: _Optional[int] = ..., generated_tokens: _Optional[int] = ..., drafted_tokens: _Optional[int] = ..., forwards: _Optional[int] = ...) -> None: ...

class AskRequest(_message.Message):
    __slots__ = ("model", "questions", "search", "context_tokens", "strategy", "max_sentences", "template", "mixture", "sampling")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    MAX_SENTENCES_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    MIXTURE_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    model: str
    questions: _containers.RepeatedScalarFieldContainer[str]
    search: _retrieval_pb2.SearchRequest
    context_tokens: int
    strategy: ContextStrategy
    max_sentences: int
    template: str
    mixture: Mixture
    sampling: Sampling
    def __init__(self, model: _Optional[str] = ..., questions: _Optional[_Iterable[str]] = ..., search: _Optional[_Union[_retrieval_pb2.SearchRequest, _Mapping]] = ..., context_tokens: _Optional[int] = ..., strategy: _Optional[_Union[ContextStrategy, str]] = ..., max_sentences: _Optional[int] = ..., template: _Optional[str] = ..., mixture: _Optional[_Union[Mixture, _Mapping]] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ...) -> None: ...

class AskResponse(_message.Message):
    __slots__ = ("item", "retrieved", "tokens", "citation", "finished", "error", "info")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    RETRIEVED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    CITATION_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    item: int
    retrieved: Retrieved
    tokens: GeneratedTokens
    citation: Citation
    finished: Finished
    error: _status_pb2.Status
    info: _common_pb2.ReplyInfo
    def __init__(self, item: _Optional[int] = ..., retrieved: _Optional[_Union[Retrieved, _Mapping]] = ..., tokens: _Optional[_Union[GeneratedTokens, _Mapping]] = ..., citation: _Optional[_Union[Citation, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class Retrieved(_message.Message):
    __slots__ = ("hits", "left_out")
    HITS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[_retrieval_pb2.Hit]
    left_out: int
    def __init__(self, hits: _Optional[_Iterable[_Union[_retrieval_pb2.Hit, _Mapping]]] = ..., left_out: _Optional[int] = ...) -> None: ...

class Citation(_message.Message):
    __slots__ = ("begin", "end", "hits")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    begin: int
    end: int
    hits: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, begin: _Optional[int] = ..., end: _Optional[int] = ..., hits: _Optional[_Iterable[int]] = ...) -> None: ...
