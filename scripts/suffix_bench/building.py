"""Sections on building: sorting the corpus, sorting hard texts, merging."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

from suffix_bench.bench import Bench, row_of
from suffix_bench.child import call
from suffix_bench.corpus import Corpus, checksum, prefix
from suffix_bench.report import WORST_RSS, WORST_TOKENS_PER_CPU_S, Row, console, shorten
from suffix_bench.sorting import WORST_CASES, write_worst_case

# As large as the corpus of the figures that were aimed at.
PART_TOKENS = 43_000_000
WORST_TOKENS, WORST_QUICK, SNIPPETS = PART_TOKENS, 500_000, 400_000_000
# Tokens and parts of hard texts for infini-gram: few enough for it to end, and what it should take for nothing.
PEER_WORST, PEER_LIMIT_S = ((20_000, 1), (1_000_000, 2)), 10.0


def build(bench: Bench) -> list[Row]:
    """Both builds of the same table, which the other sections search; and of its first 43 M tokens."""
    rows = build_both(bench, bench.corpus, "")
    if bench.corpus.tokens > 2 * PART_TOKENS:
        part = prefix(bench.corpus, PART_TOKENS)
        rows += build_both(bench, part, f"_{PART_TOKENS // 10**6}m")
        shutil.rmtree(part.folder)
    return rows


def build_both(bench: Bench, corpus: Corpus, suffix: str) -> list[Row]:
    """Speed and memory of both builds of one stream."""
    n, peer_table = corpus.tokens, bench.work / "peer"
    peer = call("sorting:peer_build", stream=corpus.stream, table=peer_table)
    runs = [call("sorting:build", stream=corpus.stream, table=corpus.table) for _ in range(3 if bench.quick else 5)]
    bench.same(f"tables{suffix}", not peer["failure"] and checksum(peer_table) == checksum(corpus.table))
    mine, theirs = (2 + table.stat().st_size / n for table in (corpus.table, peer_table))
    peer_table.unlink()
    peer_speed, peer_bytes = n / peer["cpu_s"], peer["peak_bytes"] / n
    speeds, written = ([n / run[cpu_s] for run in runs] for cpu_s in ("cpu_s", "whole_cpu_s"))
    note = "from file to file, as infini-gram's"
    return [
        row_of(f"build{suffix}_tokens_per_cpu_s", speeds, "tokens/s", "higher", [peer_speed], "from array to array"),
        row_of(f"build{suffix}_written_tokens_per_cpu_s", written, "tokens/s", "higher", [peer_speed], note),
        row_of(
            f"build{suffix}_rss_bytes_per_token",
            [run["peak_bytes"] / n for run in runs],
            "bytes",
            "lower",
            [peer_bytes],
        ),
        Row(f"index{suffix}_bytes_per_token", mine, "bytes", "lower", theirs, "tokens and table, which are the same"),
    ]


def worst(bench: Bench) -> list[Row]:
    """Texts on which sorts of suffixes are slow, large or wrong; infini-gram on what it survives."""
    stream, rows = bench.work / "hard", []
    for name in WORST_CASES:
        tokens = WORST_QUICK if bench.quick else SNIPPETS if name.startswith("snippets") else WORST_TOKENS
        given: dict[str, Any] = {"name": name, "text": bench.corpus.stream, "stream": stream, "seed": bench.seed}
        n = write_worst_case(tokens=tokens, **given)
        found = call("sorting:sort_checked", stream=stream)
        bench.same(f"{name}: suffixes and their order", found["right"])
        note, peer_speed = "", None
        if not bench.quick:
            peer_speed, note = peer_worst(bench, given)
        key = "worst_" + name.replace(",", "").replace(" ", "_")
        speed, memory = n / found["cpu_s"], found["peak_bytes"] / n
        row = Row(f"{key}_tokens_per_cpu_s", speed, "tokens/s", "higher", peer_speed, note)
        rows.append(replace(row, needed=WORST_TOKENS_PER_CPU_S[0], aim=WORST_TOKENS_PER_CPU_S[1]))
        rows.append(Row(f"{key}_rss_bytes_per_token", memory, "bytes", needed=WORST_RSS[0], aim=WORST_RSS[1]))
    stream.unlink()
    return rows


def peer_worst(bench: Bench, given: dict[str, Any]) -> tuple[float | None, str]:
    """What becomes of infini-gram on a hard text: its speed if it ends, and in words."""
    notes, speed = [], None
    for tokens, parts in PEER_WORST:
        n = write_worst_case(tokens=tokens, **given)
        peer = call("sorting:peer_checked", stream=given["stream"], parts=parts, timeout_s=PEER_LIMIT_S)
        speed = None if peer["failure"] else n / peer["cpu_s"]
        outcome = peer["failure"] or f"{shorten(n / peer['cpu_s'])} tokens/s, {'right' if peer['right'] else 'wrong'}"
        notes.append(f"{n:,} tokens in {parts}: {outcome}")
    return speed, "infini-gram, " + "; ".join(notes)


def merge(bench: Bench) -> list[Row]:
    """Two sorted halves into one."""
    n = min(bench.corpus.tokens, WORST_TOKENS)
    part = bench.work / "part"
    bench.corpus.read()[:n].tofile(part)
    peer = call("sorting:peer_build", stream=part, table=bench.work / "peer", parts=2)
    (bench.work / "peer").unlink(missing_ok=True)
    rows = []
    for hard, name in ((False, "merge_ns_per_token"), (True, "merge_hard_ns_per_token")):
        runs = [call("merging:merge", stream=part, tokens=n, hard=hard) for _ in range(1 if bench.quick else 3)]
        if "skipped" in runs[0]:
            console.print(f"{name} skipped: {runs[0]['skipped']}")
            continue
        bench.same(f"{name}: merged and sorted tables", all(run["right"] for run in runs))
        peer_runs = [] if hard else [peer["merge_cpu_s"] / n * 1e9]
        rows.append(row_of(name, [run["ns"] for run in runs], "ns", "lower", peer_runs))
    part.unlink()
    return rows
