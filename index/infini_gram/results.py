"""The answers of infini-gram's engine, plain dicts with its fields."""

from __future__ import annotations

from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

from lodex.index.infini_gram.attribution import AttributionSpan
from lodex.index.infini_gram.documents import DocResult

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]


class FindResult(TypedDict):
    """Occurrences, and for each shard the ranks [begin, end) of the suffixes that begin with the n-gram."""

    cnt: int
    segment_by_shard: list[tuple[int, int]]


class CountResult(TypedDict):
    """Occurrences. An estimate is `approx` and has a `standard_error`."""

    count: int
    approx: bool
    standard_error: NotRequired[float]


class FindCnfResult(TypedDict):
    """Occurrences of a conjunction, and for each shard the bytes where they begin; of an estimate those looked at."""

    cnt: int
    approx: bool
    ptrs_by_shard: list[list[int]]
    standard_error: NotRequired[float]


class ProbResult(TypedDict):
    """Occurrences of a prompt and of it with a token, and their quotient: -1.0 if the prompt never occurs."""

    prompt_cnt: int
    cont_cnt: int
    prob: float


class InfgramProbResult(ProbResult):
    """The same of the longest suffix that occurs, which has `suffix_len` tokens."""

    suffix_len: int


class TokenResult(TypedDict):
    """How often a token follows, and its share."""

    cont_cnt: int
    prob: float


class NtdResult(TypedDict):
    """What follows a prompt, by token. Where it is `approx`, no count of a token is off by more than `max_error`."""

    prompt_cnt: int
    result_by_token_id: dict[int, TokenResult]
    approx: bool
    max_error: NotRequired[int]


class InfgramNtdResult(NtdResult):
    """The same of the longest suffix that occurs, which has `suffix_len` tokens."""

    suffix_len: int


class SearchDocsResult(TypedDict):
    """Documents, each once. There are `cnt` occurrences, of which `idxs` are the numbers of those shown."""

    cnt: int
    approx: bool
    idxs: list[int]
    documents: list[DocResult]


class CreativityResult(TypedDict):
    """For each token of a text where the longest match that begins with it ends."""

    rs: list[int]


class AttributionResult(TypedDict):
    """The spans of a text that stand in the corpus, in its order."""

    spans: list[AttributionSpan]


class CountsResult(TypedDict):
    """`CountResult` of a batch (n,)."""

    count: Int64s
    approx: bool


class FindsResult(TypedDict):
    """`FindResult` of a batch: counts (n,), and for each shard the ranks (n,) where ranges begin and end."""

    cnt: Int64s
    segment_by_shard: list[tuple[Int64s, Int64s]]


class ProbsResult(TypedDict):
    """`ProbResult` of a batch, all (n,)."""

    prompt_cnt: Int64s
    cont_cnt: Int64s
    prob: Float64s


class InfgramProbsResult(ProbsResult):
    """`InfgramProbResult` of a batch, all (n,)."""

    suffix_len: Int64s


class NtdsResult(TypedDict):
    """`NtdResult` of a batch: prompt i (n,) is followed by `token_ids[offsets[i]:offsets[i + 1]]`."""

    prompt_cnt: Int64s
    offsets: Int64s
    token_ids: Int64s
    cont_cnt: Int64s
    prob: Float64s
    approx: bool


class InfgramNtdsResult(NtdsResult):
    """`InfgramNtdResult` of a batch."""

    suffix_len: Int64s


class LongestMatchesResult(TypedDict):
    """From each token of a text (n,) the length of the longest match, and how often that occurs."""

    length: Int64s
    count: Int64s
