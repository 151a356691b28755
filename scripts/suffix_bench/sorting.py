"""Building `table.0`: infini-gram's own three steps, and Lodex's sort, on the same stream and on worst cases."""

from __future__ import annotations

import importlib.util
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from suffix_bench.child import Cost, PeakMemory, watch
from suffix_bench.corpus import Tokens, checksum

from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import encode_offsets, offset_width

# Bytes by which parts overlap, as in infini-gram's indexing.py.
_OVERLAP = 100_000
_ENTRIES_PER_WRITE = 1 << 20
_CHECKED_AT_ONCE = 1 << 22


def peer_build(stream: str, table: str, parts: int = 1, timeout_s: float = 3600) -> dict[str, Any]:
    """What infini-gram's make-part, merge and concat take, for a u16 stream, one at a time; writes the table."""
    found = importlib.util.find_spec("infini_gram")
    assert found is not None, "infini_gram is not installed, which was asked before; this is a bug"
    assert found.origin is not None, "infini_gram is a folder without code"
    binary = str(Path(found.origin).with_name("rust_indexing"))
    size = Path(stream).stat().st_size
    width = math.ceil(math.log2(size) / 8)
    share = size if parts == 1 else -(-size // parts) // 2 * 2 + 2
    places = [(i * share, min((i + 1) * share + _OVERLAP, size)) for i in range(parts)]
    common = ["--data-file", stream, "--ratio", str(width), "--token-width", "2"]
    with tempfile.TemporaryDirectory(dir=Path(table).parent) as folder:
        sorted_parts, merged = Path(folder, "parts"), Path(folder, "merged")
        sorted_parts.mkdir()
        merged.mkdir()
        to, one = ["--merged-dir", str(merged)], ["--num-threads", "1"]
        steps = [
            ["make-part", "--parts-dir", str(sorted_parts), "--start-byte", str(begin), "--end-byte", str(end)]
            for begin, end in places
        ]
        steps.append(["merge", "--parts-dir", str(sorted_parts), *to, "--hacksize", str(_OVERLAP), *one])
        steps.append(["concat", *to, "--merged-file", table, *one])
        costs: list[Cost] = []
        for step in steps:
            costs.append(watch([binary, step[0], *common, *step[1:]], timeout_s))
            if costs[-1].failure:
                break
    failure = next((f"{step[0]} {cost.failure}" for step, cost in zip(steps, costs, strict=False) if cost.failure), "")
    whole = Cost(sum(cost.cpu_s for cost in costs), max(cost.peak_bytes for cost in costs), failure)
    return asdict(whole) | {"merge_cpu_s": costs[min(parts, len(costs) - 1)].cpu_s}


def build(stream: str, table: str) -> dict[str, Any]:
    """What Lodex's sort takes in this process, and with the table written. The text is in memory and counts."""
    memory = PeakMemory()
    begin = time.process_time()
    tokens = np.fromfile(stream, np.uint16)
    read = time.process_time()
    positions = suffix_array(tokens)
    sorted_at = time.process_time()
    peak = memory.bytes()
    width = offset_width(tokens.nbytes)
    with Path(table).open("wb") as file:
        for start in range(0, len(positions), _ENTRIES_PER_WRITE):
            file.write(encode_offsets(positions[start : start + _ENTRIES_PER_WRITE], 2, width).tobytes())
    return {"cpu_s": sorted_at - read, "whole_cpu_s": time.process_time() - begin, "peak_bytes": peak}


def write_worst_case(name: str, tokens: int, text: Path, stream: Path, seed: int) -> int:
    """Write one hard text as a stream of u16; the corpus in `text` serves those made of it. Returns its tokens."""
    found = WORST_CASES[name](tokens, np.memmap(text, np.uint16, "r"), np.random.default_rng(seed))
    found.tofile(stream)
    return len(found)


def sort_checked(stream: str) -> dict[str, Any]:
    """What the sort of a stream takes in this process, its text counted; whether the result is right."""
    memory = PeakMemory()
    text = np.fromfile(stream, np.uint16)
    begin = time.process_time()
    positions = suffix_array(text)
    cpu_s = time.process_time() - begin
    return {"cpu_s": cpu_s, "peak_bytes": memory.bytes(), "right": is_sorted(text, positions)}


def peer_checked(stream: str, parts: int, timeout_s: float) -> dict[str, Any]:
    """What infini-gram does with a stream: its cost, its failure, and whether its table is that of Lodex."""
    with tempfile.TemporaryDirectory(dir=Path(stream).parent) as folder:
        table, expected = Path(folder, "table.0"), Path(folder, "expected")
        tokens = np.fromfile(stream, np.uint16)
        encode_offsets(suffix_array(tokens), 2, offset_width(tokens.nbytes)).tofile(expected)
        found = peer_build(stream, str(table), parts, timeout_s)
        same = not found["failure"] and table.is_file() and checksum(table) == checksum(expected)
    return found | {"right": same}


def is_sorted(tokens: Tokens, positions: Any) -> bool:
    """Whether positions (n,) are all suffixes in order, in linear time: by first tokens, then by the ranks of the rest.

    Tokens compare by their little-endian bytes.
    """
    n = len(tokens)
    ranks = np.full(n + 1, -2, np.int32)
    ranks[positions] = np.arange(n, dtype=np.int32)
    ranks[n] = -1
    if (ranks == -2).any():
        return False
    for begin in range(0, n - 1, _CHECKED_AT_ONCE):
        here = positions[begin : begin + _CHECKED_AT_ONCE + 1]
        first = tokens[here].byteswap()
        rest = ranks[here.astype(np.int64) + 1]
        less = first[:-1] < first[1:]
        if not (less | ((first[:-1] == first[1:]) & (rest[:-1] < rest[1:]))).all():
            return False
    return True


# ---------------------------------------------------------------------------------------------- hard texts


def _fibonacci(n: int) -> Tokens:
    shorter, longer = np.array([1], np.uint16), np.array([1, 2], np.uint16)
    while len(longer) < n:
        shorter, longer = longer, np.concatenate([longer, shorter])
    return longer[:n].copy()


def snippets(n: int, text: Tokens, rng: np.random.Generator, shortest: int = 8, longest: int = 63) -> Tokens:
    """Runs of a text of 8 to 63 tokens, drawn at random and put side by side."""
    result = np.empty(n, np.uint16)
    done = 0
    while done < n:
        lengths = rng.integers(shortest, longest + 1, 1 << 16)
        starts = rng.integers(0, len(text) - longest, 1 << 16)
        places = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
        part = text[places[: n - done]]
        result[done : done + len(part)] = part
        done += len(part)
    return result


WORST_CASES: dict[str, Callable[[int, Tokens, np.random.Generator], Tokens]] = {
    "all equal": lambda n, text, rng: np.full(n, 7, np.uint16),
    "period 2": lambda n, text, rng: np.resize(np.array([1, 2], np.uint16), n),
    "one document x 400": lambda n, text, rng: np.resize(text[: n // 400], n),
    "one document x 1,000": lambda n, text, rng: np.resize(text[: n // 1000], n),
    "random u16": lambda n, text, rng: rng.integers(0, 0xFFFF, n, np.uint16),
    "random of 4 symbols": lambda n, text, rng: rng.integers(0, 4, n, np.uint16),
    "Fibonacci": lambda n, text, rng: _fibonacci(n),
    "ramp": lambda n, text, rng: np.resize(np.arange(50_000, dtype=np.uint16), n),
    "snippets of the corpus": lambda n, text, rng: snippets(n, text, rng),
}
