"""What must hold of a store whose writer was killed, and that it can be led on from there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from faults.answers import Answers, answers, complete, rebuilt
from faults.child import Call, Say, run_child
from faults.workload import STEPS, held, run_steps, states, texts_of

from lodex.index.files import checksum_file
from lodex.index.manifest import newest_version
from lodex.index.receipt import RECEIPT
from lodex.index.store import Store
from lodex.index.verify import verify_store

References = Mapping[int, Answers]
"""What a store answers that is built from the documents after so many steps alone."""


def make_references(work: Path) -> References:
    """Build a store from the documents after each step, and ask it everything."""
    known: list[tuple[object, Answers]] = []
    references: dict[int, Answers] = {}
    for number, state in enumerate(states()):
        same = [found for other, found in known if other == state]
        if not same:
            root = work / f"reference-{number}"
            built = run_child(lambda say: say(json.dumps(asdict(rebuilt(Store.create(root), state)))), root)  # noqa: B023
            if built.error or built.signal:
                raise RuntimeError(f"the reference for {number} steps fails: {built.error or built.signal}")
            same = [Answers(**json.loads(built.said[0]))]
            shutil.rmtree(root)
        known.append((state, same[0]))
        references[number] = same[0]
    return references


def call_class(call: Call) -> str:
    """The class that a call is counted in: that of what it writes, or the phase for all that rewrites or removes."""
    if call.phase in ("compaction", "gc", "purge"):
        return call.phase
    if "/manifests/" in call.path or call.path.endswith("/manifests") or "/tags/" in call.path:
        return "publish"
    return call.phase


def receipts(root: Path) -> dict[str, str]:
    """The checksum of the receipt, and so of every byte, of each segment and artefact that stands in a store."""
    paths = [*root.glob(f"segments/[!.]*/{RECEIPT}"), *root.glob(f"artefacts/*/[!.]*/{RECEIPT}")]
    return {str(path.parent.relative_to(root)): checksum_file(path) for path in paths}


def recover(root: Path, done: int, references: References, whole: Mapping[str, str], say: Say) -> None:
    """Open a store that was killed after `done` steps, check it, and do the rest; ValueError for what is wrong.

    Says first whether the step that was cut short is there: "published" or "absent". `whole` are the receipts of a
    store that was never killed.
    """
    # Only a store whose creation was not acknowledged may be none.
    texts = held(root) if done or newest_version(root) else {}
    expected = states()
    found = [number for number in (done, done + 1) if number < len(expected) and texts_of(expected[number]) == texts]
    if not found:
        raise ValueError(f"after {done} steps: {_difference(texts_of(expected[done]), texts)}")
    say("absent" if found[0] == done else "published")
    if newest_version(root):
        require_verified(root)
        completed = root.with_name(f"{root.name}-completed")
        shutil.copytree(root, completed, symlinks=True)
        _require_answers(completed, references[found[0]], f"after {done} steps")
        shutil.rmtree(completed)
    run_steps(root, done, lambda _: None)
    if held(root) != texts_of(expected[-1]):
        raise ValueError(f"at the end: {_difference(texts_of(expected[-1]), held(root))}")
    require_verified(root)
    _require_answers(root, references[len(STEPS)], "at the end")
    written = receipts(root)
    differing = [name for name in written.keys() & whole.keys() if written[name] != whole[name]]
    if differing:
        raise ValueError(f"other bytes than without a kill: {differing}")


def require_verified(root: Path) -> None:
    """ValueError where anything of the newest version is damaged."""
    damaged = verify_store(root).damaged
    if damaged:
        raise ValueError(f"damaged: {damaged}")


def _require_answers(root: Path, reference: Answers, when: str) -> None:
    store = Store.open(root)
    complete(store)
    differing = answers(store).differ_from(reference)
    if differing:
        raise ValueError(f"{when}: other {', '.join(differing)} than a store built from the documents alone")


def _difference(expected: Mapping[str, str], texts: Mapping[str, str]) -> str:
    lost = sorted(expected.keys() - texts.keys())
    more = sorted(texts.keys() - expected.keys())
    other = sorted(doc_id for doc_id in expected.keys() & texts.keys() if expected[doc_id] != texts[doc_id])
    return f"lost {lost}, not removed or not acknowledged {more}, other text {other}"
