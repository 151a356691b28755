"""Flip single bits in every kind of file of a store, and show that each is detected and none makes a wrong answer.

    scripts/check_flips.py [--flips 10000] [--others 900] [--seed 1] [--workers 2] [--json FILE]

The store has three segments, every kind of index, deleted documents, a tag, and every manifest of its history. For
each flip the whole store is verified, which must name the damaged folder, manifest or tag; then those questions of a
fixed set that read such a file, and for every tenth flip all of them, are asked of the store opened with verify
"on-read", and each must be answered as by the sound store, or with DATA_LOSS. The same is done for truncations, for
files swapped, and for foreign bytes of the same size. Last, the questions are asked of the store opened without any
checksum, small files among it: answers may then be wrong, and are counted, but the process must not crash. Work is done
in child processes, so that a crash is seen and named. Exits 1 where anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from lodex.errors import DataLossError, LodexError
from lodex.index import receipt as receipt_module
from lodex.index.quarantine import FOLDER
from lodex.index.store import Store
from lodex.index.verify import verify_store
from scripts.write_golden import write_store
from tests.golden_store import Question, answers, questions

CHANGES = ("flip", "truncate", "swap", "foreign")
READ_BY = {
    "passages": ("passages", "dense"),
    "tokens": ("suffix", "knn"),
    "suffix": ("suffix",),
    "subtractive": ("suffix",),
    "dense": ("dense",),
    "knn": ("knn",),
    "manifests": ("documents",),
    "tags": ("documents",),
}
"""The questions that read a kind of file, by the first words of their names; segments and tombstones all read."""
_ALL_OF = 10
_BATCH = 200
_BATCH_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Damage:
    """One change to one file: `at` is the bit of a flip, the new size of a truncation; `other` the file it gets."""

    change: str
    file: str
    at: int = 0
    other: str = ""


def main() -> None:
    """Run the check, or one batch of it in a child."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--others", type=int, default=600, help="truncations, swaps and foreign files, together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unchecked-every", type=int, default=1, help="ask without checksums for every so many")
    parser.add_argument("--only", default="", help="kinds of file whose names begin so, as dense/ or tombstones/")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run_batch(arguments.child, arguments.unchecked_every)
        return
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        write_store(store)
        rng = random.Random(arguments.seed)
        damages = list(draw(store, arguments.flips, arguments.others, rng, arguments.only))
        found = Check(Path(folder), store, damages).run(arguments.workers, arguments.unchecked_every)
    seconds = time.monotonic() - started
    failures = report(found, seconds)
    if arguments.json:
        value = {"seed": arguments.seed, "seconds": round(seconds, 1), "failures": failures, "rows": table(found)}
        arguments.json.write_text(json.dumps(value, indent=1) + "\n")
    sys.exit(1 if failures else 0)


def kind_of(file: str) -> str:
    """What a file is, by its place: dense/vectors.f32, manifest, segment/receipt.json."""
    parts = file.split("/")
    if parts[0] in ("manifests", "tags"):
        return parts[0]
    return f"{parts[1] if parts[0] == 'artefacts' else 'segment'}/{parts[-1]}"


