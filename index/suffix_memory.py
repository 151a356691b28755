"""Sorting the suffixes of a stream within a limit of memory: block after block, each merged with what is before it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from lodex.errors import ResourceExhaustedError
from lodex.index.suffix_blocks import BlockMerger, SortedBlock, Tokens, write_pieces, write_positions
from lodex.kernels._suffix_merge import repeated_tail
from lodex.kernels.suffix_merge import TAIL_SHARE, Sort, merged_with_tails
from lodex.kernels.suffix_table import offset_width
from lodex.types import Progress, Silent

_SORT_BYTES = {1: 7, 2: 7, 4: 13}
"""What sorting takes at most for a token beside the text, its result included, by the bytes of a token."""
_MERGE_BYTES = 1 / 32
"""What merging takes for a token beside the text, on the left; on the right it takes less than sorting did."""
_BUFFER_BYTES = 24 << 20
_MOST_BLOCKS = 64
# What a process takes that has read its stream and sorts nothing yet, and the bytes of memory for a byte of text.
_PROCESS_BYTES = 192 << 20
_BYTES_PER_TEXT_BYTE = 4
_LEAST_SEGMENT_BYTES = 1 << 20


def segment_bytes_within(memory_bytes: int) -> int:
    """How much text a segment may have so that its suffixes can be sorted whole within a limit of memory.

    Reckoned with 9 bytes of memory a token and a token in 2.25 bytes of text, which prose and code stay above. A
    segment of more tokens is sorted in blocks. ResourceExhaustedError for a limit that leaves not 1 MiB.
    """
    least = _PROCESS_BYTES + _BYTES_PER_TEXT_BYTE * _LEAST_SEGMENT_BYTES
    if memory_bytes < least:
        raise ResourceExhaustedError(f"{_mb(memory_bytes)} of memory are too little, at least {_mb(least)} are needed")
    return (memory_bytes - _PROCESS_BYTES) // _BYTES_PER_TEXT_BYTE


def build_table(
    tokens: Tokens, out: Path, memory_bytes: int | None, sort: Sort, progress: Progress | None = None, label: str = ""
) -> None:
    """Write the table of `tokens` (n,) to `out`, in a folder that may be written to meanwhile.

    The resident memory of the process stays within `memory_bytes`, its own share and the mapped text among it. What
    cannot be sorted whole is sorted in up to 64 blocks of equal size, and each is merged into what stands before it, by
    way of files beside `out`: 22 ns for every token there, so half as many times as there are blocks. The bytes are the
    same.

    ResourceExhaustedError, with what is needed, where 64 blocks are too large, or where a repeat of more than half a
    block ends with a block: then the two cannot be parted.
    """
    what = label or "a stream"
    used = resident_bytes()
    size = len(tokens) if memory_bytes is None else block_tokens(tokens, memory_bytes, used, what)
    unit, width = tokens.itemsize, offset_width(tokens.nbytes)
    if size >= len(tokens):
        write_positions(sort(tokens), unit, width, out, progress)
        return
    merger = BlockMerger(tokens, out.parent, sort)
    left = merger.sorted_block(SortedBlock(0, size))
    while left.end < len(tokens):
        tail = repeated_tail(tokens[: left.end], left.entries(), size // 2 + 1)
        if tail > size // 2:
            raise ResourceExhaustedError(
                f"{what} has repeats of more than {size // 2} tokens, which cannot be parted: to sort it whole "
                f"{_mb(used + _whole_bytes(tokens))} of memory are needed, the limit is {_mb(memory_bytes or 0)}"
            )
        # Few tails are sorted apart; with many the right block begins before them.
        is_moved = tail > size // TAIL_SHARE
        begin = left.end - tail if is_moved else left.end
        right = merger.sorted_block(SortedBlock(begin, min(begin + size, len(tokens))))
        left = _merge(merger, tokens, left, right, 0 if is_moved else tail, out, sort, progress)
    assert left.width == width, "the last merge writes the table; this is a bug"


def _merge(
    merger: BlockMerger,
    tokens: Tokens,
    left: SortedBlock,
    right: SortedBlock,
    tail: int,
    out: Path,
    sort: Sort,
    progress: Progress | None,
) -> SortedBlock:
    is_last = right.end == len(tokens)
    width, unit = (offset_width(tokens.nbytes), tokens.itemsize) if is_last else (4, 1)
    path = out if is_last else merger.new_path()
    text = tokens[: right.end]
    pieces = merged_with_tails(text, right.begin, left.entries(), right.entries(), tail, width, unit, sort)
    write_pieces(pieces, width, path, (progress if is_last else None) or Silent())
    left.discard()
    right.discard()
    return SortedBlock(0, right.end, path, width, unit, is_scratch=True)


def block_tokens(tokens: Tokens, memory_bytes: int, used_bytes: int, what: str) -> int:
    """How many tokens are sorted at a time within `memory_bytes`, of which `used_bytes` are taken already.

    All where that fits. ResourceExhaustedError where a 64th of them does not.
    """
    if used_bytes + _whole_bytes(tokens) <= memory_bytes:
        return len(tokens)
    each = _SORT_BYTES[tokens.itemsize]
    fixed = used_bytes + _BUFFER_BYTES + tokens.nbytes + int(len(tokens) * _MERGE_BYTES)
    least = fixed + each * -(-len(tokens) // _MOST_BLOCKS)
    if memory_bytes < least:
        raise ResourceExhaustedError(
            f"{what} has {len(tokens)} tokens: sorting them takes {_mb(least)} of memory at least, "
            f"{_mb(used_bytes + _whole_bytes(tokens))} without blocks; the limit is {_mb(memory_bytes)}. "
            "Raise the limit, or ingest in smaller segments"
        )
    largest = (memory_bytes - fixed) // each
    blocks = -(-len(tokens) // largest)
    return -(-len(tokens) // blocks)


def resident_bytes() -> int:
    """What this process has of memory now; the most that it had where the system does not say that."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most << 10


def _whole_bytes(tokens: Tokens) -> int:
    return _BUFFER_BYTES + tokens.nbytes + _SORT_BYTES[tokens.itemsize] * len(tokens)


def _mb(size: int) -> str:
    return f"{-(-size // 1_000_000):,} MB"
