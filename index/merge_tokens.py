"""Merging token streams: the tokens of live documents, one behind the other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError
from lodex.index.jobs import TaskResult
from lodex.index.merge_sources import Parts, SourcePart, Target
from lodex.index.receipt import canonical_json
from lodex.index.tokenizer import TOKENIZER_FILE
from lodex.index.tokens import OFFSETS, STREAM, TOKENS, TokenStream
from lodex.types import Progress

_TOKENS_PER_WRITE = 1 << 20


def merge_tokens(parts: Parts, target: Target, out: Path, progress: Progress) -> TaskResult:
    """Write the four files of a stream as they would be encoded from the merged segment. Nothing is encoded."""
    streams = [TokenStream(part.artefact) for part in parts]
    first = streams[0]
    for part, stream in zip(parts, streams, strict=True):
        if (stream.dtype, stream.vocab_size) != (first.dtype, first.vocab_size):
            raise DataLossError(f"{part.artefact.path} has other tokens than {parts[0].artefact.path}")
    documents = items = 0
    progress.start("tokens", sum(len(stream.tokens) for stream in streams), "tokens")
    with (out / TOKENS).open("wb") as tokens_file, (out / OFFSETS).open("wb") as offsets_file:
        for part, stream in zip(parts, streams, strict=True):
            for begin, end in live_runs(part, stream):
                tokens_file.write(stream.tokens[begin:end].tobytes())
                progress.advance(end - begin)
            lengths = document_lengths(stream)[part.source.deletions.live_rows]
            offsets = items + np.concatenate([[0], np.cumsum(lengths)])
            offsets_file.write((offsets[:-1] * stream.dtype.itemsize).astype("<u8").tobytes())
            documents += len(lengths)
            items = int(offsets[-1])
    progress.finish()
    source = parts[0].artefact
    shutil.copyfile(source.file(TOKENIZER_FILE), out / TOKENIZER_FILE)
    description = json.loads(source.file(STREAM).read_bytes())
    counts = {"documents": documents, "tokens": items - documents}
    (out / STREAM).write_bytes(canonical_json(description | counts))
    return TaskResult(rows=documents, details={"tokens": items - documents})


def document_lengths(stream: TokenStream) -> npt.NDArray[np.int64]:
    """Items of each document, its separator among them, (num_documents,)."""
    begins = (stream.offsets // stream.dtype.itemsize).astype(np.int64)
    lengths: npt.NDArray[np.int64] = np.append(begins[1:], len(stream.tokens)) - begins
    return lengths


def live_runs(part: SourcePart, stream: TokenStream, at_most: int = _TOKENS_PER_WRITE) -> Iterator[tuple[int, int]]:
    """The items of live documents as runs [begin, end) of the stream, of `at_most` items each; neighbours together."""
    begins = np.append(stream.offsets // stream.dtype.itemsize, len(stream.tokens)).astype(np.int64)
    live = np.concatenate([[0], ~part.source.deletions.mask, [0]]).astype(np.int8)
    changes = np.flatnonzero(np.diff(live))
    for first_row, last_row in changes.reshape(-1, 2):
        begin, stop = int(begins[first_row]), int(begins[last_row])
        while begin < stop:
            end = min(begin + at_most, stop)
            yield begin, end
            begin = end
