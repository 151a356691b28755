#!/usr/bin/env python
"""Let every file operation of a small ingest fail once, and show that nothing is lost.

    scripts/check_faults.py [--every 1] [--only add] [--json FILE]

For each of: making a store, adding documents, replacing some, building the passages, tokens, suffix, dense and kNN
parts of what is new, compacting, deleting documents, collecting garbage, purging: every write, sync, creation, rename,
link and removal below the store is counted; then, for each of these calls, on a fresh copy of the store before, the
operation is done while this one call

    fails with EIO, or with ENOSPC; fails with ENOSPC as whatever takes room does from then on, until the writer gives
    up; writes half of its bytes and says so; is where the process is killed: before it, at half of its bytes, after it

The writer must not hang or crash. It raises DataLossError for EIO and ResourceExhaustedError for ENOSPC, and succeeds
only where the call was a removal, or was cut short; after a failed sync nothing is synced or published any more. The
store opens at its version before or the one after, with exactly the documents of that version, and verifies. The same
operation again succeeds: in the same process once a full disk has room again, else in another.

Last, the calls of each operation are read for what was not synced when a version named it. Exits 1 where anything
was wrong, 77 without a C compiler.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from faults.child import COUNT, Call, Child, Fault, Say, preloaded, run_child
from faults.durability import unsynced_when_named
from faults.mishaps import attempt, judge, misbehaviour
from faults.workload import CREATE, Step, add, build, collection, compaction, delete, purging, put, texts_of

from lodex.index.store import Store

# A store with one segment in every index, and then what is done to it while calls fail.
BEFORE: tuple[Step, ...] = (CREATE, add(0, 6), *build())
OPERATIONS: tuple[Step, ...] = (
    add(6, 12),
    put([2, 7, 12], 1),
    *build(),
    compaction(full=True),
    delete([0, 8]),
    collection(),
    purging(),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """A call that failed, in which way, and what was wrong of what came of it, "" if nothing."""

    operation: str
    at: int
    how: str
    call: str
    path: str
    outcome: str
    failure: str


@dataclass(frozen=True, slots=True)
class Case:
    """An operation, the store it is done to ("" for none yet), the documents before and after, and its calls."""

    step: Step
    store: Path | None
    before: dict[str, str]
    after: dict[str, str]
    calls: tuple[Call, ...]


def main() -> None:
    """Run the check and exit 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="only every so many-th call")
    parser.add_argument("--only", choices=[step.name for step in (CREATE, *OPERATIONS)], help="one operation alone")
    parser.add_argument("--at", type=int, help="one call of it alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="trials at once")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    preloaded()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        cases = prepare(work, arguments.only)
        plan = [
            (case, fault)
            for case in cases
            for call in case.calls[:: arguments.every]
            if arguments.at in (None, call.number)
            for fault in faults_at(call)
        ]
        unsynced = [line for case in cases for line in unsynced_of(case, work)]
        trials = run_trials(plan, work, arguments.workers)
    failed = [trial for trial in trials if trial.failure]
    show(cases, trials, unsynced, time.monotonic() - started)
    if arguments.json:
        arguments.json.write_text(json.dumps(report(cases, trials, unsynced), indent=1) + "\n")
    sys.exit(1 if failed or unsynced else 0)


def faults_at(call: Call) -> Iterator[Fault]:
    """Everything that can go wrong at one call."""
    yield Fault(call.number, "error", errno.EIO)
    yield Fault(call.number, "error", errno.ENOSPC)
    yield Fault(call.number, "full", errno.ENOSPC)
    yield Fault(call.number, "before")
    yield Fault(call.number, "after")
    if call.writes:
        yield Fault(call.number, "half")
        yield Fault(call.number, "short")


def prepare(work: Path, only: str | None) -> list[Case]:
    """Do every operation, or those up to the one that is asked for, while nothing goes wrong; keep the store before."""
    state: dict[str, tuple[int, int]] = {}
    place = work / "whole"
    place.mkdir()
    store = place / "STORE"
    cases = []
    for number, step in enumerate((*BEFORE, *OPERATIONS)):
        before = work / f"before-{number}" if number else None
        if before is not None:
            shutil.copytree(store, before, symlinks=True)
        following = dict(step.effect(state))
        done = run_child(lambda say, step=step: step.run(Store.open_or_create(store)), place, COUNT)  # type: ignore[misc]
        if done.error or done.signal:
            sys.exit(f"{step.name} fails without any fault: {done.error or done.signal}")
        if (not number or number >= len(BEFORE)) and only in (None, step.name):
            cases.append(Case(step, before, texts_of(state), texts_of(following), done.calls))
            if only:
                break
        state = following
    return cases


def unsynced_of(case: Case, work: Path) -> list[str]:
    """What an operation named before it was durable."""
    place = work / "whole"
    root, before = place / "STORE", case.store
    folders = [] if before is None else [root / path.relative_to(before) for path in (before, *before.rglob("*/"))]
    lines = unsynced_when_named(case.calls, [*folders, place])
    return [f"{case.step.name}: {line.replace(f'{place}/', '')}" for line in lines]


def run_trials(plan: Sequence[tuple[Case, Fault]], work: Path, workers: int) -> list[Trial]:
    """Every trial, in workers that are all forked before this process has any thread."""

    def work_through(say: Say, worker: int) -> None:
        for number in range(worker, len(plan), workers):
            say(json.dumps([number, asdict(run_trial(*plan[number], work / f"trial-{number}"))]))

    children = [Child(partial(work_through, worker=worker), work, timeout_s=0) for worker in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(Child.wait, children))
    for outcome in outcomes:
        if outcome.error or outcome.signal:
            sys.exit(f"a worker failed: {outcome.error or outcome.signal}")
    said = sorted((json.loads(line) for outcome in outcomes for line in outcome.said), key=lambda pair: int(pair[0]))
    return [Trial(**fields) for _, fields in said]


def run_trial(case: Case, fault: Fault, place: Path) -> Trial:
    """Do an operation that one call fails of, and judge what is left. The folder of the store is watched as well."""
    place.mkdir()
    root = place / "STORE"
    if case.store is not None:
        shutil.copytree(case.store, root, symlinks=True)
    tried = run_child(lambda say: attempt(case.step, fault, root, say), place, fault, timeout_s=60)
    call = case.calls[fault.at - 1]
    outcome = f"signal {tried.signal}" if tried.signal else ", ".join(tried.said) or tried.error
    failure = misbehaviour(fault, call, tried.signal, tried.said, tried.error)
    if not failure:
        is_done = tried.said[-1:] == ("done",)
        judged = run_child(
            lambda say: judge(case.step, case.store is not None, case.before, case.after, root, is_done),
            root,
            timeout_s=60,
        )
        failure = judged.error or (f"ended by signal {judged.signal} afterwards" if judged.signal else "")
    shutil.rmtree(place, ignore_errors=True)
    how = f"{fault.how} {errno.errorcode[fault.error]}" if fault.error else fault.how
    path = call.path.partition("/whole/STORE/")[2]
    return Trial(case.step.name, fault.at, how, call.name, path, outcome, failure)


def report(cases: Sequence[Case], trials: Sequence[Trial], unsynced: Sequence[str]) -> dict[str, object]:
    """The figures of a run, as JSON."""
    return {
        "calls": {case.step.name: len(case.calls) for case in cases},
        "trials": len(trials),
        "trials_by_fault": dict(Counter(trial.how for trial in trials)),
        "failed": sum(bool(trial.failure) for trial in trials),
        "unsynced": list(unsynced),
    }


def show(cases: Sequence[Case], trials: Sequence[Trial], unsynced: Sequence[str], seconds: float) -> None:
    """Print a line for each operation, and every failure."""
    ways = list(dict.fromkeys(trial.how for trial in trials))
    print(f"{'operation':<14}{'calls':>7}{'trials':>8}{'failed':>8}   " + "  ".join(ways))
    for case in cases:
        those = [trial for trial in trials if trial.operation == case.step.name]
        failed = sum(bool(trial.failure) for trial in those)
        counts = Counter(trial.how for trial in those)
        row = "  ".join(f"{counts[way]:>{len(way)}}" for way in ways)
        print(f"{case.step.name:<14}{len(case.calls):>7}{len(those):>8}{failed:>8}   {row}")
    print(f"{len(trials)} trials, {sum(bool(t.failure) for t in trials)} failed, {seconds:.1f} s")
    for trial in trials:
        if trial.failure:
            print(
                f"FAILED {trial.operation}, {trial.how} at call {trial.at} ({trial.call} {trial.path}): {trial.failure}"
            )
    for line in unsynced:
        print(f"FAILED {line}")


if __name__ == "__main__":
    main()
