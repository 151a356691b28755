#!/usr/bin/env python
"""Kill an embedding job at random moments, and show that it ends in the bytes of one that was never killed.

    scripts/check_embed_kills.py [--passages 50000] [--kills 20] [--seed 1] [--shard-rows 2048] [--model minilm]
                                 [--store] [--json FILE]

Passages of 4 to 80 words, the same for a seed, are embedded by `lodex embed` without any disturbance, which tells how
long its start, a shard and the joining of the table take. Then the job is done again from nothing. It is killed
(SIGKILL) once while it starts, twice while the table is joined, and at moments drawn evenly from all of its work
otherwise; each time it is called again with the same words. With `--store` the job is `lodex index dense` over one
segment of the passages, whose shards have 2,048 rows.

Shown is: the two outputs have one SHA-256; no shard was finished twice, over all calls, so that what was embedded twice
is at most the shard at work at each kill; and the memory of the undisturbed run (VmRSS, ten
times a second) is flat: the peak of the second half of its shards is at most 10 % above that of the first.

Exits 1 where any of that does not hold.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lodex.index.vector_shard import SHARD_ROWS

_WORDS = """
    about after again air also animal answer because before began between book boy came change city close country
    cut different does earth eat end enough even every example eye face family father feet few first follow food
    found four great group grow hand hard head hear high home house idea important keep kind know large last late
    learn leave life light line list little live long made many mile mother mountain move much music name near never
    next night number often old only open other over own page paper part people picture place plant play point put
    question quick quite read right river run said same school sea second seem sentence side small something song
    soon sound spell start state still stop story study such talk teach than these thing think thought time together
    took tree turn under until use very walk want watch water way while white without word work world write year
"""
_SAMPLE_S = 0.1
_POLL_S = 0.002
_GROWTH = 1.10
_JOIN_KILLS = 2


@dataclass(frozen=True, slots=True)
class Job:
    """What is run again and again: its command, the folder of its shards, what they are joined in, what it makes.

    The last two are patterns, since a folder's name is not known before.
    """

    command: tuple[str, ...]
    shards: Path
    joined: Path
    output: Path

    def finished_shards(self) -> int:
        """How many are published now."""
        return len(list(self.shards.glob("[0-9a-f]*")))

    def begun(self) -> set[str]:
        """The shards that somebody is writing, or was."""
        return {path.name for path in self.shards.glob(".tmp-*")}

    def joining(self) -> set[tuple[str, int]]:
        """What shards are joined in, or were, with the time of its last change."""
        found = set()
        for path in self.joined.parent.glob(self.joined.name):
            with suppress(FileNotFoundError):
                found.add((path.name, path.stat().st_mtime_ns))
        return found

    def result(self) -> Path | None:
        """What it made, None as long as it has not."""
        return next(iter(sorted(self.output.parent.glob(self.output.name))), None)


@dataclass(slots=True)
class Run:
    """One call of the job: its shards by the log, when they were published, and its memory over time."""

    seconds: float = 0.0
    code: int = 0
    logged: int = 0
    joined: float = 0.0
    finished: list[float] = field(default_factory=list)
    rss: list[tuple[float, int]] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill: in which phase, after how many finished shards, and how long into it."""

    phase: str
    shard: int
    seconds: float


def main() -> None:
    """Run the check and exit 1 where it fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shard-rows", type=int, default=SHARD_ROWS)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--store", action="store_true", help="the dense index of a store, not a file")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    if arguments.store:
        arguments.shard_rows = SHARD_ROWS
    with tempfile.TemporaryDirectory() as folder:
        report = check(arguments, Path(folder))
    show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(1 if report["failures"] else 0)


def check(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Both jobs, and what is to be said of them."""
    source = work / "passages.jsonl"
    write_passages(source, arguments.passages, arguments.seed)
    jobs = [job_of(arguments, source, work / name) for name in ("whole", "killed")]
    whole = call(jobs[0], None)
    if whole.code:
        sys.exit(f"the job fails without any disturbance: {whole.error}")
    kills = draw(whole, arguments.kills, random.Random(arguments.seed))
    runs = []
    for kill in kills:
        runs.append(call(jobs[1], kill))
        print(f"{kill.phase}: exit {runs[-1].code}, {jobs[1].finished_shards()} shards are there", flush=True)
        if jobs[1].result() is not None:
            break
    # Killed after its output was there and before its end, a job for a file has nothing left to do.
    if jobs[1].result() is None or arguments.store:
        runs.append(call(jobs[1], None))
    return summary(arguments, jobs, whole, runs, kills)


