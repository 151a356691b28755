"""Queries for both engines: drawn with a seed, none twice, in random order, half of them from held-out documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from suffix_bench.corpus import SEPARATOR, Tokens

REPETITIONS = 5
# CNF queries look for two pairs of tokens that stand this far apart, the second with an alternative.
_CNF_STEP, _CNF_WINDOW = 12, 32


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of query: how many tokens it is made of, and how many are asked in each repetition."""

    name: str
    window: int
    full: int
    quick: int


KINDS = (
    Kind("count_n1", 1, 500, 500),
    Kind("count_n2", 2, 10_000, 2_000),
    Kind("count_n5", 5, 10_000, 2_000),
    Kind("count_n10", 10, 10_000, 2_000),
    Kind("prob_n5", 5, 10_000, 2_000),
    Kind("infgram_prob_l32", 33, 4_000, 400),
    Kind("infgram_prob_l256", 257, 2_000, 200),
    Kind("ntd_2", 2, 300, 100),
    Kind("ntd_4", 4, 1_000, 200),
    Kind("infgram_ntd_l32", 32, 400, 100),
    Kind("search_docs_k1", 5, 2_000, 400),
    Kind("search_docs_k10", 5, 2_000, 400),
    Kind("find_cnf", _CNF_WINDOW, 60, 20),
    Kind("creativity_256", 256, 20, 8),
    Kind("trace_256", 256, 20, 6),
)
SCORED_DOCUMENTS, SCORED_TOKENS = 200, 512


def draw(tokens: Tokens, held_out: Tokens, quick: bool, seed: int) -> dict[str, list[list[list[int]]]]:
    """For each kind its repetitions, each a list of windows of token ids; fewer where there are not enough."""
    found = {}
    for number, kind in enumerate(KINDS):
        rng = np.random.default_rng([seed, number])
        wanted = REPETITIONS * (kind.quick if quick else kind.full)
        half = wanted // 2
        seen: set[tuple[int, ...]] = set()
        windows = [_windows(text, kind.window, half, rng, seen) for text in (tokens, held_out)]
        drawn = [window for part in windows for window in part]
        order = rng.permutation(len(drawn))
        found[kind.name] = [[drawn[i] for i in part] for part in np.array_split(order, REPETITIONS)]
    return found


def documents(held_out: Tokens, quick: bool, seed: int) -> list[list[int]]:
    """The beginnings of held-out documents, to be scored."""
    starts = np.flatnonzero(held_out == SEPARATOR)
    ends = np.append(starts[1:], len(held_out))
    long = np.flatnonzero(ends - starts > SCORED_TOKENS // 2)
    chosen = np.random.default_rng([seed, len(KINDS)]).permutation(long)[: SCORED_DOCUMENTS // (5 if quick else 1)]
    return [held_out[starts[i] + 1 : min(ends[i], starts[i] + 1 + SCORED_TOKENS)].tolist() for i in chosen]


def arguments(kind: str, window: list[int]) -> tuple[Any, ...]:
    """What an engine's method is called with."""
    if kind.startswith(("prob", "infgram_prob")):
        return window[:-1], window[-1]
    if kind.startswith("search_docs"):
        return window, int(kind.rpartition("k")[2])
    if kind == "find_cnf":
        first, second, other = (window[i * _CNF_STEP : i * _CNF_STEP + 2] for i in range(3))
        return ([[first], [second, other]],)
    if kind == "trace_256":
        return window, [], 1, 10, False
    return (window,)


def find_cnf(tokens: Tokens, cnf: list[list[list[int]]], within: int = 100) -> list[int]:
    """Where infini-gram's rule finds two clauses near each other in a document, in tokens, by looking everywhere.

    A place of the rarer clause counts if one of the other is near. It is the last one before it if that is near, and
    else the place itself.
    """
    first, second = (
        np.unique(np.concatenate([np.flatnonzero((tokens[:-1] == a) & (tokens[1:] == b)) for a, b in clause]))
        for clause in cnf
    )
    if len(second) < len(first):
        first, second = second, first
    # Where both stand before the same separator they are of the same document: each is moved by the number of those
    # before it, times more than can be near.
    separators, apart = np.flatnonzero(tokens == SEPARATOR), np.int64(2 * within + 1)
    here, there = (places + apart * np.searchsorted(separators, places) for places in (first, second))
    behind = np.searchsorted(there, here)
    # None is near the ends of this.
    there = np.concatenate([[here.min(initial=0) - apart], there, [here.max(initial=0) + apart]])
    has_before, has_after = there[behind] >= here - within, there[behind + 1] <= here + within
    before = np.concatenate([[-1], second])[behind]
    found: list[int] = np.sort(np.where(has_before, before, first)[has_before | has_after]).tolist()
    return found


def _windows(
    text: Tokens, length: int, wanted: int, rng: np.random.Generator, seen: set[tuple[int, ...]]
) -> list[list[int]]:
    """Runs of a text within documents that were not drawn before; drawn ten times over at most."""
    found: list[list[int]] = []
    for _ in range(10):
        for start in rng.integers(0, len(text) - length + 1, wanted).tolist():
            window = text[start : start + length].tolist()
            if SEPARATOR in window or tuple(window) in seen:
                continue
            seen.add(tuple(window))
            found.append(window)
            if len(found) == wanted:
                return found
    return found
