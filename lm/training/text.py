"""The text of a store as training windows, with some documents kept apart to watch the training by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.errors import FailedPreconditionError
from lodex.index.segment import Segment, doc_id_hash
from lodex.index.snapshot import Snapshot
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokenStream

TokenArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrainingText:
    """Documents as ids: `train` is one array in which the EOS stands before every document and after the last.

    `dev` are the documents kept apart, each with an EOS before and after it; `dev_bytes` the UTF-8 bytes of each.
    `dev_sources` are their sources.
    """

    tokenizer: Tokenizer
    train: npt.NDArray[np.uint32]
    train_documents: int
    train_bytes: int
    dev: tuple[TokenArray, ...]
    dev_bytes: tuple[int, ...]
    dev_sources: tuple[str, ...]


def read_training_text(snapshot: Snapshot, stream_name: str, dev_share: float) -> TrainingText:
    """Read a token stream of every segment; about `dev_share` of the documents, by a hash of their ids, are kept apart.

    FailedPreconditionError where the stream does not cover every segment, or no document is left to train on.
    """
    train: list[npt.NDArray[np.uint32]] = []
    dev: list[TokenArray] = []
    dev_bytes: list[int] = []
    dev_sources: list[str] = []
    tokenizer: Tokenizer | None = None
    num_documents = num_bytes = 0
    for segment, part in snapshot.parts(stream_name):
        if part is None:
            raise FailedPreconditionError(
                f"the stream {stream_name!r} does not cover every segment: update the indexes"
            )
        stream = TokenStream(part)
        tokenizer = stream.tokenizer
        eos = np.array([stream.eos_id], np.uint32)
        for row in range(stream.num_documents):
            ids, size = stream.document(row).astype(np.uint32), _text_bytes(segment, row)
            if is_dev(segment.doc_id(row), dev_share):
                dev.append(np.concatenate([eos, ids, eos]).astype(np.int64))
                dev_bytes.append(size)
                dev_sources.append(segment.header(row).source)
            else:
                train += [eos, ids]
                num_documents += 1
                num_bytes += size
    if tokenizer is None or not train:
        raise FailedPreconditionError("the store holds no document to train on")
    return TrainingText(
        tokenizer=tokenizer,
        train=np.concatenate([*train, np.array([tokenizer.eos_id], np.uint32)]),
        train_documents=num_documents,
        train_bytes=num_bytes,
        dev=tuple(dev),
        dev_bytes=tuple(dev_bytes),
        dev_sources=tuple(dev_sources),
    )


def is_dev(doc_id: str, share: float) -> bool:
    """Whether a document is kept apart: the same ones in every store and version."""
    return doc_id_hash(doc_id) % 10_000 < round(share * 10_000)


def _text_bytes(segment: Segment, row: int) -> int:
    return int(segment.ends[row]) - int(segment.begins[row])


class Windows:
    """Windows of `length + 1` ids, each token of the text a target once an epoch, in an order that the seed decides."""

    def __init__(self, ids: npt.NDArray[np.uint32], length: int, seed: int) -> None:
        if len(ids) <= 2 * length:
            raise FailedPreconditionError(
                f"the store has {len(ids)} tokens to train on, too few for windows of {length}"
            )
        self._ids = ids
        self._length = length
        self._seed = seed

    def epoch(self, number: int) -> TokenArray:
        """The starts of the windows of an epoch, in their order; each epoch begins its windows elsewhere."""
        rng = np.random.default_rng([self._seed, number])
        first = int(rng.integers(self._length))
        starts = np.arange(first, len(self._ids) - self._length - 1, self._length)
        rng.shuffle(starts)
        return starts

    def read(self, starts: Sequence[int] | TokenArray) -> TokenArray:
        """The windows at some starts, (n, length + 1)."""
        return np.stack([self._ids[start : start + self._length + 1] for start in starts]).astype(np.int64)
