"""Next-token distributions of infini-gram's answers: complete, or estimated from some occurrences of the prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lodex.index.infini_gram.results import NtdResult, TokenResult
from lodex.index.infini_gram.shard import Shard

Int64s = npt.NDArray[np.int64]


def distribution(tokens: Int64s, counts: Int64s, separator: int, eos_token_id: int) -> NtdResult:
    """Distinct next tokens (n,) and their counts as an answer; the separator is the id of EOS there."""
    total = int(counts.sum())
    shares = (counts / total).tolist() if total else []
    by_token: dict[int, TokenResult] = {
        token: {"cont_cnt": count, "prob": share}
        for token, count, share in zip(tokens.tolist(), counts.tolist(), shares, strict=True)
    }
    if eos_token_id != separator and (end := by_token.pop(separator, None)) is not None:
        # An EOS may stand in the stream too, as any other token.
        count = end["cont_cnt"] + by_token.get(eos_token_id, {"cont_cnt": 0, "prob": 0.0})["cont_cnt"]
        by_token[eos_token_id] = {"cont_cnt": count, "prob": count / total}
    return {"prompt_cnt": total, "result_by_token_id": by_token, "approx": False}


def sampled_distribution(
    shards: Sequence[Shard],
    segments: Sequence[tuple[int, int]],
    depth: int,
    max_support: int,
    separator: int,
    eos_token_id: int,
) -> NtdResult:
    """The distribution `depth` tokens into the suffixes of ranks [begin, end) of each shard, by equal steps of ranks.

    Each step is taken for its middle. Suffixes with the same next token stand together, so a count is off by less than
    a step in each shard; that of EOS, whose suffixes stand in three places, by less than three. `max_error` says which.
    """
    step = -(-sum(end - begin for begin, end in segments) // max_support)
    found: list[Int64s] = []
    weights: list[Int64s] = []
    for shard, (begin, end) in zip(shards, segments, strict=True):
        firsts = np.arange(begin, end, step)
        lasts = np.minimum(firsts + step, end)
        at = shard.positions((firsts + lasts) // 2) + depth
        is_inside = at < len(shard.tokens)
        found.append(np.where(is_inside, shard.tokens[np.where(is_inside, at, 0)].astype(np.int64), separator))
        weights.append(lasts - firsts)
    tokens, owners = np.unique(np.concatenate(found), return_inverse=True)
    counts = np.zeros(len(tokens), np.int64)
    np.add.at(counts, owners, np.concatenate(weights))
    answer = distribution(tokens, counts, separator, eos_token_id)
    if step == 1:
        return answer
    return {**answer, "approx": True, "max_error": 3 * step * len(shards)}
