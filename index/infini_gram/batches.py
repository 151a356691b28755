"""Batches over infini-gram shards, which infini-gram's engine has none of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lodex.errors import InvalidArgumentError
from lodex.index.infini_gram.results import (
    CountsResult,
    FindsResult,
    InfgramNtdsResult,
    InfgramProbsResult,
    LongestMatchesResult,
    NtdsResult,
    ProbsResult,
)
from lodex.index.infini_gram.shard import Tokens
from lodex.index.infini_gram.shards import SearchedShards, TokenIds

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]
Queries = Sequence[TokenIds] | Tokens


class BatchedQueries(SearchedShards):
    """The methods of a batch, answered in its order and all at once.

    Queries are a list of lists of token ids or, with `offsets` (queries + 1,), one flat array of them, which saves the
    time of putting them together: query i is then `queries[offsets[i]:offsets[i + 1]]`.
    """

    _eos_token_id: int

    def find_many(self, queries: Queries, offsets: Int64s | None = None) -> FindsResult:
        """`find` of each query."""
        flat, bounds = self._batch(queries, offsets, "queries")
        ranges = [shard.table.find(flat, bounds) for shard in self._shards]
        return {"cnt": np.sum([last - first for first, last in ranges], axis=0), "segment_by_shard": ranges}

    def count_many(self, queries: Queries, offsets: Int64s | None = None) -> CountsResult:
        """`count` of each query."""
        return {"count": self._corpus.count_many(*self._batch(queries, offsets, "queries")), "approx": False}

    def prob_many(self, prompts: Queries, cont_ids: TokenIds, offsets: Int64s | None = None) -> ProbsResult:
        """`prob` of each prompt and its token."""
        flat, bounds, lengths = self._continued(prompts, cont_ids, offsets)
        whole, part = self._corpus.prob_many(flat, bounds, lengths)
        return {"prompt_cnt": whole, "cont_cnt": part, "prob": quotients(part, whole)}

    def infgram_prob_many(
        self, prompts: Queries, cont_ids: TokenIds, offsets: Int64s | None = None
    ) -> InfgramProbsResult:
        """`infgram_prob` of each prompt and its token."""
        flat, bounds, lengths = self._continued(prompts, cont_ids, offsets)
        suffixes, whole, part = self._corpus.infgram_prob_many(flat, bounds, lengths)
        return {"prompt_cnt": whole, "cont_cnt": part, "prob": quotients(part, whole), "suffix_len": suffixes}

    def ntd_many(self, prompts: Queries, offsets: Int64s | None = None) -> NtdsResult:
        """The complete `ntd` of each prompt; tokens ascend, the end of a document comes last."""
        return self._distributions(*self._batch(prompts, offsets, "prompts"))

    def infgram_ntd_many(self, prompts: Queries, offsets: Int64s | None = None) -> InfgramNtdsResult:
        """The complete `infgram_ntd` of each prompt."""
        flat, bounds = self._batch(prompts, offsets, "prompts")
        lengths = self._corpus.longest_suffix_many(flat, bounds)
        kept = np.zeros(len(bounds), np.int64)
        np.cumsum(lengths, out=kept[1:])
        suffixes = flat[np.arange(kept[-1]) + np.repeat(bounds[1:] - kept[1:], lengths)]
        return {**self._distributions(suffixes, kept), "suffix_len": lengths}

    # ------------------------------------------------------------------------------------ every place of a text

    def longest_matches(self, input_ids: TokenIds) -> LongestMatchesResult:
        """From each token of a text the length of the longest match, and how often it occurs."""
        lengths, counts = self._corpus.longest_matches(self._tokens(input_ids, "input_ids"))
        return {"length": lengths, "count": counts}

    def score(self, input_ids: TokenIds) -> InfgramProbsResult:
        """`infgram_prob` of each token of a text after all that stand before it."""
        suffixes, whole, part = self._corpus.score(self._tokens(input_ids, "input_ids"))
        return {"prompt_cnt": whole, "cont_cnt": part, "prob": quotients(part, whole), "suffix_len": suffixes}

    # ------------------------------------------------------------------------------------ arguments and answers

    def _continued(self, prompts: Queries, cont_ids: TokenIds, offsets: Int64s | None) -> tuple[Tokens, Int64s, Int64s]:
        """Each prompt with its token behind it, and the number of tokens that continue it: 1."""
        flat, bounds = self._batch(prompts, offsets, "prompts")
        following = self._tokens(cont_ids, "cont_ids")
        if len(following) != len(bounds) - 1:
            raise InvalidArgumentError(f"{len(following)} cont_ids for {len(bounds) - 1} prompts", "cont_ids")
        with_tokens = np.insert(flat, bounds[1:], following)
        return with_tokens, bounds + np.arange(len(bounds)), np.ones(len(following), np.int64)

    def _distributions(self, flat: Tokens, bounds: Int64s) -> NtdsResult:
        tokens, counts, offsets = self._corpus.next_tokens_many(flat, bounds)
        if self._eos_token_id != self._separator:
            tokens, counts, offsets = _with_eos(tokens, counts, offsets, self._separator, self._eos_token_id)
        running = np.concatenate([[0], np.cumsum(counts)])
        totals = np.diff(running[offsets])
        shares = counts / np.repeat(totals, np.diff(offsets))
        return {
            "prompt_cnt": totals,
            "offsets": offsets,
            "token_ids": tokens,
            "cont_cnt": counts,
            "prob": shares,
            "approx": False,
        }


def quotients(part: Int64s, whole: Int64s) -> Float64s:
    """Part / whole (n,), -1.0 where whole is 0."""
    shares: Float64s = np.divide(part, whole, out=np.full(len(whole), -1.0), where=whole > 0)
    return shares


def _with_eos(
    tokens: Int64s, counts: Int64s, offsets: Int64s, separator: int, eos_token_id: int
) -> tuple[Int64s, Int64s, Int64s]:
    """Give separators the id of EOS, and add them to those EOS that stand in the stream."""
    owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    ends = np.flatnonzero(tokens == separator)
    own = np.flatnonzero(tokens == eos_token_id)
    _, at_end, at_own = np.intersect1d(owners[ends], owners[own], assume_unique=True, return_indices=True)
    tokens, counts = tokens.copy(), counts.copy()
    tokens[ends] = eos_token_id
    counts[ends[at_end]] += counts[own[at_own]]
    kept = np.ones(len(tokens), np.bool_)
    kept[own[at_own]] = False
    lost = np.concatenate([[0], np.cumsum(~kept)])
    return tokens[kept], counts[kept], offsets - lost[offsets]
