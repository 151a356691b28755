"""Conjunctions and the search for documents over infini-gram shards, as infini-gram's engine gives them."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from lodex.errors import InvalidArgumentError
from lodex.index.infini_gram_cnf import Conjunctions, find_conjunctions
from lodex.index.infini_gram_documents import DocResult
from lodex.index.infini_gram_lookup import DocumentLookup
from lodex.index.infini_gram_results import CountResult, FindCnfResult, SearchDocsResult
from lodex.index.infini_gram_shard import Tokens
from lodex.index.infini_gram_shards import TokenIds, whole_number

Cnf = Sequence[Sequence[TokenIds]]


class DocumentSearch(DocumentLookup):
    """The methods for conjunctions and for documents that hold something.

    What is drawn is drawn by a `seed`, anew each time if that is None.
    """

    max_clause_freq: int | None
    max_diff_tokens: int
    maxnum: int

    def find_cnf(
        self, cnf: Cnf, max_clause_freq: int | None = None, max_diff_tokens: int | None = None, seed: int | None = 0
    ) -> FindCnfResult:
        """The places where each clause (AND) has one of its n-grams (OR) near; see `find_conjunctions`."""
        found = self._conjunctions(cnf, max_clause_freq, max_diff_tokens, seed)
        pointers = [(part * self._dtype.itemsize).tolist() for part in found.positions]
        answer: FindCnfResult = {"cnt": found.count, "approx": found.is_sampled, "ptrs_by_shard": pointers}
        if found.is_sampled:
            answer["standard_error"] = found.standard_error
        return answer

    def count_cnf(
        self, cnf: Cnf, max_clause_freq: int | None = None, max_diff_tokens: int | None = None, seed: int | None = 0
    ) -> CountResult:
        """How many places `find_cnf` finds."""
        found = self._conjunctions(cnf, max_clause_freq, max_diff_tokens, seed)
        answer: CountResult = {"count": found.count, "approx": found.is_sampled}
        if found.is_sampled:
            answer["standard_error"] = found.standard_error
        return answer

    def search_docs(
        self, input_ids: TokenIds, maxnum: int | None = None, max_disp_len: int | None = None, seed: int | None = 0
    ) -> SearchDocsResult:
        """`maxnum` different documents that hold an n-gram, or all there are, each around one place of it."""
        segments = self._segments(self._tokens(input_ids, "input_ids"))
        counts = [end - begin for begin, end in segments]

        def place(s: int, number: int) -> int:
            return self._shards[s].position(segments[s][0] + number)

        idxs, documents = self._draw(counts, place, maxnum, max_disp_len, seed)
        return {"cnt": sum(counts), "approx": False, "idxs": idxs, "documents": documents}

    def search_docs_cnf(
        self,
        cnf: Cnf,
        maxnum: int | None = None,
        max_disp_len: int | None = None,
        max_clause_freq: int | None = None,
        max_diff_tokens: int | None = None,
        seed: int | None = 0,
    ) -> SearchDocsResult:
        """`maxnum` different documents in which a conjunction holds, or all of those found."""
        found = self._conjunctions(cnf, max_clause_freq, max_diff_tokens, seed)
        counts = [len(part) for part in found.positions]

        def place(s: int, number: int) -> int:
            return int(found.positions[s][number])

        idxs, documents = self._draw(counts, place, maxnum, max_disp_len, seed)
        if found.is_sampled:  # their numbers among all that are thought to be there
            idxs = [idx * found.count // sum(counts) for idx in idxs]
        return {"cnt": found.count, "approx": found.is_sampled, "idxs": idxs, "documents": documents}

    # ------------------------------------------------------------------------------------ how it is done

    def _segments(self, query: Tokens) -> list[tuple[int, int]]:
        """The ranks [begin, end) of the suffixes that begin with a query, of each shard."""
        bounds = np.array([0, len(query)])
        found = [shard.table.find(query, bounds) for shard in self._shards]
        return [(int(begins[0]), int(ends[0])) for begins, ends in found]

    def _conjunctions(
        self, cnf: Cnf, max_clause_freq: int | None, max_diff_tokens: int | None, seed: int | None
    ) -> Conjunctions:
        limit = self.max_clause_freq if max_clause_freq is None else whole_number(max_clause_freq, "max_clause_freq", 1)
        reach = self.max_diff_tokens if max_diff_tokens is None else whole_number(max_diff_tokens, "max_diff_tokens", 1)
        return find_conjunctions(self._shards, self._clauses(cnf), reach, limit, np.random.default_rng(seed))

    def _clauses(self, cnf: Cnf) -> list[list[Tokens]]:
        return [
            [
                self._tokens(term, f"cnf[{i}][{j}]", allow_empty=False)
                for j, term in enumerate(_list_of(part, f"cnf[{i}]"))
            ]
            for i, part in enumerate(_list_of(cnf, "cnf"))
        ]

    def _draw(
        self,
        counts: Sequence[int],
        place: Callable[[int, int], int],
        maxnum: int | None,
        max_disp_len: int | None,
        seed: int | None,
    ) -> tuple[list[int], list[DocResult]]:
        """Draw occurrences, each once, until they stand in `maxnum` different documents or all are drawn.

        `counts` are those of the shards, `place` says where the n-th one of a shard is.
        """
        wanted = self.maxnum if maxnum is None else whole_number(maxnum, "maxnum", 1)
        shown = self._shown(max_disp_len)
        firsts = list(accumulate(counts, initial=0))
        found: dict[int, tuple[int, int, int]] = {}
        for number in _draw_each_once(firsts[-1], random.Random(seed)):
            s = bisect_right(firsts, number) - 1
            position = place(s, number - firsts[s])
            found.setdefault(self._documents.number_of(s, position), (number, s, position))
            if len(found) == wanted:
                break
        documents = [
            self._documents.around(s, position, shown // 2, (shown + 1) // 2) for _, s, position in found.values()
        ]
        return [number for number, _, _ in found.values()], documents


def _draw_each_once(total: int, rng: random.Random) -> Iterator[int]:
    """The numbers below `total` in a random order, drawn as they are asked for; few cost little."""
    seen: set[int] = set()
    while len(seen) < total // 2:
        if (number := rng.randrange(total)) not in seen:
            seen.add(number)
            yield number
    rest = np.delete(np.arange(total), list(seen))
    for i in range(len(rest)):  # the shuffle of Fisher and Yates, as far as it is asked for
        j = rng.randrange(i, len(rest))
        rest[i], rest[j] = rest[j], rest[i]
        yield int(rest[i])


def _list_of(values: Any, field: str) -> Sequence[Any]:
    if isinstance(values, str | bytes | np.ndarray) or not isinstance(values, Sequence) or not values:
        raise InvalidArgumentError(f"{field} must be a list, of one item or more, of lists of token ids", field)
    return values