def draw(store: Path, flips: int, others: int, rng: random.Random, only: str) -> Iterator[Damage]:
    """Changes, each kind of file as often as any other."""
    by_kind: dict[str, list[str]] = defaultdict(list)
    for path in sorted(store.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size:
            by_kind[kind_of(str(path.relative_to(store)))].append(str(path.relative_to(store)))
    kinds = sorted(kind for kind in by_kind if kind.startswith(only))
    every = [file for files in by_kind.values() for file in files]
    for turn in range(flips):
        file = rng.choice(by_kind[kinds[turn % len(kinds)]])
        yield Damage("flip", file, rng.randrange(8 * (store / file).stat().st_size))
    for turn in range(others):
        kind = kinds[turn // 3 % len(kinds)]
        file, change = rng.choice(by_kind[kind]), CHANGES[1 + turn % 3]
        if change == "truncate":
            yield Damage(change, file, rng.choice([0, rng.randrange((store / file).stat().st_size)]))
        else:
            like = [other for other in by_kind[kind] if (store / other).read_bytes() != (store / file).read_bytes()]
            candidates = like if change == "swap" and like else [other for other in every if kind_of(other) != kind]
            yield Damage(change, file, other=rng.choice(candidates))


# ------------------------------------------------------------------------------------------ in a child


def run_batch(store: Path, unchecked_every: int) -> None:
    """Do the damages that stand on standard input, a line each; a line before and after each tells how it went."""
    asked = list(questions())
    expected = answers(Store.open(store))
    for turn, line in enumerate(sys.stdin):
        damage = Damage(**json.loads(line))
        readers = READ_BY.get(kind_of(damage.file).split("/")[0])
        these = asked if readers is None or turn % _ALL_OF == 0 else [q for q in asked if q[0].startswith(readers)]
        print("begin", flush=True)
        print("end", json.dumps(try_damage(store, damage, these, expected, turn % unchecked_every == 0)), flush=True)


def try_damage(
    store: Path, damage: Damage, asked: list[Question], expected: dict[str, Any], is_unchecked_too: bool
) -> dict[str, Any]:
    """Damage a file, look, and put it back."""
    path = store / damage.file
    sound = path.read_bytes()
    path.write_bytes(damaged_bytes(store, damage, sound))
    try:
        detected = verified(store, damage.file)
        on_read = ask_all(store, "on-read", asked, expected)
        checked = receipt_module.BLOCK_BYTES
        receipt_module.BLOCK_BYTES = -1
        try:
            unchecked = ask_all(store, "light", asked, expected) if is_unchecked_too else {}
        finally:
            receipt_module.BLOCK_BYTES = checked
    finally:
        path.write_bytes(sound)
    return {"detected": detected, "on_read": on_read, "unchecked": unchecked}


def damaged_bytes(store: Path, damage: Damage, sound: bytes) -> bytes:
    """What the file holds meanwhile."""
    if damage.change == "flip":
        data = bytearray(sound)
        data[damage.at // 8] ^= 1 << damage.at % 8
        return bytes(data)
    if damage.change == "truncate":
        return sound[: damage.at]
    other = (store / damage.other).read_bytes()
    if damage.change == "swap":
        return other
    # Foreign bytes of the same size, so that no check of sizes refuses them.
    return (other * (len(sound) // len(other) + 1))[: len(sound)]


def verified(store: Path, file: str) -> bool:
    """Whether verification names the damaged folder, or for a manifest or tag the file."""
    is_alone = file.split("/")[0] in ("manifests", "tags")
    named = str(store / file) if is_alone else str((store / file).parent)
    try:
        return any(named in sentence for sentence in verify_store(store, workers=1).damaged)
    except DataLossError as error:
        return named in str(error)


def ask_all(store: Path, verify: str, asked: list[Question], expected: dict[str, Any]) -> dict[str, int]:
    """How many questions were answered right, wrong, with DATA_LOSS, and with what is no error of Lodex."""
    outcomes: Counter[str] = Counter()
    try:
        opened = Store.open(store, verify=verify)
    except LodexError as error:
        return {"data_loss" if isinstance(error, DataLossError) else "other": len(asked)}
    for name, ask in asked:
        try:
            outcomes["right" if ask(opened.snapshot()) == expected[name] else "wrong"] += 1
        except DataLossError:
            outcomes["data_loss"] += 1
        except Exception as error:  # noqa: BLE001 - what it is gets counted
            outcomes["other"] += 1
            outcomes[f"{type(error).__name__} in {name}"] += 1
    shutil.rmtree(store / FOLDER, ignore_errors=True)
    return dict(outcomes)


# ------------------------------------------------------------------------------------------ in the parent


Found = list[tuple[Damage, dict[str, Any] | None]]


class Check:
    """Hands batches to children, each with a copy of the store of its own."""

    def __init__(self, folder: Path, store: Path, damages: list[Damage]) -> None:
        self._folder = folder
        self._store = store
        self._waiting = [damages[start : start + _BATCH] for start in range(0, len(damages), _BATCH)]
        self._total = len(damages)
        self._found: Found = []
        self._lock = threading.Lock()

    def run(self, workers: int, unchecked_every: int) -> Found:
        """Every damage with what came of it, None for a crash."""
        threads = [threading.Thread(target=self._work, args=(number, unchecked_every)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self._found

    def _work(self, number: int, unchecked_every: int) -> None:
        copy = self._folder / f"copy-{number}"
        while True:
            with self._lock:
                if not self._waiting:
                    return
                batch = self._waiting.pop()
            while batch:
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(self._store, copy, symlinks=True)
                done = run_child(copy, batch, unchecked_every)
                batch = batch[len(done) :]
                with self._lock:
                    self._found += done
                    print(f"\r{len(self._found)}/{self._total}", end="", file=sys.stderr, flush=True)


def run_child(store: Path, batch: list[Damage], unchecked_every: int) -> Found:
    """What a child did of a batch; the last entry is None where it ended in the middle of that one."""
    lines = "".join(
        json.dumps({"change": d.change, "file": d.file, "at": d.at, "other": d.other}) + "\n" for d in batch
    )
    command = [sys.executable, __file__, "--child", str(store), "--unchecked-every", str(unchecked_every)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        ended = subprocess.run(
            command, input=lines, capture_output=True, text=True, env=environment, timeout=_BATCH_TIMEOUT_S, check=False
        )
        output, errors, code = ended.stdout, ended.stderr, ended.returncode
    except subprocess.TimeoutExpired as error:
        output, errors, code = (error.stdout or b"").decode(), "it did not end", -1
    begun = output.count("begin\n")
    done = [json.loads(line.removeprefix("end ")) for line in output.splitlines() if line.startswith("end ")]
    found: Found = list(zip(batch, done, strict=False))
    if begun > len(done):
        print(f"\n{batch[len(done)]} ended the process with {code}: {errors[-500:]}", file=sys.stderr)
        found.append((batch[len(done)], None))
    if not found:
        raise SystemExit(f"a child could not begin: {errors[-2000:]}")
    return found


def table(found: Found) -> list[dict[str, Any]]:
    """Sums by change and kind of file."""
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for damage, outcome in found:
        row = rows[damage.change, kind_of(damage.file)]
        row["tried"] += 1
        if outcome is None:
            row["crashed"] += 1
            continue
        on_read, unchecked = outcome["on_read"], outcome["unchecked"]
        row["detected"] += outcome["detected"]
        row["on_read_data_loss"] += bool(on_read.get("data_loss"))
        row["on_read_wrong"] += bool(on_read.get("wrong"))
        row["on_read_other"] += bool(on_read.get("other"))
        row["unchecked_wrong"] += bool(unchecked.get("wrong"))
        row["unchecked_other"] += bool(unchecked.get("other"))
    columns = ("tried", "detected", "on_read_data_loss", "on_read_wrong", "on_read_other", "crashed")
    columns += ("unchecked_wrong", "unchecked_other")
    return [
        {"change": change, "file": kind} | {column: row[column] for column in columns}
        for (change, kind), row in sorted(rows.items(), key=lambda item: (CHANGES.index(item[0][0]), item[0][1]))
    ]


def report(found: Found, seconds: float) -> int:
    """Print the table and what failed; returns how many damages failed."""
    rows = table(found)
    print("\n" + " " * 44 + "verify    with verify on-read       process  without checksums")
    print(f"{'change':9} {'file':26} {'tried':>7} {'found':>6} {'DATA_LOSS':>9} {'wrong':>6} {'other':>6}", end="")
    print(f" {'crashed':>8} {'wrong':>6} {'other':>6}")
    for row in rows:
        print(f"{row['change']:9} {row['file']:26} {row['tried']:7} {row['detected']:6}", end="")
        print(f" {row['on_read_data_loss']:9} {row['on_read_wrong']:6} {row['on_read_other']:6}", end="")
        print(f" {row['crashed']:8} {row['unchecked_wrong']:6} {row['unchecked_other']:6}")
    others: Counter[str] = Counter()
    failures = 0
    for damage, outcome in found:
        is_bad = outcome is None or not outcome["detected"]
        is_bad = is_bad or outcome["on_read"].get("wrong", 0) + outcome["on_read"].get("other", 0) > 0
        if is_bad:
            failures += 1
            print(f"FAILED: {damage}: {outcome}")
        for name in (outcome or {}).get("unchecked", {}):
            if " in " in name:
                others[f"{name} ({kind_of(damage.file)})"] += 1
    for name, count in others.most_common(20):
        print(f"without checksums: {count} times {name}")
    print(f"{len(found)} damages, {failures} failed, {seconds:.0f} s")
    return failures


if __name__ == "__main__":
    main()
