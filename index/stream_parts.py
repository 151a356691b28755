"""The parts of an index that stands on a token stream, each with the stream that it was built over."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lodex.errors import DataLossError, FailedPreconditionError
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.index.snapshot import Snapshot
from lodex.index.tokens import TokenStream


def stream_parts(snapshot: Snapshot, name: str, stream_name: str) -> Iterator[tuple[Segment, TokenStream, Artefact]]:
    """Each segment that has the index, with its stream and its part.

    FailedPreconditionError where the stream was built anew since, DataLossError where it is of another tokenizer.
    """
    fingerprint = snapshot.index(stream_name).config["fingerprint"]
    for segment, artefact in snapshot.parts(name):
        if artefact is None:
            continue
        tokens = snapshot.part(stream_name, segment)
        if tokens is None or f"artefacts/{tokens.kind}/{tokens.id}" not in artefact.receipt.inputs:
            raise FailedPreconditionError(
                f"index {name!r} was not built over the present {stream_name!r}; build it again"
            )
        stream = snapshot.shared(TokenStream, (tokens.id,), partial(TokenStream, tokens))
        if stream.tokenizer_fingerprint != fingerprint:
            raise DataLossError(f"{tokens.path} is of tokenizer {stream.tokenizer_fingerprint}, expected {fingerprint}")
        yield segment, stream, artefact
