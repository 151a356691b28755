"""Kill ingest and every build at random moments, and show that nothing is lost.

    scripts/check_kills.py [--kills 50] [--seed 1] [--documents 300]

For each command: a fresh copy of the store before it, SIGKILL of the whole process group at a random moment between
shortly before its first write and its end, then: the store opens at its version before (or, if the kill came after
publishing, at the next one), it verifies byte for byte, and the same command run again makes a store with the same
segments and artefacts as one that was never killed. Prints, for each command, how many kills fell before the first
write, inside a write and after it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from lodex.index.manifest import Manifest, newest_version, read_manifest
from lodex.index.store import Store
from lodex.index.verify import verify_store

WORDS = ("the", "of", "and", "to", "in", "is", "that", "for", "it", "was", "with", "be", "by", "on", "not", "he", "his")


def main() -> None:
    """Run the check and exit 1 where any kill lost something."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="kills for each command")
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one command alone: ingest, passages, suffix or dense")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        corpus = write_corpus(work / "corpus.jsonl", arguments.documents, rng)
        store = work / "store"
        Store.create(store)
        steps = {
            "ingest": ["ingest", "STORE", str(corpus), "--segment-bytes", "200000"],
            "passages": ["index", "passages", "STORE"],
            "suffix": ["index", "suffix", "STORE"],
            "dense": ["index", "dense", "STORE"],
        }
        for name, command in steps.items():
            before = work / f"before-{name}"
            shutil.copytree(store, before, symlinks=True)
            window = run_watched(command, store)
            if arguments.only in (None, name):
                failures += check(name, command, before, store, window, arguments.kills, rng)
            if arguments.only == name:
                break
    sys.exit(1 if failures else 0)


def write_corpus(path: Path, documents: int, rng: random.Random) -> Path:
    """A seeded JSONL of documents of 50 to 1,500 words."""
    with path.open("w") as file:
        for i in range(documents):
            text = " ".join(rng.choices(WORDS, k=rng.randrange(50, 1500)))
            file.write(json.dumps({"id": f"doc-{i}", "text": text}) + "\n")
    return path


def arguments_for(command: list[str], store: Path) -> list[str]:
    """The command line of a step on a store."""
    return [sys.executable, "-m", "lodex.cli", *(str(store) if word == "STORE" else word for word in command)]


def run(command: list[str], store: Path) -> None:
    """Run a step to its end."""
    done = subprocess.run(arguments_for(command, store), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr}")


def run_watched(command: list[str], store: Path) -> tuple[float, float]:
    """Run a step to its end; returns the seconds after which it first wrote into the store, and ended."""
    before = set(store.rglob("*"))
    start = time.monotonic()
    process = subprocess.Popen(arguments_for(command, store), stdout=subprocess.DEVNULL)
    first_write = None
    while process.poll() is None:
        if first_write is None and set(store.rglob("*")) != before:
            first_write = time.monotonic() - start
        time.sleep(0.005)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    ended = time.monotonic() - start
    return first_write or ended, ended


def content(root: Path) -> tuple[list[str], dict[str, list[str]]]:
    """What a store holds, apart from its version: segments in order, and the parts of each index."""
    manifest: Manifest = read_manifest(root, newest_version(root))
    indexes = {name: sorted(part.task for part in entry.parts.values()) for name, entry in manifest.indexes.items()}
    return [segment.id for segment in manifest.segments], indexes


def check(
    name: str,
    command: list[str],
    before: Path,
    reference: Path,
    window: tuple[float, float],
    kills: int,
    rng: random.Random,
) -> int:
    """Kill one step `kills` times; returns how many of them lost something."""
    moments: Counter[str] = Counter()
    failures = 0
    old_version = newest_version(before)
    for _ in range(kills):
        store = before.with_name("killed")
        shutil.copytree(before, store, symlinks=True)
        process = subprocess.Popen(
            arguments_for(command, store),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(rng.uniform(0.8 * window[0], window[1]))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        version = newest_version(store)
        moments[moment(store, before, version != old_version)] += 1
        try:
            Store.open(store)
            damaged = verify_store(store).damaged
            if damaged:
                raise ValueError(f"damaged: {damaged}")
            # A kill after the last publish leaves nothing to complete.
            if content(store) != content(reference):
                run(command, store)
            if content(store) != content(reference) or verify_store(store).damaged:
                raise ValueError("the completed store differs from one that was never killed")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this check looks for
            failures += 1
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        shutil.rmtree(store)
    shares = ", ".join(f"{count} {what}" for what, count in sorted(moments.items()))
    print(
        f"{name}: {kills} kills from {window[0]:.1f} to {window[1]:.1f} s ({shares}): "
        f"{kills - failures} recovered, {failures} failed"
    )
    return failures


def moment(store: Path, before: Path, published: bool) -> str:
    """Where a kill fell."""
    if published:
        return "after a publish"
    if list(store.rglob(".tmp-*")):
        return "inside a write"
    known = {path.relative_to(before) for path in before.rglob("receipt.json")}
    if any(path.relative_to(store) not in known for path in store.rglob("receipt.json")):
        return "between a write and its publish"
    return "before the first write"


if __name__ == "__main__":
    main()
