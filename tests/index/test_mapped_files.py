"""Mapping files, with advice to the kernel and without."""

from pathlib import Path

import numpy as np
import pytest

from lodex.errors import InvalidArgumentError
from lodex.index.mapped_files import ADVICE, map_file
from lodex.index.store import Store


@pytest.mark.parametrize("advice", ADVICE)
@pytest.mark.parametrize("items", [0, 1, 5_000])
def test_advice_changes_nothing_that_is_read(tmp_path: Path, items: int, advice: str) -> None:
    """A mapped file holds its items, an empty one none, and neither can be written."""
    expected = np.arange(items, dtype="<u2")
    expected.tofile(tmp_path / "file")
    mapped = map_file(tmp_path / "file", "<u2", advice)
    np.testing.assert_array_equal(mapped, expected)
    assert mapped.dtype == expected.dtype
    assert items == 0 or not mapped.flags.writeable


def test_files_read_at_random_are_mapped_so(tmp_path: Path) -> None:
    """The kernel has the advice: it says so of the mapping, where it says anything."""
    smaps = Path("/proc/self/smaps")
    if not smaps.exists():
        pytest.skip("this system does not tell of mappings")
    np.zeros(10_000, np.uint8).tofile(tmp_path / "random-read")
    mapped = map_file(tmp_path / "random-read", np.uint8, "random")
    said = smaps.read_text().partition("random-read")[2].partition("VmFlags:")[2].partition("\n")[0]
    assert "rr" in said.split()
    del mapped


def test_a_store_takes_advice_that_there_is(tmp_path: Path) -> None:
    """Another word is refused, and the error lists those there are."""
    Store.create(tmp_path / "store")
    Store.open(tmp_path / "store", advise="random")
    with pytest.raises(InvalidArgumentError, match="normal, random, sequential, willneed"):
        Store.open(tmp_path / "store", advise="fast")
