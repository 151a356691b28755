"""Sections on searching: queries, scores of documents, pages read when cold, memory of the top level."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from suffix_bench import queries
from suffix_bench.bench import Bench, compare, row_of
from suffix_bench.child import call
from suffix_bench.engines import LODEX, PEER, found_places
from suffix_bench.report import Row, console

IN_MEMORY = ("count_n5", "prob_n5", "infgram_prob_l32", "ntd_2", "creativity_256", "trace_256")


def ask(bench: Bench) -> list[Row]:
    """Queries one at a time, and batches of counts, on mapped files."""
    return ask_kinds(bench, [kind.name for kind in queries.KINDS], False) + score(bench, False)


def ask_in_memory(bench: Bench) -> list[Row]:
    """Some of them on the same files read into memory, which both engines can do."""
    return ask_kinds(bench, IN_MEMORY, True) + score(bench, True)


def ask_kinds(bench: Bench, kinds: Sequence[str], in_memory: bool) -> list[Row]:
    """Rows of some kinds of queries."""
    ensure_table(bench)
    path = bench.work / "queries.json"
    drawn = queries.draw(bench.corpus.read(), bench.corpus.read_held_out(), bench.quick, bench.seed)
    path.write_text(json.dumps(drawn))
    given = {"folder": bench.corpus.folder, "queries": path, "in_memory": in_memory}
    peer, lodex = (call("engines:ask", name=name, kinds=kinds, **given) for name in (PEER, LODEX))
    counts = [kind for kind in kinds if kind.startswith("count")]
    batched = call("engines:ask_batched", name=LODEX, kinds=counts, **given)
    distributions = [kind for kind in kinds if kind.startswith("ntd")]
    arrays = call("engines:ask_arrays", name=LODEX, kinds=distributions, **given)
    rows = []
    for kind in kinds:
        if kind == "find_cnf":
            note = compare_cnf(bench, drawn[kind], peer[kind]["answers"], lodex[kind]["answers"])
        else:
            note = compare(bench, kind, peer[kind]["answers"], lodex[kind]["answers"])
        scale, unit = (1e-3, "ms") if kind.startswith("trace") else (1.0, "us")
        mine, theirs = ([us * scale for us in engine[kind]["us"]] for engine in (lodex, peer))
        rows.append(row_of(f"{kind}_{unit}", mine, unit, "lower", theirs, note))
        if (p99 := lodex[kind]["p99_us"]) is not None:
            rows.append(Row(f"{kind}_p99_us", p99, "us", "lower", peer[kind]["p99_us"]))
        if kind in arrays:
            compare(bench, f"{kind} as arrays", peer[kind]["answers"], arrays[kind]["answers"])
            note = "arrays of tokens and counts; one at a time there"
            rows.append(row_of(f"{kind}_batched_us", arrays[kind]["us"], "us", "lower", theirs, note))
            note = "arrays of tokens and counts, one prompt at a time"
            rows.append(Row(f"{kind}_arrays_p99_us", arrays[kind]["p99_us"], "us", "lower", peer[kind]["p99_us"], note))
        if kind in batched:
            compare(bench, f"{kind} batched", peer[kind]["answers"], batched[kind]["answers"])
            rows.append(row_of(f"{kind}_batched_us", batched[kind]["us"], "us", "lower", theirs, "one at a time there"))
    return [row.in_memory() for row in rows] if in_memory else rows


def score(bench: Bench, in_memory: bool) -> list[Row]:
    """Every position of held-out documents."""
    path = bench.work / "documents.json"
    path.write_text(json.dumps(queries.documents(bench.corpus.read_held_out(), bench.quick, bench.seed)))
    given = {"folder": bench.corpus.folder, "documents": path, "in_memory": in_memory}
    peer = call("engines:score", name=PEER, **given)
    runs = [call("engines:score", name=LODEX, **given) for _ in range(1 if bench.quick else 5)]
    note = f"infgram_prob at each place there; {compare(bench, 'score', peer['answers'], runs[0]['answers'])}"
    row = row_of("score_us_per_token", [run["us"][0] for run in runs], "us", "lower", peer["us"], note)
    return [row.in_memory() if in_memory else row]


def cold(bench: Bench) -> list[Row]:
    """Pages that a count reads from disk."""
    ensure_table(bench)
    path = bench.work / "cold.json"
    path.write_text(json.dumps(queries.draw(bench.corpus.read(), bench.corpus.read_held_out(), True, bench.seed + 1)))
    given = {"folder": bench.corpus.folder, "queries": path, "kind": "count_n5", "number": 40 if bench.quick else 200}
    peer, lodex = (call("engines:cold", name=name, **given) for name in (PEER, LODEX))
    keyed = call("engines:cold_with_keys", keys=bench.work / "pages" / "keys", **given)
    rows = []
    for name, found, note in (
        ("cold_count_n5_pages", lodex, "keys in memory only"),
        ("cold_count_n5_pages_disk_keys", keyed, "keys of pages on disk too"),
    ):
        if "skipped" in found:
            console.print(f"{name} skipped: {found['skipped']}")
            continue
        bench.same(f"{name}: pages left after dropping them and none", not peer["stayed"] and not found["stayed"])
        compare(bench, name, peer["answers"], found["answers"])
        means = [statistics.mean(engine["pages"]) for engine in (found, peer)]
        rows.append(Row(name, means[0], "pages", "lower", means[1], note))
        if "key_bytes" in found:
            rows.append(Row("disk_keys_bytes_per_token", found["key_bytes"] / bench.corpus.tokens, "bytes"))
    return rows


def sidecar(bench: Bench) -> list[Row]:
    """What the top level of the search takes in memory."""
    ensure_table(bench)
    held = call("engines:top_bytes", folder=bench.corpus.folder)
    return [Row("sidecar_bytes_per_token", held / bench.corpus.tokens, "bytes")]


def ensure_table(bench: Bench) -> None:
    """Sort the corpus unless that is done."""
    if not bench.corpus.table.is_file():
        call("sorting:build", stream=bench.corpus.stream, table=bench.corpus.table)


def compare_cnf(bench: Bench, drawn: list[list[list[int]]], theirs: list[Any], mine: list[Any]) -> str:
    """As `compare`, but answers that differ are settled by looking everywhere: infini-gram's threads lose places."""
    windows = [window for windows in drawn for window in windows]
    settled, wrong = list(theirs), 0
    for i, (a, b) in enumerate(zip(theirs, mine, strict=True)):
        if a is not None and a != b:
            clauses = queries.arguments("find_cnf", windows[i])[0]
            places = queries.find_cnf(bench.corpus.read(), clauses)
            settled[i] = found_places([place * bench.corpus.read().itemsize for place in places])
            wrong += a != settled[i]
    return compare(bench, "find_cnf", settled, mine) + (f", {wrong} wrong there" if wrong else "")
