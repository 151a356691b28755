#!/usr/bin/env python
"""Mixed load on one server for a while, every reply checked against the version it names.

    scripts/check_soak.py [--minutes 30] [--seed 1] [--documents 600] [--json FILE]

One server process looks after one store with a suffix index and a dense index. Two writers add, replace and delete
documents, each of which holds a word of its own, and know the version of every change. Readers count those words, ask
what follows them, search by meaning, fetch documents and describe the store. Afterwards it is known which documents
each version has, so each reply is compared with what it should have been; and replies are asked for again, pinned to
their version, and must be the same. Meanwhile the store is compacted, by itself and on demand, and old versions are
collected.

It fails where a reply is wrong, an error is not a declared one, or the memory or the descriptors of the server grow.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lodex
from lodex.client import Client
from lodex.errors import LodexError, NotFoundError
from lodex.index.store import Store
from lodex.service.indexing import build_dense_index, build_suffix_index
from lodex.types import Document

STORE = "docs"
PROGRAM = """
import sys
from lodex.service.server import serve_stores
serve_stores([f"docs={sys.argv[1]}"], lambda address: print(address, flush=True), port=0, load_models=True)
"""
WORDS = Path(__file__).read_text().split()
PRESENT = 20
"""Documents that are there from the beginning, so that no index is ever empty."""
SETTLE_S = 15.0
"""A reply is judged when every change that it may have seen is known: no write takes so long."""
GROWTH = 0.10
"""The most that memory may grow from the second quarter of the run to the last one, beside `SLACK_MB`."""
SLACK_MB = 40
SLACK_DESCRIPTORS = 64


@dataclass(frozen=True, slots=True)
class Life:
    """A revision of a document: its word, the version that has it first, and the one that has it no longer."""

    doc_id: str
    word: str
    begin: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A reply: when it came, what it names, and how it is judged."""

    time: float
    version: int
    judge: Callable[[int], str]


class History:
    """Which revisions each version has, as the writers are told."""

    def __init__(self, documents: int) -> None:
        self._documents = documents
        self._lock = threading.Lock()
        self._lives: dict[str, Life] = {}
        self._live_words: dict[str, str] = {}
        self._changes: Counter[int] = Counter()
        self.words: deque[str] = deque(maxlen=4000)

    def added(self, documents: list[tuple[str, str]], version: int) -> None:
        """Documents, each with its word, are there from a version on; those they replaced are not."""
        with self._lock:
            for doc_id, word in documents:
                self._end(doc_id, version)
                self._lives[word] = Life(doc_id, word, version, None)
                self._live_words[doc_id] = word
                self._changes[version] += 1
                self.words.append(word)

    def deleted(self, doc_ids: list[str], version: int) -> None:
        """Documents are not there from a version on."""
        with self._lock:
            for doc_id in doc_ids:
                self._end(doc_id, version)

    def _end(self, doc_id: str, version: int) -> None:
        word = self._live_words.pop(doc_id, None)
        if word is not None:
            life = self._lives[word]
            self._lives[word] = Life(doc_id, word, life.begin, version)
            self._changes[version] -= 1

    def has(self, word: str, version: int) -> bool:
        """Whether a version has the revision with a word."""
        with self._lock:
            life = self._lives[word]
            return life.begin <= version and (life.end is None or version < life.end)

    def life(self, word: str) -> Life:
        """The revision with a word."""
        with self._lock:
            return self._lives[word]

    def documents(self, version: int) -> int:
        """How many documents a version has."""
        with self._lock:
            return self._documents + sum(change for changed, change in self._changes.items() if changed <= version)


@dataclass
class Tally:
    """What was asked, how long it took, and what was wrong."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Time one request; an error is one of `what`."""
        begun = time.perf_counter()
        yield
        with self.lock:
            self.seconds[what].append(time.perf_counter() - begun)

    def check(self, what: str, complaint: str) -> None:
        """Count a check; a complaint makes it a wrong reply."""
        with self.lock:
            self.checks[what] += 1
            if complaint:
                self.wrong.append(f"{what}: {complaint}")


