"""A Kneser-Ney model of a snapshot, over those of its segments that have a suffix index."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lodex.errors import DataLossError, FailedPreconditionError, InvalidArgumentError
from lodex.index.deletions import Deletions
from lodex.index.kneser_ney import KneserNey
from lodex.index.kneser_ney_counts import SortedPart
from lodex.index.receipt import Artefact
from lodex.index.snapshot import Snapshot
from lodex.index.stream_parts import stream_parts
from lodex.index.subtractive import deleted_tokens
from lodex.index.suffix import TABLE, SuffixBuilder
from lodex.index.tokens import TokenStream
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import encode_offsets, offset_width


def fit_kneser_ney(snapshot: Snapshot, name: str = "suffix", order: int = 5) -> KneserNey:
    """Fit a model of an order to the documents of a snapshot, without those that are deleted."""
    entry = snapshot.index(name)
    if entry.kind != SuffixBuilder.kind:
        raise InvalidArgumentError(f"index {name!r} is of kind {entry.kind!r}; n-grams need a suffix index", "index")
    parts: list[SortedPart] = []
    stream: TokenStream | None = None
    for segment, stream, artefact in stream_parts(snapshot, name, entry.config["stream"]):
        parts += _signed_parts(stream, artefact, snapshot.deletions(segment))
    if stream is None:
        raise FailedPreconditionError(
            f"index {name!r} has no segment yet in version {snapshot.version}; run: lodex index update STORE"
        )
    return KneserNey.fit(parts, stream.vocab_size, stream.eos_id, order)


def _signed_parts(stream: TokenStream, artefact: Artefact, deletions: Deletions) -> Iterator[SortedPart]:
    path = artefact.file(TABLE)
    if artefact.receipt.rows != len(stream.tokens):
        raise DataLossError(f"{path} is not of its {stream.tokenizer_name} stream")
    table = np.memmap(path, np.uint8, "r") if len(stream.tokens) else np.empty(0, np.uint8)
    yield SortedPart(stream.tokens, table, 1, str(path))
    if len(deletions):
        tokens = deleted_tokens(stream, deletions)
        table = encode_offsets(suffix_array(tokens), tokens.itemsize, offset_width(tokens.nbytes))
        yield SortedPart(tokens, table, -1, "the suffixes of deleted documents")
