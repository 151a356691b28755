"""The token stream below an index, and its tokenizer."""

from __future__ import annotations

from lodex.errors import DataLossError, FailedPreconditionError, InvalidArgumentError
from lodex.index.snapshot import Snapshot
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokenStream
from lodex.service.catalog import View


def stream_below(view: View, index: str, path: str = "index") -> str:
    """The name of the token stream of an index: itself, or the one it is built over; "" is the store's only one."""
    if not index:
        return view.choose("tokens", "", path)
    entry = view.index(index)
    if entry.kind == "suffix":
        return str(entry.config["stream"])
    if entry.kind != "tokens":
        raise InvalidArgumentError(
            f"index {index!r} of store {view.store!r} is of kind {entry.kind!r} and has no tokens", f"{path}.index"
        )
    return index


def open_tokenizer(snapshot: Snapshot, stream: str) -> Tokenizer:
    """The tokenizer of a token stream, from a copy that the stream keeps."""
    damage: DataLossError | None = None
    for segment in snapshot.segments:
        try:
            part = snapshot.part(stream, segment)
            if part is not None:
                return TokenStream(part).tokenizer
        except DataLossError as error:
            # Every part has a copy.
            damage = damage or error
    if damage is not None:
        raise damage
    raise FailedPreconditionError(f"token stream {stream!r} has no tokens yet: the store is empty, or it is not built")
