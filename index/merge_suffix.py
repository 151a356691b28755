"""Merging suffix tables: those of the sources into that of the merged stream, the very bytes that sorting it gives."""

from __future__ import annotations

from pathlib import Path

from lodex.index.jobs import TaskResult
from lodex.index.merge_sources import Parts, Target
from lodex.index.merge_tokens import document_lengths
from lodex.index.suffix import TABLE, SuffixBuilder, link_stream
from lodex.index.suffix_blocks import BlockMerger, SortedBlock, merging_ns
from lodex.index.suffix_sidecars import write_sidecars
from lodex.index.tokens import TokenStream
from lodex.kernels.suffix_merge import SORT_NS
from lodex.kernels.suffix_table import offset_width
from lodex.types import Progress


def merge_suffix(parts: Parts, target: Target, out: Path, progress: Progress) -> TaskResult:
    """Merge the tables two by two, neighbours of like size first, or sort the stream again where that is cheaper.

    A source without deletions has its table already. In one with deletions other tokens follow each other: what is left
    of it is sorted again. A token is sorted in about the time of three merges, so four tables of like size are merged
    and eight are not; neither are several of which most have deletions. Memory: that of sorting, or for a merge the
    text and 4 bytes for each token of its right half.
    """
    (merged,) = target.inputs
    tokens = TokenStream(merged).tokens
    blocks = _blocks(parts)
    assert not blocks or blocks[-1].end == len(tokens), "the merged stream is not that of its sources; this is a bug"
    if merging_ns(blocks) >= SORT_NS * len(tokens):
        return SuffixBuilder.of(target.config).build(target.segment, target.inputs, out, progress)
    progress.start("suffixes", len(tokens), "tokens")
    BlockMerger(tokens, out).merge_all(blocks, out / TABLE, progress)
    write_sidecars(out, tokens, out / TABLE, page_keys=SuffixBuilder.of(target.config).page_keys)
    progress.finish()
    link_stream(merged, out)
    return TaskResult(rows=len(tokens), details={"offset_bytes": offset_width(tokens.nbytes)})


def _blocks(parts: Parts) -> list[SortedBlock]:
    """Where the live tokens of each source stand in the merged stream, and its table where all are live."""
    blocks: list[SortedBlock] = []
    begin = 0
    for part in parts:
        (below,) = part.inputs
        stream = TokenStream(below)
        if len(part.source.deletions):
            end = begin + int(document_lengths(stream)[part.source.deletions.live_rows].sum())
            blocks.append(SortedBlock(begin, end))
        else:
            end = begin + len(stream.tokens)
            table = part.artefact.file(TABLE)
            blocks.append(SortedBlock(begin, end, table, offset_width(stream.tokens.nbytes), stream.tokens.itemsize))
        begin = end
    return blocks
