"""Ask a server every kind of question about more than 10 million tokens in several segments, while one is added.

    scripts/check_books.py [--data ../shared/data] [--store FOLDER] [--chunking 180w] [--seed 1]

Ingests the books (and two smaller English corpora) of LODEX_DATA in three commands, of which the last runs while the
server answers; builds the suffix and the dense index; asks every kind of question before and after; compares 200
counts with a naive count over the documents' own tokens; and measures how long it takes to fetch a passage by id.
Exits 1 where a reply disagrees with the version that it names, or a count with the naive one.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lodex import Client
from lodex.index.ngrams import NgramIndex
from lodex.index.store import Store
from lodex.index.tokens import TokenStream
from lodex.types import TextKind

LODEX = [sys.executable, "-m", "lodex.cli"]
PROBES = ["of the", "said the", "whale", "it is a truth universally", "upon a time", "elementary", "zyzzyva"]


def main() -> None:
    """Run the check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LODEX_DATA", "../shared/data")))
    parser.add_argument("--store", type=Path, help="where to make the store; a temporary folder unless given")
    parser.add_argument("--chunking", default="180w", help="what the dense index is over")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(check(arguments.data, arguments.store or Path(folder) / "books", arguments.chunking, arguments.seed))


def check(data: Path, store: Path, chunking: str, seed: int) -> int:
    """Build, serve, ask, add, ask again; returns the exit code."""
    books = sorted(map(str, (data / "lm_books" / "books").glob("*.txt")))
    late = [*books[-10:], str(data / "lm_wikitext2_valid" / "valid.txt")]
    run("ingest", str(store), *books[:35])
    run(
        "ingest",
        str(store),
        *books[35:-10],
        str(data / "lm_tinystories" / "stories.txt"),
        "--segment-bytes",
        "12000000",
    )
    run("index", "suffix", str(store))
    run("index", "dense", str(store), "--chunking", chunking)
    server = subprocess.Popen([*LODEX, "serve", f"books={store}", "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None, "the server was started with a pipe"
    try:
        with Client(server.stdout.readline().strip().rsplit(" ", 1)[-1]) as client:
            failures = ask_while_adding(client, store, late)
            failures += compare_with_naive_counts(client, store, seed)
    finally:
        server.terminate()
        server.wait()
    measure_passage_reads(store, chunking, seed)
    print("all replies agree" if not failures else f"{failures} disagreements")
    return 1 if failures else 0


def run(*words: str) -> None:
    """Run a command of the command line and say what it took."""
    start = time.monotonic()
    subprocess.run([*LODEX, *words], check=True, stdout=subprocess.DEVNULL)
    print(
        f"$ lodex {' '.join(word for word in words if not word.endswith('.txt'))}  ({time.monotonic() - start:.1f} s)"
    )


def questions(client: Client) -> dict[str, Callable[[], Any]]:
    """One question of every kind."""
    books = client["books"]
    return {
        "search": lambda: books.search(["a white whale sinks a ship", "the detective explains the murder"], k=3),
        "count": lambda: books.count(PROBES),
        "prob": lambda: books.prob("once upon a", " time"),
        "ntd": lambda: books.ntd(["upon a"], top_k=5, texts=True),
        "ntd, complete": lambda: books.ntd(["of the"], top_k=None),
        "infgram_prob": lambda: books.infgram_prob("there was never a more dismal upon a", " time"),
        "infgram_ntd": lambda: books.infgram_ntd(["it was the best of"], top_k=3, texts=True),
        "search_docs": lambda: books.search_docs("white whale", page_size=3),
        "get": lambda: books.get("Herman_Melville_Moby_Dick.txt"),
        "embed": lambda: client.embed(["a white whale"], TextKind.QUERY),
    }


def ask_all(client: Client) -> None:
    """Print the time and the answer of every kind of question."""
    for name, question in questions(client).items():
        question()
        start = time.perf_counter()
        answer = question()
        ms = 1000 * (time.perf_counter() - start)
        where = getattr(answer, "provenance", None)
        version = f"version {where.version}, {where.segments_ok}/{where.segments_total} segments" if where else ""
        print(f"  {name:14} {ms:8.2f} ms  {version}")


def ask_while_adding(client: Client, store: Path, late: list[str]) -> int:
    """Ask all the time while a segment is committed and indexed; every reply must fit the version it names."""
    ask_all(client)
    by_version: dict[tuple[int, int], list[int]] = {}
    replies = failures = 0
    done = threading.Event()

    def add() -> None:
        run("ingest", str(store), *late)
        run("index", "update", str(store))
        done.set()

    adding = threading.Thread(target=add)
    adding.start()
    while not done.is_set():
        answer = client.count("books", PROBES)
        state = (answer.provenance.version, answer.provenance.segments_ok)
        counts = [item.count for item in answer]
        replies += 1
        failures += by_version.setdefault(state, counts) != counts
        client.search("books", "a white whale sinks a ship", k=3)
    adding.join()
    final = client.count("books", PROBES)
    print(f"{replies} batches answered while a segment was added, {failures} inconsistent; states seen:")
    for (version, segments), counts in sorted(by_version.items()):
        print(f"  version {version}, {segments} segments indexed: {counts}")
    if final.provenance.segments_ok != final.provenance.segments_total:
        print("the server did not follow the newest version")
        failures += 1
    ask_all(client)
    return failures


def compare_with_naive_counts(client: Client, store: Path, seed: int) -> int:
    """Count 200 random n-grams of the documents by looking at every position."""
    snapshot = Store.open(store).snapshot()
    stream = NgramIndex(snapshot).stream_name
    streams = [TokenStream(part) for _, part in snapshot.parts(stream) if part is not None]
    tokens = [np.asarray(stream.tokens) for stream in streams]
    total = sum(stream.num_tokens for stream in streams)
    print(f"{len(streams)} segments, {total:,} tokens")
    rng = random.Random(seed)
    queries = []
    while len(queries) < 200:
        part = rng.randrange(len(tokens))
        start, length = rng.randrange(len(tokens[part])), rng.randint(1, 12)
        query = tokens[part][start : start + length]
        if len(query) == length and not (query == streams[part].separator).any():
            queries.append(query)
    counted = [item.count for item in client.count("books", [query.tolist() for query in queries])]
    naive = [sum(naive_count(part, query) for part in tokens) for query in queries]
    wrong = sum(a != b for a, b in zip(counted, naive, strict=True))
    print(f"{len(queries) - wrong} of {len(queries)} counts equal a naive count")
    return wrong


def naive_count(tokens: np.ndarray, query: np.ndarray) -> int:
    """Look at every position."""
    places = np.flatnonzero(tokens[: len(tokens) - len(query) + 1] == query[0])
    for offset in range(1, len(query)):
        places = places[tokens[places + offset] == query[offset]]
    return len(places)


def measure_passage_reads(store: Path, chunking: str, seed: int) -> None:
    """Fetch 5,000 random passages by id, warm."""
    opened = Store.open(store)
    snapshot = opened.snapshot()
    tables = [snapshot.passages(segment, chunking) for segment in snapshot.segments]
    rng = random.Random(seed)
    chosen = [(table, rng.randrange(table.num_passages)) for table in rng.choices(tables, k=5000)]
    ids = [table.id(i) for table, i in chosen]
    for passage_id in ids[:500]:
        opened.passage(passage_id, chunking)
    times = []
    for passage_id in ids:
        start = time.perf_counter_ns()
        opened.passage(passage_id, chunking)
        times.append((time.perf_counter_ns() - start) / 1000)
    print(f"passage by id: median {statistics.median(times):.0f} µs, p99 {np.percentile(times, 99):.0f} µs")


if __name__ == "__main__":
    main()