def write_passages(path: Path, number: int, seed: int) -> None:
    """Passages of 4 to 80 words, of all lengths alike."""
    rng = random.Random(seed)
    words = _WORDS.split()
    with path.open("w", encoding="utf-8") as file:
        for i in range(number):
            text = " ".join(rng.choices(words, k=rng.randrange(4, 81)))
            file.write(json.dumps({"id": f"passage-{i}", "text": text}) + "\n")


def job_of(arguments: argparse.Namespace, source: Path, folder: Path) -> Job:
    """The job, with all that stands before it done."""
    folder.mkdir()
    lodex = (sys.executable, "-m", "lodex.cli")
    if not arguments.store:
        output = folder / "vectors.parquet"
        options = ("--model", arguments.model, "--shard-rows", str(arguments.shard_rows), "--log-json")
        parts = folder / "vectors.parquet.parts"
        command = (*lodex, "embed", str(source), "-o", str(output), *options)
        return Job(command, parts / "artefacts/embed", parts / "table.parquet", output)
    store = folder / "store"
    for words in (("ingest", store, source), ("index", "passages", store)):
        subprocess.run([*lodex, *map(str, words)], check=True, capture_output=True)
    command = (*lodex, "index", "dense", str(store), "--model", arguments.model, "--log-json")
    dense = store / "artefacts/dense"
    return Job(command, store / "artefacts/embed", dense / ".tmp-*", dense / "[0-9a-f]*")