class Soak:
    """The writers and readers of one run."""

    def __init__(self, address: str, seed: int, documents: int, present: int) -> None:
        self.address = address
        self.seed = seed
        self.documents = documents
        self.history = History(present)
        self.tally = Tally()
        self.stop = threading.Event()
        self._seen: deque[Seen] = deque()
        self._again: deque[tuple[int, str, Callable[[Client], Any], Any]] = deque(maxlen=200)

    def run(self, seconds: float) -> None:
        """Load the server for so long, then judge what is left."""
        bodies = [self._write, self._write, self._read, self._read, self._read_again, self._administer, self._judge]
        threads = [threading.Thread(target=self._guarded, args=(body, i)) for i, body in enumerate(bodies)]
        for thread in threads:
            thread.start()
        self.stop.wait(seconds)
        self.stop.set()
        for thread in threads:
            thread.join()
        self._judge_until(float("inf"))

    def _guarded(self, body: Callable[[Client, random.Random, int], None], number: int) -> None:
        """Run one body; an error that it does not expect ends the whole run."""
        try:
            with Client(self.address, timeout_s=120) as client:
                body(client, random.Random(self.seed * 1000 + number), number)
        except Exception as error:  # noqa: BLE001  # it is the result of the run
            self.tally.check("errors", f"{body.__name__}: {type(error).__name__}: {error}")
            self.stop.set()

    # ------------------------------------------------------------------------------ writers

    def _write(self, client: Client, rng: random.Random, number: int) -> None:
        """Add and replace documents, and delete the oldest beyond a number, so that the store does not grow."""
        live: deque[str] = deque()
        made = 0
        while not self.stop.is_set():
            batch: dict[str, tuple[Document, str]] = {}
            for _ in range(rng.randint(1, 8)):
                made += 1
                doc_id = rng.choice(live) if live and rng.random() < 0.2 else f"w{number}-{made}"
                word = self._word(number, made)
                text = (
                    f"{' '.join(rng.choices(WORDS, k=rng.randint(5, 40)))} {word} {' '.join(rng.choices(WORDS, k=5))}"
                )
                batch[doc_id] = Document(doc_id, text, source=f"writer {number}"), word
            with self.tally.timed("ingest"):
                result = client.upsert(STORE, [document for document, _ in batch.values()])
            complaint = "" if result.documents == len(batch) else f"{result} of {len(batch)} documents"
            self.tally.check("ingest", complaint)
            self.history.added([(doc_id, word) for doc_id, (_, word) in batch.items()], result.version)
            live.extend(doc_id for doc_id in batch if doc_id not in live)
            while len(live) > self.documents // 2:
                doomed = [live.popleft() for _ in range(min(len(live), rng.randint(1, 6)))]
                with self.tally.timed("delete"):
                    deleted = client.delete(STORE, doomed)
                complaint = "" if deleted.deleted == len(doomed) else f"{deleted} of {doomed}"
                self.tally.check("delete", complaint)
                self.history.deleted(doomed, deleted.version)
            self.stop.wait(rng.uniform(0.2, 1.0))

    @staticmethod
    def _word(number: int, made: int) -> str:
        """A word that no other document has."""
        letters = "".join(chr(ord("a") + int(digit)) for digit in f"{made:07d}")
        return f"zq{'xyz'[number]}{letters}q"

    # ------------------------------------------------------------------------------ readers

    def _read(self, client: Client, rng: random.Random, number: int) -> None:
        """Ask whatever there is to ask; each reply is judged later."""
        kinds = [self._count, self._count, self._count, self._ntd, self._search, self._get, self._describe]
        while not self.stop.is_set():
            if len(self.history.words) < 20:
                time.sleep(0.2)
                continue
            # A deque cannot be sampled while others add to it.
            words = [self.history.words[rng.randrange(len(self.history.words))] for _ in range(5)]
            rng.choice(kinds)(client, words)
            time.sleep(rng.uniform(0.0, 0.05))

    def _count(self, client: Client, words: list[str]) -> None:
        def ask(client: Client, version: int | None = None) -> Any:
            return client.count(STORE, [f" {word}" for word in words], literal=True, version=version)

        with self.tally.timed("count"):
            answers = ask(client)
        counts = [answer.count for answer in answers]
        is_complete = answers.provenance.segments_ok == answers.provenance.segments_total

        def judge(version: int) -> str:
            expected = [int(self.history.has(word, version)) for word in words]
            good = counts == expected if is_complete else all(c <= e for c, e in zip(counts, expected, strict=True))
            return "" if good else f"version {version}: {dict(zip(words, counts, strict=True))}, expected {expected}"

        self._note("count", answers.version, judge)
        self._repeat(answers.version, "count", lambda c, v: [answer.count for answer in ask(c, v)], counts)

    def _ntd(self, client: Client, words: list[str]) -> None:
        def ask(client: Client, version: int | None = None) -> Any:
            return client.ntd(STORE, f" {words[0]}", literal=True, version=version)

        with self.tally.timed("ntd"):
            answers = ask(client)
        found = answers[0].prompt_count
        is_complete = answers.provenance.segments_ok == answers.provenance.segments_total

        def judge(version: int) -> str:
            expected = int(self.history.has(words[0], version))
            good = found == expected or (not is_complete and found <= expected)
            return "" if good else f"version {version}: {words[0]} {found} times, expected {expected}"

        self._note("ntd", answers.version, judge)
        self._repeat(answers.version, "ntd", lambda c, v: ask(c, v)[0].prompt_count, found)

    def _search(self, client: Client, words: list[str]) -> None:
        query = f"what is said of {words[0]} and {words[1]}"

        def ask(client: Client, version: int | None = None) -> Any:
            answers = client.search(STORE, query, k=10, version=version)
            return answers, [(hit.passage.id, hit.passage.text, hit.score) for hit in answers[0]]

        with self.tally.timed("search"):
            answers, hits = ask(client)

        def judge(version: int) -> str:
            if len({hit[0] for hit in hits}) < len(hits):
                return f"version {version}: a passage twice"
            for _, text, _ in hits:
                word = next((word for word in text.split() if word.startswith("zq") and word.endswith("q")), None)
                if word is not None and not self.history.has(word, version):
                    return f"version {version}: a document that is not there, with {word}: {self.history.life(word)}"
            return ""

        self._note("search", answers.version, judge)
        self._repeat(answers.version, "search", lambda c, v: ask(c, v)[1], hits)

    def _get(self, client: Client, words: list[str]) -> None:
        ids = list(dict.fromkeys(self.history.life(word).doc_id for word in words))

        def ask(client: Client, version: int | None = None) -> Any:
            answers = client.get(STORE, ids, version=version)
            return answers, [None if isinstance(item, NotFoundError) else item for item in answers.items]

        with self.tally.timed("get"):
            answers, found = ask(client)

        def judge(version: int) -> str:
            for word in words:
                life = self.history.life(word)
                document = found[ids.index(life.doc_id)]
                has = document is not None and word in document.text.split()
                if has != self.history.has(word, version):
                    return f"version {version}: {life}, got {document}"
            return ""

        self._note("get", answers.version, judge)
        self._repeat(answers.version, "get", lambda c, v: ask(c, v)[1], found)

    def _describe(self, client: Client, words: list[str]) -> None:
        with self.tally.timed("describe"):
            info = client.store(STORE)

        def judge(version: int) -> str:
            expected = self.history.documents(version)
            return "" if info.documents == expected else f"version {version}: {info.documents}, expected {expected}"

        self._note("describe", info.version, judge)

    def _read_again(self, client: Client, rng: random.Random, number: int) -> None:
        """Ask old questions again, of the versions that answered them: the answer is the same, or they are gone."""
        while not self.stop.is_set():
            time.sleep(0.2)
            if not self._again:
                continue
            version, what, ask, answer = self._again[rng.randrange(len(self._again))]
            try:
                with self.tally.timed("pinned"):
                    now = ask(client)
            except NotFoundError as error:
                with self.tally.lock:
                    self.tally.errors[f"NotFoundError of a version that was collected ({what})"] += 1
                good = "no version" in str(error) or "not kept" in str(error)
                self.tally.check("pinned", "" if good else f"version {version}: {error}")
                continue
            same = "" if now == answer else f"version {version}, {what}: {answer} before, {now} now"
            self.tally.check("pinned", same)

    def _administer(self, client: Client, rng: random.Random, number: int) -> None:
        """Compact and collect now and then, beside what the server does by itself."""
        while not self.stop.wait(45):
            with self.tally.timed("compact"):
                client.compact(STORE, full=rng.random() < 0.2).result(300)
            with self.tally.timed("collect"):
                client.gc(STORE, keep_versions=50, grace_s=60).result(300)
            self.tally.check("jobs", "")

    # ------------------------------------------------------------------------------ judging

    def _note(self, what: str, version: int, judge: Callable[[int], str]) -> None:
        def told(version: int) -> str:
            self.tally.check(what, judge(version))
            return ""

        self._seen.append(Seen(time.monotonic(), version, told))

    def _repeat(self, version: int, what: str, ask: Callable[[Client, int], Any], answer: Any) -> None:
        self._again.append((version, what, lambda client: ask(client, version), answer))

    def _judge(self, client: Client, rng: random.Random, number: int) -> None:
        while not self.stop.wait(1):
            self._judge_until(time.monotonic() - SETTLE_S)

    def _judge_until(self, end: float) -> None:
        while self._seen and self._seen[0].time < end:
            seen = self._seen.popleft()
            seen.judge(seen.version)


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's memory and descriptors at a time."""

    seconds: float
    resident_mb: float
    own_mb: float
    descriptors: int
    segments: int


