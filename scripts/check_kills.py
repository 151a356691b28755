#!/usr/bin/env python
"""Kill writers at random file operations, and show that nothing is lost.

    scripts/check_kills.py [--kills 1000] [--seed 1] [--workers 2] [--json FILE]

A child leads a small store through its life (scripts/faults/workload.py): ingest, builds of every index, replacements,
deletions, compaction, collection of garbage, purge. First nothing goes wrong, and every write, sync, creation, rename,
link and removal below the store is counted and put into a class. Then each trial kills the child (SIGKILL of its
process group) before such a call, after it, or when half of its bytes are written. The call is drawn so that the
classes write, publish, build and compaction have 15 % of the kills each at least, and all calls share the rest evenly.

After each kill the store is opened. It must hold the documents of all acknowledged steps, and of the step that was cut
short wholly or not at all, none twice; it must verify; once what its indexes lack is built, it must answer 1,000
counts, 200 searches and 200 kNN queries as a store does that is built from those documents alone. Then the steps are
done again from the first that was not acknowledged, and the same must hold at the end; and what the tasks of that run
wrote must have the bytes of the run that was never killed.

Exits 1 where any kill lost something, 77 without a C compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from faults.answers import COUNTS, NEIGHBOURS, SEARCHES, prepare
from faults.child import COUNT, KILLS, Call, Child, Fault, Say, preloaded, run_child
from faults.recovery import References, call_class, make_references, receipts, recover
from faults.workload import STEPS, run_steps

CLASSES = ("write", "publish", "build", "compaction")
_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Trial:
    """A kill and what came of it.

    `kind` is the class of the call it fell on, `done` the steps acknowledged before; `is_published` says that the step
    cut short was there all the same; `failure` is what was wrong, "" if nothing.
    """

    number: int
    at: int
    kind: str
    how: str
    call: str
    path: str
    done: int
    is_published: bool
    failure: str


def main() -> None:
    """Run the check and exit 1 where any kill lost something."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="trials at once")
    parser.add_argument("--only", type=int, help="the call of this number alone, killed in every way")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    preloaded()
    started = time.monotonic()
    prepare()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        calls = dry_run(work / "whole")
        references = make_references(work)
        faults = list(draw(calls, arguments.kills, random.Random(arguments.seed)))
        if arguments.only:
            faults = [Fault(arguments.only, how) for how in KILLS]
        trials = run_all(faults, references, receipts(work / "whole"), work, arguments.workers)
    report = summary(trials, calls, time.monotonic() - started)
    show(trials, report)
    if arguments.json:
        arguments.json.write_text(json.dumps({"seed": arguments.seed, **report}, indent=1) + "\n")
    sys.exit(1 if any(trial.failure for trial in trials) else 0)


def dry_run(root: Path) -> tuple[Call, ...]:
    """Do every step while nothing goes wrong; returns the calls counted."""
    outcome = run_child(lambda say: run_steps(root, 0, say), root, COUNT)
    if outcome.error or outcome.signal or len(outcome.said) != len(STEPS):
        sys.exit(f"the steps fail without any fault: {outcome.error or outcome.signal}")
    return outcome.calls


def draw(calls: Sequence[Call], kills: int, rng: random.Random) -> Iterator[Fault]:
    """Where to kill: from each class its share, the rest from all calls alike."""
    classes = {name: [call for call in calls if call_class(call) == name] for name in CLASSES}
    chosen = [rng.choice(those) for those in classes.values() if those for _ in range(round(kills * _SHARE))]
    chosen += rng.choices(calls, k=max(kills - len(chosen), 0))
    for call in chosen[:kills]:
        yield Fault(call.number, rng.choice([how for how in KILLS if how != "half" or call.writes]))


