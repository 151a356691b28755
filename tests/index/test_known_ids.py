"""Known doc_ids, against a set."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from lodex.index.known_ids import KnownIds


def segment(hashes: Any) -> Any:
    """What is looked at of a segment."""
    return SimpleNamespace(doc_id_hashes=np.sort(np.array(hashes, np.uint64)))


def test_hashes_are_known_before_and_after_runs_are_merged() -> None:
    """Answers are those of a set, however many segments are added between look-ups; runs stay few."""
    rng = np.random.default_rng(1)
    everything = rng.integers(0, 2**64, 4000, np.uint64)
    have, others = everything[:3000].tolist(), everything[3000:].tolist()
    known = KnownIds([segment(have[i : i + 7]) for i in range(0, 1400, 7)])
    for start in range(1400, 3000, 16):
        known.add(segment(have[start : start + 16]))
        assert all(known.may_have(wanted) for wanted in have[start - 16 : start + 16])
        assert not any(known.may_have(wanted) for wanted in others[:50])
    assert all(map(known.may_have, have))
    assert not any(map(known.may_have, others))
    assert len(known._runs) <= 12


def test_the_ends_of_the_range_and_an_empty_segment() -> None:
    """The least and the greatest hash are found, and a segment without documents has none."""
    known = KnownIds([segment([]), segment([0, 2**64 - 1])])
    assert known.may_have(0)
    assert known.may_have(2**64 - 1)
    assert not known.may_have(1)
    assert not KnownIds([]).may_have(1)
