"""How probable each token is by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.index.infini_gram.shard import Shard, Tokens

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

UNSEEN = -10000.0
"""What infini-gram takes for the log-probability of a token that has no count."""


@dataclass(frozen=True, slots=True)
class Unigrams:
    """Natural log-probabilities of tokens, (n,) and ids ascending; separators count among all tokens."""

    ids: Int64s
    logs: Float64s

    @classmethod
    def of(cls, shards: Iterable[Shard]) -> Unigrams:
        """Those of all shards, from their unigram files or counted."""
        found = [shard.unigrams() for shard in shards]
        ids, owners = np.unique(np.concatenate([part for part, _ in found]), return_inverse=True)
        counts = np.zeros(len(ids), np.int64)
        np.add.at(counts, owners, np.concatenate([part for _, part in found]))
        ids, counts = ids[counts > 0], counts[counts > 0]
        return cls(ids, np.log(counts) - np.log(counts.sum()))

    @classmethod
    def none(cls) -> Unigrams:
        """No counts at all: every token is unseen."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float64))

    def log_probabilities(self, tokens: Tokens) -> Float64s:
        """Those of a text (n,)."""
        if not len(self.ids):
            return np.full(len(tokens), UNSEEN)
        index = np.minimum(np.searchsorted(self.ids, tokens), len(self.ids) - 1)
        return np.where(self.ids[index] == tokens, self.logs[index], UNSEEN)