def draw(whole: Run, number: int, rng: random.Random) -> list[Kill]:
    """Moments in their order, by how far the job is: in shards that are finished, and seconds into the next one."""
    shards = len(whole.finished)
    begins = [started(whole), *whole.finished[:-1]]
    shard_s = sorted(end - begin for begin, end in zip(begins, whole.finished, strict=True))[shards // 2]
    kills = [Kill("start", 0, rng.uniform(0, begins[0]))]
    joins = [Kill("join", shards, rng.uniform(0, whole.joined - whole.finished[-1])) for _ in range(_JOIN_KILLS)]
    moments = sorted(rng.uniform(0, shards) for _ in range(number - 1 - _JOIN_KILLS))
    kills += [Kill("shard", int(moment), moment % 1 * shard_s) for moment in moments]
    return (kills + sorted(joins, key=lambda kill: kill.seconds))[:number]


def started(run: Run) -> float:
    """About when the first shard was begun: a shard's time before it was finished."""
    if len(run.finished) < 2:
        return run.finished[0] / 2
    return max(0.0, run.finished[0] - (run.finished[1] - run.finished[0]))


def call(job: Job, kill: Kill | None) -> Run:
    """Run the job, to its end or to its death."""
    run = Run()
    known, known_joins = job.begun(), job.joining()
    with tempfile.TemporaryFile("w+") as log:
        began = time.monotonic()
        process = subprocess.Popen(job.command, stdout=subprocess.DEVNULL, stderr=log, text=True)
        due = began + kill.seconds if kill is not None and kill.phase == "start" else None
        sampled = finished = 0.0
        while process.poll() is None:
            now = time.monotonic()
            if now - sampled > _SAMPLE_S:
                sampled = now
                run.rss.append((now - began, rss_bytes(process.pid)))
            if kill is None and (count := job.finished_shards()) > finished:
                run.finished += [now - began] * int(count - finished)
                finished = count
            if kill is None and not run.joined and job.result() is not None:
                run.joined = now - began
            if kill is not None and due is None:
                is_due = is_joining(job, kill, known_joins) if kill.phase == "join" else is_reached(job, kill, known)
                due = now + kill.seconds if is_due else None
            if due is not None and now >= due:
                process.kill()
            time.sleep(_POLL_S)
        run.seconds, run.code = time.monotonic() - began, process.returncode
        log.seek(0)
        lines = log.read().splitlines()
    run.logged = sum(" finished:" in message for message in messages(lines))
    run.error = "\n".join(line for line in lines if not line.startswith("{"))
    return run


def is_reached(job: Job, kill: Kill, known: set[str]) -> bool:
    """Whether the job has come to the shard in which it is to be killed."""
    count = job.finished_shards()
    return count > kill.shard or (count == kill.shard and bool(job.begun() - known))


def is_joining(job: Job, kill: Kill, known: set[tuple[str, int]]) -> bool:
    """Whether all shards are there, and this call has begun to join them."""
    return job.finished_shards() >= kill.shard and bool(job.joining() - known)


def messages(lines: Sequence[str]) -> Iterator[str]:
    """What was logged of embedding tasks."""
    for line in lines:
        if line.startswith("{"):
            record = json.loads(line)
            if (record["task"] or {}).get("kind") == "embed":
                yield record["message"]


def rss_bytes(pid: int) -> int:
    """The resident memory of a process, 0 where it has none any more."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS:")), 0)


def digest(path: Path | None, is_store: bool) -> str:
    """The SHA-256 of what was made, of a dense index its vectors; "" for nothing."""
    if path is None:
        return ""
    with (path / "vectors.f32" if is_store else path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def memory(run: Run) -> dict[str, float]:
    """Peaks of both halves of the shards, and of the whole, in MB."""
    begin, end = started(run), run.finished[-1]
    middle = (begin + end) / 2
    first = max((rss for at, rss in run.rss if begin <= at < middle), default=0)
    second = max((rss for at, rss in run.rss if middle <= at <= end), default=0)
    peak = max(rss for _, rss in run.rss)
    return {name: round(size / 1e6, 1) for name, size in (("first", first), ("second", second), ("peak", peak))}


def summary(
    arguments: argparse.Namespace, jobs: Sequence[Job], whole: Run, runs: Sequence[Run], kills: Sequence[Kill]
) -> dict[str, Any]:
    """The figures, and what is wrong with them."""
    digests = [digest(job.result(), arguments.store) for job in jobs]
    failures = []
    if not digests[0] or digests[0] != digests[1]:
        failures.append(f"the outputs differ: {digests}")
    if runs[-1].code not in (0, -signal.SIGKILL):
        failures.append(f"the last call failed: {runs[-1].error}")
    shards = len(whole.finished)
    # A kill may fall between the publishing of a shard and its line in the log.
    logged = sum(run.logged for run in runs)
    if not shards - len(kills) <= logged <= shards:
        failures.append(f"{logged} shards were finished over all calls, and there are {shards}")
    rss = memory(whole)
    if rss["second"] > rss["first"] * _GROWTH:
        failures.append(f"memory grows: {rss}")
    fell = sum(run.code == -signal.SIGKILL for run in runs)
    if fell < len(kills) - _JOIN_KILLS:
        failures.append(f"{fell} of {len(kills)} kills fell before the end of the job")
    return {
        "passages": arguments.passages,
        "shard_rows": arguments.shard_rows,
        "shards": shards,
        "kills": fell,
        "kills_by_phase": {p: sum(kill.phase == p for kill in kills) for p in ("start", "shard", "join")},
        "seed": arguments.seed,
        "what": "store" if arguments.store else "file",
        "model": arguments.model,
        "sha256": digests[0],
        "identical": digests[0] == digests[1],
        "rows_embedded_twice_at_most": sum(kill.phase == "shard" for kill in kills) * arguments.shard_rows,
        "seconds_undisturbed": round(whole.seconds, 1),
        "seconds_killed": round(sum(run.seconds for run in runs), 1),
        "rss_mb": rss,
        "kills_drawn": [asdict(kill) for kill in kills],
        "failures": failures,
    }


def show(report: dict[str, Any]) -> None:
    """Print the figures, and every failure."""
    print(
        f"{report['passages']:,} passages in {report['shards']} shards, {report['kills']} kills "
        f"({', '.join(f'{count} in {phase}' for phase, count in report['kills_by_phase'].items())})"
    )
    print(f"{report['seconds_undisturbed']} s undisturbed, {report['seconds_killed']} s with all kills and restarts")
    print(f"identical: {report['identical']} (sha256 {report['sha256'][:16]}...)")
    print("memory of the undisturbed run, MB: " + ", ".join(f"{name} {mb}" for name, mb in report["rss_mb"].items()))
    for failure in report["failures"]:
        print(f"FAILED {failure}", file=sys.stderr)


if __name__ == "__main__":
    main()
