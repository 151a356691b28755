#!/usr/bin/env python
"""Let two processes write to one store at the same moment, again and again, and show that nothing is lost.

    scripts/check_races.py [--rounds 200] [--seed 1] [--json FILE]

In each round both writers wait for each other and then do something to the same store: add documents of their own, add
a document that the other adds too, replace documents of both, delete some, build every index, or compact. Each says
what it did, in which version it was told to stand, and which error it got.

Afterwards every version is read. The history must be one line, each version the parent of the next; every version that
changes documents must be one that exactly one writer was told of, and must hold what that change makes of the version
before, document by document; builds and compactions change none. What a writer was told was replaced, deleted or there
already must be so. The last version must verify, and answer as a store built from its documents alone.

Exits 1 where anything was wrong, 77 without a C compiler.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from faults.answers import answers, complete, rebuilt
from faults.child import COUNT, Child, Outcome, Say, preloaded, run_child
from faults.corpus import document

from lodex.errors import DuplicateDocumentError
from lodex.index.compaction import compact
from lodex.index.manifest import Manifest, newest_version, read_manifest
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.verify import verify_store

WRITERS = 2
_SHARED = 12
_OPERATIONS = ("add", "add", "add", "clash", "replace", "replace", "delete", "delete", "build", "compact")


@dataclass(frozen=True, slots=True)
class Act:
    """What a writer did in a round: the documents by number and revision, and what it was told of it.

    `version` is where it stands, 0 where it changed no document; `affected` are the documents that it replaced or
    deleted; `error` is the name of what was raised, "" for nothing.
    """

    writer: int
    round: int
    operation: str
    documents: list[tuple[int, int]] = field(default_factory=list)
    version: int = 0
    affected: int = 0
    error: str = ""


def main() -> None:
    """Run the check and exit 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    preloaded()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        run_child(lambda _: Store.create(root).add(document(i) for i in range(_SHARED)), root)
        outcomes = race(root, arguments.rounds, arguments.seed)
        acts = [Act(**json.loads(line)) for outcome in outcomes for line in outcome.said]
        judged = run_child(lambda say: judge(root, acts, say), root, timeout_s=0)
        failures = [o.error or f"ended by signal {o.signal}" for o in outcomes if o.error or o.signal]
        failures += [line for line in (*judged.said, judged.error) if line]
        report = figures(root, arguments.rounds, acts, outcomes, failures)
    print(json.dumps(report, indent=1))
    print(f"{time.monotonic() - started:.1f} s")
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(json.dumps({"seed": arguments.seed, **report}, indent=1) + "\n")
    sys.exit(1 if failures else 0)


def race(root: Path, rounds: int, seed: int) -> list[Outcome]:
    """Run both writers to their end."""
    ends = socket.socketpair()
    children = [
        Child(partial(write, root, writer, rounds, seed, ends[writer]), root, COUNT, timeout_s=0)
        for writer in range(WRITERS)
    ]
    for end in ends:
        end.close()
    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(Child.wait, children))


def write(root: Path, writer: int, rounds: int, seed: int, other: socket.socket, say: Say) -> None:
    """Do something in every round, as soon as the other writer is there too."""
    rng = random.Random(f"{seed}.{writer}")
    store = Store.open(root)
    for number in range(rounds):
        if rng.random() < 0.1:
            store = Store.open(root)
        other.sendall(b".")
        if not other.recv(1):
            raise RuntimeError(f"the other writer is gone in round {number}")
        say(json.dumps(asdict(act(store, writer, number, rng))))


