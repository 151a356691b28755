"""Sorting within a limit of memory: the same bytes, the limit kept, and refusals that say what is needed."""

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodex.errors import ResourceExhaustedError
from lodex.index import suffix_memory as module
from lodex.index.suffix_memory import block_tokens, build_table, resident_bytes, segment_bytes_within
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import encode_offsets, offset_width


def expected_table(tokens: Any) -> Any:
    return encode_offsets(suffix_array(tokens), tokens.itemsize, offset_width(tokens.nbytes))


def words(size: int, dtype: Any, seed: int = 7) -> Any:
    ids = np.random.default_rng(seed).zipf(1.2, size) % (np.iinfo(dtype).max + 1)
    ids[:: size // 100 + 1] = np.iinfo(dtype).max
    return ids.astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("blocks", [2, 3, 7, 64])
def test_blocks_give_the_table_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: Any, blocks: int
) -> None:
    """Of any size; nothing else stays in the folder."""
    tokens = words(20_000, dtype)
    monkeypatch.setattr(module, "block_tokens", lambda *_: -(-len(tokens) // blocks))
    build_table(tokens, tmp_path / "table", 1, suffix_array)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "table", np.uint8), expected_table(tokens))
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


@given(ids=st.lists(st.sampled_from([0, 1, 255]), max_size=80), copies=st.integers(1, 3), size=st.integers(1, 60))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_in_blocks_is_sorted_right_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: list[int], copies: int, size: int
) -> None:
    """Where a block ends in a repeat of more than half a block there is an error, else the table is exact."""
    tokens = np.array(ids * copies, np.uint16)
    monkeypatch.setattr(module, "block_tokens", lambda *_: size)
    try:
        build_table(tokens, tmp_path / "table", 1, suffix_array)
    except ResourceExhaustedError as error:
        assert "repeats of more than" in str(error)  # noqa: PT017
        return
    np.testing.assert_array_equal(np.fromfile(tmp_path / "table", np.uint8), expected_table(tokens))


def test_documents_that_come_again_move_the_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeat of more than a few tokens at the end of a block is sorted with the next one."""
    document = words(900, np.uint16)
    tokens = np.concatenate([words(4000, np.uint16, 1), document, words(2100, np.uint16, 2), document, document])
    size = 4000
    tokens = np.concatenate([document, words(size - 1800, np.uint16, 3), document, tokens])
    monkeypatch.setattr(module, "block_tokens", lambda *_: size)
    build_table(tokens, tmp_path / "table", 1, suffix_array)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "table", np.uint8), expected_table(tokens))


def test_what_fits_is_sorted_whole_and_what_does_not_is_refused() -> None:
    """Blocks are of equal size and as few as the limit allows; the error says what would do."""
    tokens = np.zeros(100_000_000, np.uint16)  # never touched
    used = 100_000_000
    whole = used + (24 << 20) + 900_000_000
    assert block_tokens(tokens, whole, used, "it") == len(tokens)
    assert block_tokens(tokens, whole - 1, used, "it") == len(tokens) // 2
    assert block_tokens(tokens, whole // 2, used, "it") == len(tokens) // 4
    with pytest.raises(ResourceExhaustedError, match=r"it has 100000000 tokens: sorting them takes 340 MB.*1,026 MB"):
        block_tokens(tokens, 330_000_000, used, "it")


def test_the_limit_of_a_segment_leaves_room_for_the_process() -> None:
    """A quarter of what is left beside the process; too little is refused."""
    assert segment_bytes_within(4 << 30) == ((4 << 30) - (192 << 20)) // 4
    with pytest.raises(ResourceExhaustedError, match="at least 206 MB"):
        segment_bytes_within(100_000_000)


_CHILD = """
import resource, sys
import numpy as np
from pathlib import Path
from lodex.index.suffix_memory import build_table, resident_bytes
from lodex.kernels._suffix_sort import suffix_array
tokens = np.memmap(sys.argv[1], np.uint16, "r")
limit = int(sys.argv[3])
build_table(tokens, Path(sys.argv[2]), limit or None, suffix_array)
print(resident_bytes(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
"""


def peak_rss(stream: Path, out: Path, limit: int) -> int:
    """The most memory that a process had which built the table, in bytes."""
    # By way of a shell, that forks: ru_maxrss of a process begins with what the process had that started it.
    shell = ["sh", "-c", '"$@"; exit $?', "sh"]
    command = [*shell, sys.executable, "-c", _CHILD, str(stream), str(out), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_a_process_stays_within_its_limit(tmp_path: Path) -> None:
    """Ten million tokens with less memory than sorting them whole takes, measured by getrusage; the same bytes."""
    tokens = words(12_000_000, np.uint16)
    tokens.tofile(tmp_path / "tokens")
    whole = peak_rss(tmp_path / "tokens", tmp_path / "whole", 0)
    for limit in (whole * 9 // 10, whole * 3 // 4):
        assert peak_rss(tmp_path / "tokens", tmp_path / "blocks", limit) <= limit
        assert (tmp_path / "blocks").read_bytes() == (tmp_path / "whole").read_bytes()


def test_the_resident_memory_is_less_than_the_most_there_was() -> None:
    """It is of this process, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)
    assert 10_000_000 < resident_bytes() <= most * 1.01
