"""The life of a small store, from ingest to compaction and purge, in steps, and what it should hold after each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from faults.answers import State
from faults.child import Say, phase
from faults.corpus import builders, document

from lodex.index.build import build_index
from lodex.index.compaction import compact
from lodex.index.gc import collect_garbage
from lodex.index.purge import purge
from lodex.index.store import Store

_SEGMENT_BYTES = 1500


@dataclass(frozen=True, slots=True)
class Step:
    """One change: its name, the phase it belongs to, what it does to a store, and to the documents there should be.

    Doing a step again that was done, acknowledged or not, changes nothing.
    """

    name: str
    phase: str
    run: Callable[[Store], object]
    effect: Callable[[State], State] = lambda state: state


CREATE = Step("create", "write", lambda store: store)
"""The first step: before it there is no store, and to open one makes it."""


def add(first: int, last: int) -> Step:
    """Documents [first, last) in one version, of several segments."""

    def run(store: Store) -> None:
        if document(first).doc_id not in store:
            store.add((document(i) for i in range(first, last)), segment_bytes=_SEGMENT_BYTES)

    return Step("add", "write", run, lambda state: {**state, **_holding(range(first, last), 0)})


def put(numbers: Iterable[int], revision: int) -> Step:
    """A revision of documents, in place of earlier ones where there are."""
    chosen = list(numbers)
    return Step(
        "replace",
        "write",
        lambda store: store.add((document(i, revision) for i in chosen), replace=True),
        lambda state: {**state, **_holding(chosen, revision)},
    )


def delete(numbers: Iterable[int]) -> Step:
    """Take documents down."""
    gone = {document(i).doc_id for i in numbers}
    return Step(
        "delete",
        "write",
        lambda store: store.delete(sorted(gone)),
        lambda state: {doc_id: known for doc_id, known in state.items() if doc_id not in gone},
    )


def build() -> list[Step]:
    """Every index, each in a step of its own."""
    return [Step(n, "build", lambda store, n=n: build_index(store, n, builders()[n])) for n in builders()]  # type: ignore[misc]


def compaction(full: bool) -> Step:
    """Merge segments: those that are due, or all."""
    return Step("compact", "compaction", lambda store: compact(store, full))


def collection() -> Step:
    """Remove all versions but two, and what only they had."""
    return Step("collect", "gc", lambda store: collect_garbage(store.path, keep=2, grace_s=0))


def purging() -> Step:
    """Remove every byte of deleted documents."""
    return Step("purge", "purge", purge)


STEPS: tuple[Step, ...] = (
    CREATE,
    add(0, 14),
    *build(),
    add(14, 22),
    put([3, 4, 15, 22, 23], 1),
    *build(),
    delete([0, 1, 5, 16, 23]),
    compaction(full=False),
    add(24, 34),
    put([24, 30, 8, 9], 1),
    *build(),
    delete(range(25, 32)),
    put([0, 1, 40], 1),
    compaction(full=True),
    *build(),
    delete([40, 14]),
    compaction(full=True),
    add(41, 44),
    collection(),
    delete([2, 42]),
    purging(),
    put([42], 0),
)


def states() -> list[State]:
    """The documents before the first step, and after each."""
    known: list[State] = [{}]
    for step in STEPS:
        known.append(step.effect(known[-1]))
    return known


def run_steps(root: Path, first: int, say: Say) -> None:
    """Do the steps from `first` on, saying the number of each once it is done and so acknowledged."""
    phase(STEPS[first].phase if first < len(STEPS) else "")
    store = Store.open_or_create(root)
    for number, step in enumerate(STEPS[first:], first):
        phase(step.phase)
        step.run(store)
        say(str(number))


def held(root: Path) -> dict[str, str]:
    """The text of every document by its id; ValueError where one is there twice."""
    documents = list(Store.open(root))
    texts = {d.doc_id: d.text for d in documents}
    if len(texts) != len(documents):
        raise ValueError(f"{len(documents) - len(texts)} documents are there twice")
    return texts


def texts_of(state: State) -> dict[str, str]:
    """The text of every document there should be, by its id."""
    return {doc_id: document(*known).text for doc_id, known in state.items()}


def _holding(numbers: Iterable[int], revision: int) -> State:
    return {document(i).doc_id: (i, revision) for i in numbers}
