"""Building a kNN index: the state of a language model after every token of a segment, in a file of keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lodex.errors import DimensionMismatchError, InternalError, InvalidArgumentError
from lodex.index.jobs import TaskResult
from lodex.index.knn_files import KEYS, SQUARES, Floats, Keys, KeySource, squared_lengths
from lodex.index.knn_lists import group_keys
from lodex.index.receipt import Artefact
from lodex.index.segment import Segment
from lodex.index.tokenizer import TokenIds
from lodex.index.tokens import TokenStream
from lodex.types import Progress

KIND = "knn"
# Below this many entries a segment is scanned whole: exact, and some tens of milliseconds a query.
LISTS_FROM = 250_000
_UNGROUPED = "ungrouped.f16"


class MakeKeys(Protocol):
    """Documents to keys, in their order, in runs of rows of any length; `advance` is told how many more are done.

    A document of m tokens has m + 1 keys (m + 1, d): the state at its start, then the state after each token.
    """

    def __call__(self, documents: Iterable[TokenIds], advance: Callable[[int], None]) -> Iterator[Floats]:
        """The keys of each document, whatever documents stand beside it."""
        ...


class KnnBuilder:
    """Computes and keeps the key of every entry of a stream, as float16.

    Memory is bounded by what `make_keys` yields at once; a segment of `lists_from` entries or more also gets inverted
    lists, for which a sample of its keys is read (see `group_keys`).
    """

    kind = KIND

    def __init__(self, stream: str, source: KeySource, make_keys: MakeKeys, *, lists_from: int = LISTS_FROM) -> None:
        self.depends_on: tuple[str, ...] = (stream,)
        self.config: Mapping[str, Any] = {
            "stream": stream,
            "source": asdict(source),
            "key": "what enters the MLP of the last layer",
            "dtype": "f16",
            "distance": "squared_l2",
            "lists_from": lists_from,
        }
        self._source = source
        self._make_keys = make_keys
        self._lists_from = max(lists_from, 2)

    def build(self, segment: Segment, inputs: tuple[Artefact, ...], out: Path, progress: Progress) -> TaskResult:
        """Write `keys.f16` and `squares.f32`, and the three files of lists for a large segment."""
        stream = TokenStream(inputs[0])
        n, d = len(stream.tokens), self._source.dimension
        has_lists = n >= self._lists_from
        keys_path = out / (_UNGROUPED if has_lists else KEYS)
        largest = np.float32(0)
        done = 0
        progress.start("keys", n, "tokens")
        with keys_path.open("wb") as keys_file, (out / SQUARES).open("wb") as squares_file:
            documents = (stream.document(row) for row in range(stream.num_documents))
            for rows in self._make_keys(documents, progress.advance):
                keys = self._narrowed(rows, done)
                squares = squared_lengths(keys.astype(np.float32))
                keys_file.write(keys.tobytes())
                squares_file.write(squares.astype("<f4").tobytes())
                largest = max(largest, squares.max(initial=np.float32(0)))
                done += len(keys)
        progress.finish()
        if done != n:
            raise InternalError(f"model {self._source.model!r} gave {done} keys for the {n} entries of {segment.id}")
        details: dict[str, Any] = {"documents": stream.num_documents, "largest_norm": float(np.sqrt(largest))}
        if has_lists:
            progress.start("inverted lists", None, "keys")
            details |= group_keys(keys_path, n, d, out)
            keys_path.unlink()
            progress.finish()
        return TaskResult(rows=n, details=details)

    def _narrowed(self, rows: Floats, done: int) -> Keys:
        """Rows as float16; what does not fit is refused, as one infinite key would be near nothing."""
        model, d = self._source.model, self._source.dimension
        if rows.ndim != 2 or rows.shape[1] != d:
            raise DimensionMismatchError(f"model {model!r} gave keys of shape {rows.shape}, expected (m, {d})")
        with np.errstate(over="ignore"):
            keys = rows.astype("<f2")
        finite = np.isfinite(keys).all(axis=1)
        if not finite.all():
            i = int(finite.argmin())
            raise InvalidArgumentError(
                f"model {model!r} gave entry {done + i} a key with a component of {np.abs(rows[i]).max():g}, "
                f"which float16 does not hold (at most {float(np.finfo(np.float16).max):g})"
            )
        return keys


def read_source(config: Mapping[str, Any]) -> KeySource:
    """What made the keys of a kNN index, from its configuration."""
    return KeySource(**config["source"])
