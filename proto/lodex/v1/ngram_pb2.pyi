from google.rpc import status_pb2 as _status_pb2
from lodex.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SpanRanking(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPAN_RANKING_UNSPECIFIED: _ClassVar[SpanRanking]
    SPAN_RANKING_UNIGRAM: _ClassVar[SpanRanking]
    SPAN_RANKING_LENGTH: _ClassVar[SpanRanking]
SPAN_RANKING_UNSPECIFIED: SpanRanking
SPAN_RANKING_UNIGRAM: SpanRanking
SPAN_RANKING_LENGTH: SpanRanking

class NgramQuery(_message.Message):
    __slots__ = ("text", "tokens", "conjunction")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    CONJUNCTION_FIELD_NUMBER: _ClassVar[int]
    text: str
    tokens: _common_pb2.TokenIds
    conjunction: Conjunction
    def __init__(self, text: _Optional[str] = ..., tokens: _Optional[_Union[_common_pb2.TokenIds, _Mapping]] = ..., conjunction: _Optional[_Union[Conjunction, _Mapping]] = ...) -> None: ...

class Conjunction(_message.Message):
    __slots__ = ("all_of", "max_distance", "same_document", "max_clause_count")
    ALL_OF_FIELD_NUMBER: _ClassVar[int]
    MAX_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    SAME_DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    MAX_CLAUSE_COUNT_FIELD_NUMBER: _ClassVar[int]
    all_of: _containers.RepeatedCompositeFieldContainer[Disjunction]
    max_distance: int
    same_document: bool
    max_clause_count: int
    def __init__(self, all_of: _Optional[_Iterable[_Union[Disjunction, _Mapping]]] = ..., max_distance: _Optional[int] = ..., same_document: _Optional[bool] = ..., max_clause_count: _Optional[int] = ...) -> None: ...

class Disjunction(_message.Message):
    __slots__ = ("any_of",)
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    any_of: _containers.RepeatedCompositeFieldContainer[_common_pb2.TextOrTokens]
    def __init__(self, any_of: _Optional[_Iterable[_Union[_common_pb2.TextOrTokens, _Mapping]]] = ...) -> None: ...

class CountRequest(_message.Message):
    __slots__ = ("target", "queries", "literal")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    queries: _containers.RepeatedCompositeFieldContainer[NgramQuery]
    literal: bool
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., queries: _Optional[_Iterable[_Union[NgramQuery, _Mapping]]] = ..., literal: _Optional[bool] = ...) -> None: ...

class CountResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CountResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[CountResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class CountResult(_message.Message):
    __slots__ = ("error", "count", "variants", "approximate", "standard_error")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    APPROXIMATE_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    count: int
    variants: _containers.RepeatedCompositeFieldContainer[NgramVariant]
    approximate: bool
    standard_error: float
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., count: _Optional[int] = ..., variants: _Optional[_Iterable[_Union[NgramVariant, _Mapping]]] = ..., approximate: _Optional[bool] = ..., standard_error: _Optional[float] = ...) -> None: ...

class NgramVariant(_message.Message):
    __slots__ = ("token_ids", "count")
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    count: int
    def __init__(self, token_ids: _Optional[_Iterable[int]] = ..., count: _Optional[int] = ...) -> None: ...

class Continuation(_message.Message):
    __slots__ = ("prompt", "continuation")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_FIELD_NUMBER: _ClassVar[int]
    prompt: _common_pb2.TextOrTokens
    continuation: _common_pb2.TextOrTokens
    def __init__(self, prompt: _Optional[_Union[_common_pb2.TextOrTokens, _Mapping]] = ..., continuation: _Optional[_Union[_common_pb2.TextOrTokens, _Mapping]] = ...) -> None: ...

class ProbRequest(_message.Message):
    __slots__ = ("target", "queries", "literal")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    queries: _containers.RepeatedCompositeFieldContainer[Continuation]
    literal: bool
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., queries: _Optional[_Iterable[_Union[Continuation, _Mapping]]] = ..., literal: _Optional[bool] = ...) -> None: ...

class ProbResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ProbResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[ProbResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class ProbResult(_message.Message):
    __slots__ = ("error", "probability", "prompt_count", "continuation_count")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PROMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    probability: float
    prompt_count: int
    continuation_count: int
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., probability: _Optional[float] = ..., prompt_count: _Optional[int] = ..., continuation_count: _Optional[int] = ...) -> None: ...

