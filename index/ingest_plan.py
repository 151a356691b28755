"""Cutting inputs into tasks: groups of files, and runs of lines of large files of JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from lodex.errors import InputError
from lodex.index.sources.inputs import Input, Inputs
from lodex.index.sources.jsonl import line_spans, read_jsonl_span

Source = Input | InputError
"""Something to read, or the fault of something that cannot be found."""

_LEAST_BYTES = 16 << 20
_UNKNOWN_BYTES = 64 << 20
_TASKS = 8
_MAX_INPUTS = 4096


def task_bytes(total_bytes: int | None, segment_bytes: int) -> int:
    """How many bytes of input make a task: an eighth of them all, from 16 MiB to the size of a segment.

    It depends on nothing but the inputs, so that a rerun, with however many workers, finds the tasks of the run before.
    """
    if total_bytes is None:
        return _UNKNOWN_BYTES
    return max(_LEAST_BYTES, min(total_bytes // _TASKS, segment_bytes))


def plan_tasks(sources: Inputs, limit_bytes: int) -> Iterator[tuple[Source, ...]]:
    """The inputs in their order, in runs of about `limit_bytes` and of at most 4096.

    An input of unknown size is a run by itself; of a plain JSONL file above the limit, several runs have lines.
    """
    group: list[Source] = []
    size = 0
    for source in _pieces(sources, limit_bytes):
        amount = source.size_bytes if isinstance(source, Input) else 0
        if group and (amount is None or size + amount > limit_bytes or len(group) == _MAX_INPUTS):
            yield tuple(group)
            group, size = [], 0
        if amount is None:
            yield (source,)
        else:
            group.append(source)
            size += amount
    if group:
        yield tuple(group)


def _pieces(sources: Inputs, limit_bytes: int) -> Iterator[Source]:
    for source in sources:
        is_large = isinstance(source, Input) and (source.size_bytes or 0) > limit_bytes * 3 // 2
        if is_large and isinstance(source, Input) and source.place.lower().endswith(".jsonl"):
            yield from _lines_of(source, limit_bytes)
        else:
            yield source


def _lines_of(source: Input, limit_bytes: int) -> Iterator[Source]:
    """A large file of lines in parts; whole where it cannot be read, so that reading it says why."""
    file, size = source.file, source.size_bytes or 0
    if file is None:
        yield source
        return
    try:
        spans = list(line_spans(file.path, size, limit_bytes))
    except OSError:
        yield source
        return
    for span in spans:
        length = (span.end if span.end is not None else size) - span.begin
        yield replace(source, size_bytes=length, reader=partial(read_jsonl_span, file, span), lines=span)
