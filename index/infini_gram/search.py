"""Conjunctions and the search for documents over infini-gram shards, as infini-gram's engine gives them."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from lodex.errors import InvalidArgumentError
from lodex.index.infini_gram.cnf import Conjunctions, find_conjunctions
from lodex.index.infini_gram.documents import DocResult
from lodex.index.infini_gram.lookup import DocumentLookup
from lodex.index.infini_gram.results import CountResult, FindCnfResult, SearchDocsResult
from lodex.index.infini_gram.shard import Tokens
from lodex.index.infini_gram.shards import TokenIds, whole_number

Cnf = Sequence[Sequence[TokenIds]]
Int64s = npt.NDArray[np.int64]

_DRAWS_BEFORE_ALL_ARE_LOOKED_AT = 4
"""For each document that is wanted, and one more for 16 occurrences: what it costs to look at all of them."""


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

        def places(s: int) -> Int64s:
            return self._shards[s].positions(np.arange(*segments[s]))

        idxs, documents = self._draw(counts, place, places, maxnum, max_disp_len, seed)
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

        def places(s: int) -> Int64s:
            return found.positions[s]

        idxs, documents = self._draw(counts, place, places, maxnum, max_disp_len, seed)
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
        places: Callable[[int], Int64s],
        maxnum: int | None,
        max_disp_len: int | None,
        seed: int | None,
    ) -> tuple[list[int], list[DocResult]]:
        """Draw occurrences, each once, until they stand in `maxnum` different documents or all are drawn.

        `counts` are those of the shards, `place` says where the n-th one of a shard is, `places` where all of it are.
        """
        wanted = self.maxnum if maxnum is None else whole_number(maxnum, "maxnum", 1)
        shown = self._shown(max_disp_len)
        firsts = list(accumulate(counts, initial=0))
        patience = _DRAWS_BEFORE_ALL_ARE_LOOKED_AT * wanted + firsts[-1] // 16
        found: dict[int, tuple[int, int, int]] = {}
        for drawn, number in enumerate(_draw_each_once(firsts[-1], random.Random(seed))):
            if drawn == patience:  # few documents may hold all occurrences, and be found already
                wanted = min(wanted, sum(self._number_of_documents(s, places(s)) for s in range(len(counts))))
                if len(found) >= wanted:
                    break
            s = bisect_right(firsts, number) - 1
            position = place(s, number - firsts[s])
            doc_ix = self._documents.number_of(s, position)
            if doc_ix not in found:
                found[doc_ix] = (number, s, position)
                if len(found) == wanted:
                    break
        documents = [
            self._documents.around(s, position, shown // 2, (shown + 1) // 2) for _, s, position in found.values()
        ]
        return [number for number, _, _ in found.values()], documents

    def _number_of_documents(self, s: int, positions: Int64s) -> int:
        """In how many documents some places of a shard stand."""
        return len(np.unique(self._shards[s].documents_of(positions)))


def _draw_each_once(total: int, rng: random.Random) -> Iterator[int]:
    """The numbers below `total` in a random order, drawn as they are asked for; few cost little."""
    seen: set[int] = set()
    bits = total.bit_length()
    while len(seen) < total // 2:
        # As `rng.randrange(total)` draws, without its calls.
        if (number := rng.getrandbits(bits)) < total and number not in seen:
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
