"""Lists to learn from: passages, queries that one of them answers, and the order a teacher gives the others.

Nothing is annotated. A query is drawn from one passage of the list, which is its best; the others are near passages
of the store's dense index, ordered by how similar that index finds them to the best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from lodex.errors import InvalidArgumentError
from lodex.rerank.prompt import PromptBuilder
from lodex.rerank.template import IDENTIFIERS
from lodex.rerank.training.pool import Pool
from lodex.rerank.training.queries import EASY, MIXED, Drawn, Kind, draw, some_words
from lodex.types import Progress, Silent

# Passages whose similarity to the best falls into one step are not told apart: the teacher is not that exact.
_TEACHER_STEP = 0.1
_NEAR, _FAR = 20, 100
# Share of the lists to learn from whose passages come from anywhere: the step from easy lists to near ones is high.
_ANYWHERE = 0.3
_EASY_LEAST, _EASY_MOST = 2, 4
_SEEDS_AT_ONCE = 512
_QUERIES_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class ListShape:
    """`context` tokens of a prompt, `passages` of a list, `queries` asked of it one after the other in one prompt.

    With several queries a forward pass teaches several rankings; only templates that have the query behind the
    passages allow it, and what a model learns from it holds for one query too.
    """

    context: int = 320
    passages: int = 8
    queries: int = 6

    def __post_init__(self) -> None:
        if not 2 <= self.passages <= len(IDENTIFIERS) or self.queries < 1:
            raise InvalidArgumentError(
                f"a list of {self.passages} passages and {self.queries} queries; expected 2 to {len(IDENTIFIERS)} "
                "passages and one query at least",
                "passages",
            )


@dataclass(frozen=True, slots=True)
class Lists:
    """Prompts with what is to be learned from them, as arrays.

    `ids` (N, T) int64, 0 after the end; `is_target` (N, T) bool: tokens that the language-model loss counts;
    `positions` (N, Q) int64 of the "[" whose logits are scores, -1 where there are fewer queries; `ranks` (N, Q, P)
    int64 of the passage behind each identifier, 1 the best, equal where the teacher is undecided, 0 where there is no
    passage; `kinds` (N, Q) int64, of `Kind`; `similarities` (N, Q, P) float32, the teacher's;
    `line_ends` (N, P) int64 of the last token of each passage's line, 0 where there is no passage; `repeats` (N, T)
    int8: 1 where a token of a passage stands in the first query too, 0 where it does not, -1 outside passages.
    """

    ids: npt.NDArray[np.int64]
    is_target: npt.NDArray[np.bool_]
    positions: npt.NDArray[np.int64]
    ranks: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]
    similarities: npt.NDArray[np.float32]
    line_ends: npt.NDArray[np.int64]
    repeats: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.ids)

    def save(self, path: Path) -> None:
        """Write the arrays as safetensors, integers in as few bytes as hold them."""
        narrow = {"ids": np.uint32, "positions": np.int16, "ranks": np.int8, "kinds": np.int8, "line_ends": np.int16}
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        save_file({name: array.astype(narrow.get(name, array.dtype)) for name, array in arrays.items()}, path)

    @classmethod
    def load(cls, path: Path) -> Lists:
        """Read what `save` wrote."""
        wide = {"ids", "positions", "ranks", "kinds", "line_ends"}
        read: dict[str, Any] = load_file(path)
        return cls(**{name: a.astype(np.int64) if name in wide else a for name, a in read.items()})


class ListMaker:
    """Makes lists of a pool for a template and tokenizer; the same seed makes the same lists."""

    def __init__(self, pool: Pool, builder: PromptBuilder, eos_id: int, encode_answer: Any, shape: ListShape) -> None:
        """`encode_answer` gives the ids of an answer's text after its first "["."""
        self._pool = pool
        self._builder = builder
        self._eos_id = eos_id
        self._answer = encode_answer
        self._shape = shape

    def easy(self, count: int, seed: int, progress: Progress | None = None) -> Lists:
        """Two to four passages from anywhere, and queries that repeat words of the best one."""
        return self._make(count, seed, True, self._queries, 1.0, progress)

    def mixed(self, count: int, seed: int, progress: Progress | None = None) -> Lists:
        """Whole lists of near passages, three in ten of passages from anywhere, and queries of every kind."""
        return self._make(count, seed, False, self._queries, _ANYWHERE, progress)

    def single(self, count: int, seed: int, progress: Progress | None = None) -> Lists:
        """Whole lists of near passages, one query to a prompt: what a reranker is given."""
        return self._make(count, seed, False, 1, 0.0, progress)

    @property
    def _queries(self) -> int:
        return 1 if self._builder.template.is_query_first else self._shape.queries

    def _make(
        self, count: int, seed: int, easy: bool, queries: int, anywhere: float, progress: Progress | None
    ) -> Lists:
        P = self._shape.passages
        # Easy lists are short, and padding costs as much as text.
        context = self._shape.context // 2 if easy else self._shape.context
        lists = Lists(
            ids=np.zeros((count, context), np.int64),
            is_target=np.zeros((count, context), np.bool_),
            positions=np.full((count, queries), -1, np.int64),
            ranks=np.zeros((count, queries, P), np.int64),
            kinds=np.full((count, queries), -1, np.int64),
            similarities=np.zeros((count, queries, P), np.float32),
            line_ends=np.zeros((count, P), np.int64),
            repeats=np.full((count, context), -1, np.int8),
        )
        rng = np.random.default_rng([seed, int(easy), queries])
        shares = EASY if easy else MIXED
        shown = progress or Silent()
        shown.start("making lists", count, "lists")
        for row, members in enumerate(self._members(count, easy, anywhere, rng)):
            drawn = [draw(self._pool.passages[member], shares, rng) for member in members]
            self._write(lists, row, members, drawn, queries, easy, rng)
            shown.advance(1)
        shown.finish()
        return lists

    def _members(self, count: int, easy: bool, anywhere: float, rng: np.random.Generator) -> Iterator[list[int]]:
        """The passages of each list in a random order; `anywhere` is the share of lists without near ones."""
        for begin in range(0, count, _SEEDS_AT_ONCE):
            seeds = rng.integers(len(self._pool), size=min(_SEEDS_AT_ONCE, count - begin))
            neighbours = self._pool.neighbours(seeds, _FAR) if anywhere < 1 else None
            for i, seed in enumerate(seeds.tolist()):
                most = min(_EASY_MOST, self._shape.passages)
                size = int(rng.integers(_EASY_LEAST, most + 1)) if easy else self._shape.passages
                if neighbours is None or rng.random() < anywhere:
                    others = rng.integers(len(self._pool), size=8 * size).tolist()
                else:
                    near = neighbours[i, : _NEAR if rng.random() < 0.5 else _FAR]
                    others = rng.permutation(near).tolist()
                members = self._apart(seed, others, size)
                yield [members[i] for i in rng.permutation(len(members))]

    def _apart(self, seed: int, others: Sequence[int], size: int) -> list[int]:
        members = [seed]
        for other in others:
            if len(members) == size:
                break
            if other not in members and not any(self._pool.are_adjacent(other, member) for member in members):
                members.append(other)
        return members

    def _write(
        self,
        lists: Lists,
        row: int,
        members: list[int],
        drawn: list[Drawn],
        queries: int,
        easy: bool,
        rng: np.random.Generator,
    ) -> None:
        n, context = len(members), lists.ids.shape[1]
        asked = self._asked(drawn, queries, rng)
        following = [self._builder.suffix(query, n) for _, query, _ in asked]
        # Long queries leave room for fewer of them.
        while len(asked) > 1 and sum(map(len, following)) > _QUERIES_SHARE * context:
            asked.pop()
            following.pop()
        vectors = self._pool.vectors[members]
        tails: list[list[int]] = []
        for number, (slot, _, kind) in enumerate(asked):
            similarities = vectors @ vectors[slot]
            ranks = teacher_ranks(slot, np.zeros(n) if easy else similarities)
            lists.ranks[row, number, :n] = ranks
            lists.kinds[row, number] = kind
            lists.similarities[row, number, :n] = similarities
            order = sorted(range(n), key=lambda i: (i != slot, -float(similarities[i])))
            tails.append(self._tail(order, is_last=number + 1 == len(asked)))
        room = context - sum(map(len, tails)) - sum(map(len, following[1:]))
        passages = self._builder.read([one.shown for one in drawn])
        prompt = self._builder.assemble(asked[0][1], passages, room)
        lists.line_ends[row, :n] = prompt.line_ends
        ids = prompt.ids.tolist()
        before = self._builder.prefix(asked[0][1], n)
        words = set(before) - set(self._builder.prefix("", n))
        spoken = slice(len(before) + 1, int(prompt.line_ends[-1]) + 1)
        lists.repeats[row, spoken] = [token in words for token in ids[spoken]]
        for number, tail in enumerate(tails):
            if number:
                ids += following[number]
            lists.positions[row, number] = len(ids) - 1
            lists.is_target[row, len(ids) : len(ids) + len(tail)] = True
            ids += tail
        lists.ids[row, : len(ids)] = ids

    def _asked(self, drawn: list[Drawn], queries: int, rng: np.random.Generator) -> list[tuple[int, str, Kind]]:
        """(slot, query, kind) of the queries of a list; a passage that is asked for again is asked by other words."""
        asked: list[tuple[int, str, Kind]] = []
        seen: set[int] = set()
        for slot in rng.integers(len(drawn), size=queries).tolist():
            again = slot in seen
            query = some_words(drawn[slot].shown, rng) if again else drawn[slot].query
            asked.append((slot, query, Kind.WORDS if again else drawn[slot].kind))
            seen.add(slot)
        return asked

    def _tail(self, order: list[int], is_last: bool) -> list[int]:
        """The answer: the whole order after the last query, the best alone after the others."""
        if is_last:
            return [*self._answer(" > ".join(f"[{IDENTIFIERS[i]}]" for i in order)), self._eos_id]
        return list(self._answer(f"[{IDENTIFIERS[order[0]]}]\n"))


def teacher_ranks(best: int, similarities: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Ranks (n,) from 1: `best` first, the others by similarity in steps of 0.1, equal within a step."""
    steps = np.floor(np.asarray(similarities, np.float64) / _TEACHER_STEP).astype(np.int64)
    steps[best] = np.iinfo(np.int64).max
    ranks: npt.NDArray[np.int64] = 1 + (steps[None, :] > steps[:, None]).sum(axis=1)
    return ranks


def shape_recipe(shape: ListShape) -> dict[str, Any]:
    """What a recipe says of the lists."""
    return {"shape": asdict(shape), "easy": EASY, "mixed": MIXED, "teacher_step": _TEACHER_STEP, "anywhere": _ANYWHERE}