def run_all(
    faults: Sequence[Fault], references: References, whole: Mapping[str, str], work: Path, workers: int
) -> list[Trial]:
    """Every trial, in workers that are all forked before this process has any thread."""

    def work_through(say: Say, worker: int) -> None:
        for number in range(worker, len(faults), workers):
            say(json.dumps(asdict(run_trial(number, faults[number], references, whole, work / f"trial-{number}"))))

    children = [Child(partial(work_through, worker=worker), work, timeout_s=0) for worker in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(Child.wait, children))
    for outcome in outcomes:
        if outcome.error or outcome.signal:
            sys.exit(f"a worker failed: {outcome.error or outcome.signal}")
    trials = [Trial(**json.loads(line)) for outcome in outcomes for line in outcome.said]
    return sorted(trials, key=lambda trial: trial.number)


def run_trial(number: int, fault: Fault, references: References, whole: Mapping[str, str], root: Path) -> Trial:
    """Lead a store to its death and back."""
    killed = run_child(lambda say: run_steps(root, 0, say), root, fault)
    done = len(killed.said)
    if not killed.is_killed or not killed.calls:
        failure = f"was not killed: {killed.error or killed.signal}"
        return Trial(number, fault.at, "none", fault.how, "", "", done, False, failure)
    (call,) = killed.calls
    recovered = run_child(lambda say: recover(root, done, references, whole, say), root)
    failure = recovered.error or (f"ended by signal {recovered.signal}" if recovered.signal else "")
    shutil.rmtree(root, ignore_errors=True)
    return Trial(
        number=number,
        at=fault.at,
        kind=call_class(call),
        how=fault.how,
        call=call.name,
        path=str(Path(call.path).relative_to(root)),
        done=done,
        is_published=recovered.said[:1] == ("published",),
        failure=failure,
    )


def summary(trials: Sequence[Trial], calls: Sequence[Call], seconds: float) -> dict[str, object]:
    """The figures of a run, as JSON."""
    return {
        "kills": len(trials),
        "failed": sum(bool(trial.failure) for trial in trials),
        "steps": len(STEPS),
        "calls": len(calls),
        "seconds": round(seconds, 1),
        "queries_after_each_kill": {"counts": COUNTS, "searches": SEARCHES, "neighbours": NEIGHBOURS},
        "calls_by_class": dict(Counter(map(call_class, calls)).most_common()),
        "kills_by_class": {
            kind: {"kills": len(those), **Counter(trial.how for trial in those)}
            | {"published_unacknowledged": sum(trial.is_published for trial in those)}
            | {"failed": sum(bool(trial.failure) for trial in those)}
            for kind, those in _grouped(trials).items()
        },
        "kills_by_call": dict(Counter(trial.call for trial in trials).most_common()),
    }


def _grouped(trials: Sequence[Trial]) -> dict[str, list[Trial]]:
    kinds = [kind for kind, _ in Counter(trial.kind for trial in trials).most_common()]
    return {kind: [trial for trial in trials if trial.kind == kind] for kind in kinds}


def show(trials: Sequence[Trial], report: Mapping[str, Any]) -> None:
    """Print where the kills fell, and every failure."""
    print(f"{report['kills']} kills over {report['calls']} calls of {report['steps']} steps, {report['seconds']} s")
    columns = ("kills", *KILLS, "published_unacknowledged", "failed")
    print(f"{'class':<12}{'calls':>8}" + "".join(f"{name.split('_')[0]:>11}" for name in columns))
    for kind, row in report["kills_by_class"].items():
        print(
            f"{kind:<12}{report['calls_by_class'].get(kind, 0):>8}" + "".join(f"{row.get(c, 0):>11}" for c in columns)
        )
    print("calls: " + ", ".join(f"{count} {name}" for name, count in report["kills_by_call"].items()))
    for trial in trials:
        if trial.failure:
            where = f"{trial.how} call {trial.at} ({trial.call} {trial.path}, {trial.done} steps done)"
            print(f"FAILED {where}: {trial.failure}", file=sys.stderr)


if __name__ == "__main__":
    main()