def sample(pid: int, client: Client, begun: float) -> Sample:
    """Read them from /proc; `own_mb` is what is no file, which is what a leak makes grow."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    kilobytes = {name: int(status[name].split()[0]) for name in ("VmRSS", "RssAnon")}
    return Sample(
        time.monotonic() - begun,
        kilobytes["VmRSS"] / 1024,
        kilobytes["RssAnon"] / 1024,
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
        client.store(STORE).segments,
    )


def growth(samples: list[Sample]) -> str:
    """A complaint where the last quarter of a run has more than the second one."""
    if len(samples) < 16:
        return ""
    quarter = len(samples) // 4
    before, after = samples[quarter : 2 * quarter], samples[-quarter:]
    own = [statistics.median(sample.own_mb for sample in part) for part in (before, after)]
    if own[1] > own[0] * (1 + GROWTH) + SLACK_MB:
        return f"memory grew from {own[0]:.0f} to {own[1]:.0f} MB"
    descriptors = [statistics.median(sample.descriptors for sample in part) for part in (before, after)]
    if descriptors[1] > descriptors[0] + SLACK_DESCRIPTORS:
        return f"descriptors grew from {descriptors[0]:.0f} to {descriptors[1]:.0f}"
    return ""


def rows(soak: Soak, samples: list[Sample], seconds: float) -> list[dict[str, Any]]:
    """The figures of a run."""
    found: list[dict[str, Any]] = []
    for what, times in sorted(soak.tally.seconds.items()):
        ordered = sorted(times)
        found.append({"name": f"{what}_requests", "value": len(times), "unit": "requests", "better": "higher"})
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            value = round(1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2)
            found.append({"name": f"{what}_{name}_ms", "value": value, "unit": "ms", "better": "lower"})
    for what, number in sorted(soak.tally.checks.items()):
        found.append({"name": f"{what}_checks", "value": number, "unit": "checks", "better": "higher"})
    if samples:
        quarter = max(len(samples) // 4, 1)
        for name, part in (("second_quarter", samples[quarter : 2 * quarter] or samples), ("end", samples[-quarter:])):
            for unit, attribute in (("MB", "resident_mb"), ("MB", "own_mb"), ("descriptors", "descriptors")):
                value = round(statistics.median(getattr(sample, attribute) for sample in part), 1)
                found.append({"name": f"{attribute}_{name}", "value": value, "unit": unit, "better": "lower"})
        most = max(sample.segments for sample in samples)
        found.append({"name": "segments_most", "value": most, "unit": "segments", "better": "lower"})
    found.append({"name": "wrong_replies", "value": len(soak.tally.wrong), "unit": "replies", "better": "lower"})
    found.append({"name": "duration", "value": round(seconds, 1), "unit": "s", "better": "higher"})
    return found


def main() -> int:
    """Run, print a table, and return 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=600, help="documents that the store holds at a time")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / STORE
        store = Store.create(path)
        store.add(Document(f"present-{i}", f"{' '.join(WORDS[i : i + 30])}") for i in range(PRESENT))
        build_suffix_index(store)
        build_dense_index(store)
        server = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            soak = Soak(address, arguments.seed, arguments.documents, PRESENT)
            samples = run(soak, server.pid, arguments.minutes * 60)
        finally:
            server.terminate()
            code = server.wait(60)
        with lodex.open(path) as db:
            damages = db.verify().result().damages
    complaint = growth(samples)
    soak.tally.check("growth", complaint)
    soak.tally.check("verify", "; ".join(damages))
    soak.tally.check("exit", "" if code == 0 else f"the server ended with {code}")
    report = rows(soak, samples, arguments.minutes * 60)
    for row in report:
        print(f"{row['name']:32} {row['value']:>12} {row['unit']}")
    for error, number in soak.tally.errors.items():
        print(f"declared: {number} x {error}")
    for wrong in soak.tally.wrong[:20]:
        print(f"WRONG {wrong}")
    if arguments.json:
        machine = {"processor": platform.processor() or platform.machine(), "system": platform.platform()}
        value = {"machine": machine, "versions": {"lodex": lodex.__version__, "python": platform.python_version()}}
        arguments.json.write_text(json.dumps({**value, "seed": arguments.seed, "rows": report}, indent=1) + "\n")
    return 1 if soak.tally.wrong else 0


def run(soak: Soak, pid: int, seconds: float) -> list[Sample]:
    """Run a soak, and sample the server every few seconds."""
    samples: list[Sample] = []
    begun = time.monotonic()
    thread = threading.Thread(target=soak.run, args=(seconds,))
    thread.start()
    with Client(soak.address, timeout_s=120) as client:
        while thread.is_alive():
            thread.join(5)
            try:
                samples.append(sample(pid, client, begun))
            except (OSError, LodexError) as error:
                soak.tally.check("errors", f"the server cannot be looked at: {error}")
                soak.stop.set()
                break
    thread.join()
    return samples


if __name__ == "__main__":
    sys.exit(main())
