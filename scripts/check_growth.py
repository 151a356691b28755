#!/usr/bin/env python
"""Add a thousand small commits to a store while it is read, and show that reads stay quick and segments stay few.

    scripts/check_growth.py [--commits 1000] [--seconds 180] [--no-compaction] [--megabytes 32] [--json FILE]

One thread publishes commits of 1 to 10 documents and builds every index for them, one compacts whenever that is due, at
half a core, and one asks a count and a Flat search in turn, 20 times a second. A table tells for each tenth of the
commits how many segments there were and how long the questions took. Then a store of several segments of `--megabytes`
in all is compacted alone, and the table tells what each kind of part costs. Vectors are drawn from a hash of the text:
no model is asked.

Documents are made of words drawn with a fixed seed. Exits 1 where there were ever more than 40 segments, or where the
store does not hold and answer in the end what a store of the same documents in one commit does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lodex.index.build import Builder, build_indexes
from lodex.index.compaction import Throttle, compact, needs_compaction
from lodex.index.dense import DenseIndex
from lodex.index.dense_build import DenseBuilder
from lodex.index.job_report import JobReport
from lodex.index.ngrams import NgramIndex
from lodex.index.passages import PassagesBuilder
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.types import Document, Embeddings, EncoderInfo

MAX_SEGMENTS = 40
D = 384
ENCODER = EncoderInfo(name="hashed", fingerprint="hashed", dimension=D, max_tokens=256, normalized=False)
_PERIOD_S = 0.05


@dataclass
class Reads:
    """What the reader saw: at each moment how many commits and segments there were, and milliseconds a question."""

    commits: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    count_ms: list[float] = field(default_factory=list)
    search_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Row:
    """A stretch of the commits."""

    commits: int
    segments: int
    most_segments: int
    count_p50_ms: float
    count_p99_ms: float
    search_p50_ms: float
    search_p99_ms: float


def main() -> None:
    """Parse the command line, run, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=180.0, help="stop after so long, with fewer commits")
    parser.add_argument("--no-compaction", action="store_true")
    parser.add_argument("--megabytes", type=int, default=32, help="text to compact alone; 0 for none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lodex-growth-") as folder:
        grown, rows, problems = grow(Path(folder) / "grown", arguments)
        speed = compaction_speed(Path(folder) / "large", arguments.megabytes, arguments.seed)
    print_rows(rows)
    for name, value in (*grown.items(), *speed.items()):
        print(f"{name:34} {value:,.2f}" if isinstance(value, float) else f"{name:34} {value:,}")
    if arguments.json:
        report = {"rows": [asdict(row) for row in rows], "growth": grown, "compaction": speed, "problems": problems}
        arguments.json.write_text(json.dumps(report, indent=1))
    for problem in problems:
        print(f"wrong: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


# ------------------------------------------------------------------------------------------------- growth


def grow(root: Path, arguments: argparse.Namespace) -> tuple[dict[str, float], list[Row], list[str]]:
    """Write, compact and read at once; figures, a row for each tenth of the commits, and what was wrong."""
    store = Store.create(root)
    all_builders = builders()
    reads, done, stop = Reads(), [0], threading.Event()
    failed: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                failed.append(error)
                stop.set()

        return threading.Thread(target=run)

    threads = [guarded(lambda: read(root, reads, done, stop))]
    if not arguments.no_compaction:
        threads.append(guarded(lambda: follow(root, stop)))
    for thread in threads:
        thread.start()
    started = time.perf_counter()
    written: list[Document] = []
    source = commits(arguments.commits, arguments.seed)
    for batch in source:
        store.add(batch)
        build_indexes(store, all_builders)
        written += batch
        done[0] += 1
        if stop.is_set() or time.perf_counter() - started > arguments.seconds:
            break
    seconds = time.perf_counter() - started
    stop.set()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    build_indexes(store, all_builders)
    problems = differences(store, written, root.with_name("rebuilt"))
    most = max(reads.segments)
    if most > MAX_SEGMENTS and not arguments.no_compaction:
        problems.append(f"there were {most} segments, expected at most {MAX_SEGMENTS}")
    figures = {
        "commits": done[0],
        "documents": len(written),
        "versions": store.version,
        "seconds": seconds,
        "commits per second": done[0] / seconds,
        "segments at most": most,
        "segments in the end": len(store.snapshot().segments),
    }
    return figures, rows_of(reads, done[0]), problems


def read(root: Path, reads: Reads, done: Sequence[int], stop: threading.Event) -> None:
    """Ask a count and a Flat search of the newest version, on and on; opening what is new is part of the time."""
    store = Store.open(root)
    tokenizer = Tokenizer.load()
    ngram = [[tokenizer.encode(" river")]]
    query = hashed("river")[None]
    while not stop.is_set():
        snapshot = store.snapshot()
        if all(name in snapshot.manifest.indexes for name in ("suffix", "dense")) and covered(snapshot):
            begun = time.perf_counter()
            NgramIndex(store.snapshot()).count(ngram)
            counted = time.perf_counter()
            DenseIndex(store.snapshot()).nearest(query, 10, exact=True)
            searched = time.perf_counter()
            reads.count_ms.append((counted - begun) * 1e3)
            reads.search_ms.append((searched - counted) * 1e3)
            reads.commits.append(done[0])
            reads.segments.append(len(snapshot.segments))
        stop.wait(_PERIOD_S)


def covered(snapshot: Snapshot) -> bool:
    """Whether anything is built yet."""
    return bool(snapshot.manifest.indexes["suffix"].parts and snapshot.manifest.indexes["dense"].parts)


def follow(root: Path, stop: threading.Event) -> None:
    """Compact whenever it is due, as a server does."""
    store = Store.open(root)
    while not stop.wait(0.02):
        if needs_compaction(store.snapshot().manifest):
            compact(store, throttle=Throttle(0.5))


def differences(store: Store, written: Sequence[Document], fresh_root: Path) -> list[str]:
    """What the store holds or answers otherwise than one to which the documents were added at once."""
    fresh = Store.create(fresh_root)
    fresh.add(written)
    build_indexes(fresh, builders())
    problems = []
    if sorted(document.doc_id for document in store) != sorted(document.doc_id for document in written):
        problems.append("the documents are not those that were written")
    one, other = store.snapshot(), fresh.snapshot()
    tokenizer = Tokenizer.load()
    ngrams = [[tokenizer.encode(f" {word}")] for word in WORDS]
    counts = [[count.count for count in NgramIndex(snapshot).count(ngrams)] for snapshot in (one, other)]
    if counts[0] != counts[1]:
        problems.append("counts differ from those of a fresh store")
    queries = np.stack([hashed(word) for word in WORDS])
    found = [DenseIndex(snapshot).nearest(queries, 10, exact=True) for snapshot in (one, other)]
    if [[(m.score, m.key) for m in row] for row in found[0]] != [[(m.score, m.key) for m in row] for row in found[1]]:
        problems.append("Flat searches differ from those of a fresh store")
    return problems


def rows_of(reads: Reads, total: int) -> list[Row]:
    """A row for each tenth of the commits in which anything was read."""
    numbers, segments = np.array(reads.commits), np.array(reads.segments)
    count_ms, search_ms = np.array(reads.count_ms), np.array(reads.search_ms)
    rows = []
    for tenth in range(1, 11):
        here = (numbers > total * (tenth - 1) // 10) & (numbers <= total * tenth // 10)
        if here.any():
            percentiles = [float(np.percentile(ms[here], p)) for ms in (count_ms, search_ms) for p in (50, 99)]
            rows.append(Row(total * tenth // 10, int(segments[here][-1]), int(segments[here].max()), *percentiles))
    return rows


# ------------------------------------------------------------------------------------------------- speed alone


def compaction_speed(root: Path, megabytes: int, seed: int) -> dict[str, float]:
    """MB of text a second that a compaction of eight segments of that size rewrites, and seconds of each kind."""
    if not megabytes:
        return {}
    store = Store.create(root)
    rng = np.random.default_rng(seed)
    for segment in range(8):
        size = megabytes * 1_000_000 // 8
        texts = (" ".join(rng.choice(WORDS, 400)) for _ in range(size // 2200))
        store.add(Document(f"large-{segment}-{i}", text) for i, text in enumerate(texts))
    build_indexes(store, builders())
    store.delete([f"large-{segment}-{i}" for segment in range(8) for i in range(0, 100, 3)])
    report = JobReport()
    started = time.perf_counter()
    done = compact(store, full=True, report=report)
    seconds = time.perf_counter() - started
    speeds = {"compaction MB of text per second": done.text_bytes / 1e6 / seconds, "compaction seconds": seconds}
    parts = {f"  of these {kind.kind}": kind.seconds for kind in report.summary()}
    rest = {"  of these text and documents": seconds - sum(parts.values())}
    return {"compaction MB of text": done.text_bytes / 1e6} | speeds | rest | parts


# ------------------------------------------------------------------------------------------------- material

WORDS = [
    *("the", "of", "and", "a", "in", "was", "it", "by", "river", "mill", "stone", "grain", "autumn", "night", "seam"),
    *("lode", "index", "store", "passage", "token", "letter", "winter", "road", "bridge", "market", "harbour"),
]


def commits(number: int, seed: int) -> Iterator[list[Document]]:
    """Commits of 1 to 10 documents of 20 to 200 words."""
    rng = np.random.default_rng(seed)
    for commit in range(number):
        texts = [" ".join(rng.choice(WORDS, int(rng.integers(20, 200)))) for _ in range(int(rng.integers(1, 11)))]
        yield [Document(f"doc-{commit}-{i}", text) for i, text in enumerate(texts)]


def hashed(text: str) -> npt.NDArray[np.float32]:
    """A vector that is always the same for one text."""
    return np.random.default_rng(zlib.crc32(text.encode())).normal(size=D).astype(np.float32)


def embed(texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
    """Texts to vectors by their hashes."""
    advance(len(texts))
    return Embeddings(np.stack([hashed(text) for text in texts]), np.zeros(len(texts), np.bool_), len(texts))


def builders() -> dict[str, Builder]:
    """What builds each index, dependencies first."""
    tokenizer = Tokenizer.load()
    return {
        "180w": PassagesBuilder(),
        tokenizer.name: TokensBuilder(tokenizer),
        "suffix": SuffixBuilder(tokenizer.name),
        "dense": DenseBuilder("180w", ENCODER, embed),
    }


def print_rows(rows: Sequence[Row]) -> None:
    """The table."""
    print("commits  segments  at most  count p50 / p99 ms   search p50 / p99 ms")
    for row in rows:
        print(
            f"{row.commits:7,} {row.segments:9,} {row.most_segments:8,}"
            f" {row.count_p50_ms:10.2f} / {row.count_p99_ms:6.2f}  {row.search_p50_ms:12.2f} / {row.search_p99_ms:6.2f}"
        )


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