def act(store: Store, writer: int, number: int, rng: random.Random) -> Act:
    """Do one thing, chosen at random."""
    operation = rng.choice(_OPERATIONS)
    shared = sorted(rng.sample(range(_SHARED), rng.randrange(1, 4)))
    revision = 1 + WRITERS * number + writer
    chosen = {
        "add": [(1000 * (writer + 1) + 2 * number + i, 0) for i in range(2)],
        "clash": [(5000 + number // 4, revision)],
        "replace": [(i, revision) for i in shared],
        "delete": [(i, 0) for i in shared] + [(1000 * (writer + 1) + 2 * rng.randrange(number + 1), 0)],
    }.get(operation, [])
    version = affected = 0
    error = ""
    try:
        if operation == "delete":
            deleted = store.delete([document(i).doc_id for i, _ in chosen])
            version, affected = (deleted.version if deleted.documents else 0), deleted.documents
        elif chosen:
            added = store.add((document(*one) for one in chosen), replace=operation == "replace")
            version, affected = added.version, added.replaced
        elif operation == "build":
            complete(store)
        else:
            compact(store, full=rng.random() < 0.3)
    except DuplicateDocumentError as raised:
        error = type(raised).__name__
    return Act(writer, number, operation, chosen, version, affected, error)


def judge(root: Path, acts: Sequence[Act], say: Say) -> None:
    """Say everything that is wrong with the history of a store, and its last version."""
    by_version: dict[int, list[Act]] = {}
    for done in acts:
        if done.version:
            by_version.setdefault(done.version, []).append(done)
    store = Store.open(root)
    before: dict[str, str] = {}
    for version in range(1, newest_version(root) + 1):
        manifest = read_manifest(root, version)
        texts = _texts(Snapshot(manifest, store.files), say)
        if version > 2:
            for line in _wrong(manifest, before, texts, by_version.get(version, [])):
                say(f"version {version}: {line}")
        if manifest.parent != version - 1:
            say(f"version {version} has version {manifest.parent} as its parent")
        before = texts
    damaged = verify_store(root).damaged
    if damaged:
        say(f"damaged: {damaged}")
    complete(store)
    state = {doc_id: _number_of(doc_id, text, acts) for doc_id, text in before.items()}
    differing = answers(store).differ_from(rebuilt(Store.create(root.with_name("rebuilt")), state))
    if differing:
        say(f"other {', '.join(differing)} than a store built from the documents alone")


def _texts(snapshot: Snapshot, say: Say) -> dict[str, str]:
    documents = list(snapshot)
    texts = {d.doc_id: d.text for d in documents}
    if len(texts) != len(documents):
        say(f"version {snapshot.version} has {len(documents) - len(texts)} documents twice")
    return texts


def _wrong(manifest: Manifest, before: dict[str, str], texts: dict[str, str], told: Sequence[Act]) -> list[str]:
    """What is wrong with a version, given the one before and the acts that were told of it."""
    if manifest.change in ("build", "compact"):
        return [f"a {manifest.change} changed documents"] if texts != before or told else []
    if len(told) != 1:
        return [f"a change ({manifest.change}) that {len(told)} writers were told of"]
    (done,) = told
    ids = {document(*one).doc_id for one in done.documents}
    known = len(ids & before.keys())
    expected = {doc_id: text for doc_id, text in before.items() if doc_id not in ids}
    if done.operation != "delete":
        expected |= {document(*one).doc_id: document(*one).text for one in done.documents}
    found = [] if texts == expected else [f"is not what {done} makes of the version before"]
    if done.affected != known:
        found.append(f"{done} was told of {done.affected} documents, {known} were there")
    if done.operation in ("add", "clash") and known:
        found.append(f"{done} added documents that were there")
    return found


def _number_of(doc_id: str, text: str, acts: Sequence[Act]) -> tuple[int, int]:
    """The number and revision of a document that some writer wrote, or that was there from the start."""
    number = int(doc_id.removeprefix("doc-"))
    revisions = {0, *(revision for done in acts for i, revision in done.documents if i == number)}
    return next((number, revision) for revision in sorted(revisions) if document(number, revision).text == text)


def figures(
    root: Path, rounds: int, acts: Sequence[Act], outcomes: Sequence[Outcome], failures: Sequence[str]
) -> dict[str, object]:
    """The figures of a run, as JSON. A version that was tried and not published lost the race for its number."""
    links = sum(call.name == "link" for outcome in outcomes for call in outcome.calls)
    versions = newest_version(root)
    return {
        "rounds": rounds,
        "acts": dict(Counter(done.operation for done in acts)),
        "refused": dict(Counter(done.error for done in acts if done.error)),
        "versions": versions,
        "races_lost_and_rebased": links - (versions - 2),
        "failed": len(failures),
    }


if __name__ == "__main__":
    main()