class NextTokenDistributionRequest(_message.Message):
    __slots__ = ("target", "prompts", "literal", "top_k", "complete", "with_texts")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    WITH_TEXTS_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    prompts: _containers.RepeatedCompositeFieldContainer[_common_pb2.TextOrTokens]
    literal: bool
    top_k: int
    complete: bool
    with_texts: bool
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., prompts: _Optional[_Iterable[_Union[_common_pb2.TextOrTokens, _Mapping]]] = ..., literal: _Optional[bool] = ..., top_k: _Optional[int] = ..., complete: _Optional[bool] = ..., with_texts: _Optional[bool] = ...) -> None: ...

class NextTokenDistributionResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[NextTokenDistributionResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[NextTokenDistributionResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class NextTokenDistributionResult(_message.Message):
    __slots__ = ("error", "distribution")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    distribution: TokenDistribution
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., distribution: _Optional[_Union[TokenDistribution, _Mapping]] = ...) -> None: ...

class TokenDistribution(_message.Message):
    __slots__ = ("token_ids", "counts", "prompt_count", "distinct", "suffix_length", "complete", "texts")
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    token_ids: _common_pb2.Tensor
    counts: _common_pb2.Tensor
    prompt_count: int
    distinct: int
    suffix_length: int
    complete: bool
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, token_ids: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., counts: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., prompt_count: _Optional[int] = ..., distinct: _Optional[int] = ..., suffix_length: _Optional[int] = ..., complete: _Optional[bool] = ..., texts: _Optional[_Iterable[str]] = ...) -> None: ...

class InfgramProbRequest(_message.Message):
    __slots__ = ("target", "queries", "literal", "min_support", "max_suffix_length")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    MIN_SUPPORT_FIELD_NUMBER: _ClassVar[int]
    MAX_SUFFIX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    queries: _containers.RepeatedCompositeFieldContainer[Continuation]
    literal: bool
    min_support: int
    max_suffix_length: int
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., queries: _Optional[_Iterable[_Union[Continuation, _Mapping]]] = ..., literal: _Optional[bool] = ..., min_support: _Optional[int] = ..., max_suffix_length: _Optional[int] = ...) -> None: ...

class InfgramProbResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[InfgramProbResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[InfgramProbResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class InfgramProbResult(_message.Message):
    __slots__ = ("error", "probability", "prompt_count", "continuation_count", "suffix_length")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PROMPT_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    probability: float
    prompt_count: int
    continuation_count: int
    suffix_length: int
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., probability: _Optional[float] = ..., prompt_count: _Optional[int] = ..., continuation_count: _Optional[int] = ..., suffix_length: _Optional[int] = ...) -> None: ...

class InfgramNextTokenDistributionRequest(_message.Message):
    __slots__ = ("target", "prompts", "literal", "top_k", "complete", "with_texts", "min_support", "max_suffix_length")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    WITH_TEXTS_FIELD_NUMBER: _ClassVar[int]
    MIN_SUPPORT_FIELD_NUMBER: _ClassVar[int]
    MAX_SUFFIX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    prompts: _containers.RepeatedCompositeFieldContainer[_common_pb2.TextOrTokens]
    literal: bool
    top_k: int
    complete: bool
    with_texts: bool
    min_support: int
    max_suffix_length: int
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., prompts: _Optional[_Iterable[_Union[_common_pb2.TextOrTokens, _Mapping]]] = ..., literal: _Optional[bool] = ..., top_k: _Optional[int] = ..., complete: _Optional[bool] = ..., with_texts: _Optional[bool] = ..., min_support: _Optional[int] = ..., max_suffix_length: _Optional[int] = ...) -> None: ...

class InfgramNextTokenDistributionResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[InfgramNextTokenDistributionResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[InfgramNextTokenDistributionResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class InfgramNextTokenDistributionResult(_message.Message):
    __slots__ = ("error", "distribution")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    distribution: TokenDistribution
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., distribution: _Optional[_Union[TokenDistribution, _Mapping]] = ...) -> None: ...

class InfgramScoreRequest(_message.Message):
    __slots__ = ("target", "texts", "min_support", "max_suffix_length")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    MIN_SUPPORT_FIELD_NUMBER: _ClassVar[int]
    MAX_SUFFIX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    texts: _containers.RepeatedCompositeFieldContainer[_common_pb2.TextOrTokens]
    min_support: int
    max_suffix_length: int
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., texts: _Optional[_Iterable[_Union[_common_pb2.TextOrTokens, _Mapping]]] = ..., min_support: _Optional[int] = ..., max_suffix_length: _Optional[int] = ...) -> None: ...

class InfgramScoreResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[InfgramScoreResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[InfgramScoreResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class InfgramScoreResult(_message.Message):
    __slots__ = ("error", "token_ids", "log_probabilities", "suffix_lengths", "suffix_counts")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    LOG_PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_LENGTHS_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_COUNTS_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    token_ids: _common_pb2.Tensor
    log_probabilities: _common_pb2.Tensor
    suffix_lengths: _common_pb2.Tensor
    suffix_counts: _common_pb2.Tensor
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., token_ids: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., log_probabilities: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., suffix_lengths: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., suffix_counts: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ...) -> None: ...

class LongestMatchesRequest(_message.Message):
    __slots__ = ("target", "texts")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    texts: _containers.RepeatedCompositeFieldContainer[_common_pb2.TextOrTokens]
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., texts: _Optional[_Iterable[_Union[_common_pb2.TextOrTokens, _Mapping]]] = ...) -> None: ...

class LongestMatchesResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[LongestMatchesResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[LongestMatchesResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class LongestMatchesResult(_message.Message):
    __slots__ = ("error", "token_ids", "lengths", "counts")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    token_ids: _common_pb2.Tensor
    lengths: _common_pb2.Tensor
    counts: _common_pb2.Tensor
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., token_ids: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., lengths: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., counts: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ...) -> None: ...

class SearchDocsRequest(_message.Message):
    __slots__ = ("target", "queries", "literal", "page_size", "context_tokens", "seed", "filter")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    queries: _containers.RepeatedCompositeFieldContainer[SearchDocsQuery]
    literal: bool
    page_size: int
    context_tokens: int
    seed: int
    filter: _common_pb2.Filter
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., queries: _Optional[_Iterable[_Union[SearchDocsQuery, _Mapping]]] = ..., literal: _Optional[bool] = ..., page_size: _Optional[int] = ..., context_tokens: _Optional[int] = ..., seed: _Optional[int] = ..., filter: _Optional[_Union[_common_pb2.Filter, _Mapping]] = ...) -> None: ...

class SearchDocsQuery(_message.Message):
    __slots__ = ("query", "page_token")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    query: NgramQuery
    page_token: str
    def __init__(self, query: _Optional[_Union[NgramQuery, _Mapping]] = ..., page_token: _Optional[str] = ...) -> None: ...

class SearchDocsResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SearchDocsResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[SearchDocsResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class SearchDocsResult(_message.Message):
    __slots__ = ("error", "occurrences", "next_page_token", "count", "documents", "documents_approximate")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_APPROXIMATE_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    occurrences: _containers.RepeatedCompositeFieldContainer[_common_pb2.Occurrence]
    next_page_token: str
    count: int
    documents: int
    documents_approximate: bool
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., occurrences: _Optional[_Iterable[_Union[_common_pb2.Occurrence, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., count: _Optional[int] = ..., documents: _Optional[int] = ..., documents_approximate: _Optional[bool] = ...) -> None: ...

class TraceRequest(_message.Message):
    __slots__ = ("target", "texts", "min_length", "max_count", "max_density", "ranking", "max_documents", "context_tokens", "delimiters", "partial_words", "filter", "undelimited")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    MIN_LENGTH_FIELD_NUMBER: _ClassVar[int]
    MAX_COUNT_FIELD_NUMBER: _ClassVar[int]
    MAX_DENSITY_FIELD_NUMBER: _ClassVar[int]
    RANKING_FIELD_NUMBER: _ClassVar[int]
    MAX_DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    DELIMITERS_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_WORDS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    UNDELIMITED_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    texts: _containers.RepeatedCompositeFieldContainer[_common_pb2.TextOrTokens]
    min_length: int
    max_count: int
    max_density: float
    ranking: SpanRanking
    max_documents: int
    context_tokens: int
    delimiters: _containers.RepeatedScalarFieldContainer[str]
    partial_words: bool
    filter: _common_pb2.Filter
    undelimited: bool
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., texts: _Optional[_Iterable[_Union[_common_pb2.TextOrTokens, _Mapping]]] = ..., min_length: _Optional[int] = ..., max_count: _Optional[int] = ..., max_density: _Optional[float] = ..., ranking: _Optional[_Union[SpanRanking, str]] = ..., max_documents: _Optional[int] = ..., context_tokens: _Optional[int] = ..., delimiters: _Optional[_Iterable[str]] = ..., partial_words: _Optional[bool] = ..., filter: _Optional[_Union[_common_pb2.Filter, _Mapping]] = ..., undelimited: _Optional[bool] = ...) -> None: ...

class TraceResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[TraceResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[TraceResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class TraceResult(_message.Message):
    __slots__ = ("error", "token_ids", "spans")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    token_ids: _common_pb2.Tensor
    spans: _containers.RepeatedCompositeFieldContainer[TraceSpan]
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., token_ids: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., spans: _Optional[_Iterable[_Union[TraceSpan, _Mapping]]] = ...) -> None: ...

class TraceSpan(_message.Message):
    __slots__ = ("begin", "end", "begin_byte", "end_byte", "text", "count", "unigram_log_probability", "occurrences")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    BEGIN_BYTE_FIELD_NUMBER: _ClassVar[int]
    END_BYTE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    UNIGRAM_LOG_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCES_FIELD_NUMBER: _ClassVar[int]
    begin: int
    end: int
    begin_byte: int
    end_byte: int
    text: str
    count: int
    unigram_log_probability: float
    occurrences: _containers.RepeatedCompositeFieldContainer[_common_pb2.Occurrence]
    def __init__(self, begin: _Optional[int] = ..., end: _Optional[int] = ..., begin_byte: _Optional[int] = ..., end_byte: _Optional[int] = ..., text: _Optional[str] = ..., count: _Optional[int] = ..., unigram_log_probability: _Optional[float] = ..., occurrences: _Optional[_Iterable[_Union[_common_pb2.Occurrence, _Mapping]]] = ...) -> None: ...

class FindRequest(_message.Message):
    __slots__ = ("target", "queries", "literal")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    LITERAL_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    queries: _containers.RepeatedCompositeFieldContainer[NgramQuery]
    literal: bool
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., queries: _Optional[_Iterable[_Union[NgramQuery, _Mapping]]] = ..., literal: _Optional[bool] = ...) -> None: ...

class FindResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[FindResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[FindResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class FindResult(_message.Message):
    __slots__ = ("error", "count", "ranges")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    count: int
    ranges: _containers.RepeatedCompositeFieldContainer[RankRange]
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., count: _Optional[int] = ..., ranges: _Optional[_Iterable[_Union[RankRange, _Mapping]]] = ...) -> None: ...

class RankRange(_message.Message):
    __slots__ = ("segment_id", "begin", "end")
    SEGMENT_ID_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    segment_id: str
    begin: int
    end: int
    def __init__(self, segment_id: _Optional[str] = ..., begin: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class LocateRequest(_message.Message):
    __slots__ = ("target", "ranks", "match_tokens", "context_tokens")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    MATCH_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    target: _common_pb2.IndexRef
    ranks: _containers.RepeatedCompositeFieldContainer[Rank]
    match_tokens: int
    context_tokens: int
    def __init__(self, target: _Optional[_Union[_common_pb2.IndexRef, _Mapping]] = ..., ranks: _Optional[_Iterable[_Union[Rank, _Mapping]]] = ..., match_tokens: _Optional[int] = ..., context_tokens: _Optional[int] = ...) -> None: ...

class Rank(_message.Message):
    __slots__ = ("segment_id", "rank", "position")
    SEGMENT_ID_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    segment_id: str
    rank: int
    position: int
    def __init__(self, segment_id: _Optional[str] = ..., rank: _Optional[int] = ..., position: _Optional[int] = ...) -> None: ...

class LocateResponse(_message.Message):
    __slots__ = ("results", "info")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[LocateResult]
    info: _common_pb2.ReplyInfo
    def __init__(self, results: _Optional[_Iterable[_Union[LocateResult, _Mapping]]] = ..., info: _Optional[_Union[_common_pb2.ReplyInfo, _Mapping]] = ...) -> None: ...

class LocateResult(_message.Message):
    __slots__ = ("error", "occurrence")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCE_FIELD_NUMBER: _ClassVar[int]
    error: _status_pb2.Status
    occurrence: _common_pb2.Occurrence
    def __init__(self, error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., occurrence: _Optional[_Union[_common_pb2.Occurrence, _Mapping]] = ...) -> None: ...
