"""The states of a language model over whole documents: the keys of a kNN index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from lodex.embed.decoder import Decoder
from lodex.embed.runtime.batching import batches_of_equal_length
from lodex.embed.runtime.workers import Workers
from lodex.errors import InvalidArgumentError
from lodex.index.knn_files import KeySource
from lodex.index.tokenizer import TokenIds
from lodex.lm.windows import require_window, windows_of

# Tokens in one forward: on a CPU core the activations of this many still fit its cache; a GPU wants more to do.
_CPU_BATCH_TOKENS = 1024
_ACCELERATOR_BATCH_TOKENS = 16_384
# What is computed before any of it is handed out: enough windows for equal lengths to meet, in bounded memory.
_GROUP_BYTES = 64 << 20
_MOST_GROUP_TOKENS = 65_536
_FEWEST_GROUP_TOKENS = 4096

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Window:
    """The ids that are read together, (T,) int64, and from which place on their keys are new."""

    ids: npt.NDArray[np.int64]
    first_new: int


class KeyMaker:
    """The keys of documents, in windows: what enters the MLP of the last layer after each token.

    Khandelwal et al. 2020, Generalization through Memorization (arXiv:1911.00172), section 2 and its implementation.
    The windows are those of `lodex.lm.windows`, by default of the model's limit and half of it.

    On a CPU a document has one array of keys, bit for bit, whatever stands beside it and however many cores there are:
    the windows of a batch have one length, so that there is no padding; a batch is computed by one thread; and the
    decoder is packed, in a copy, which makes a row of a product the same whatever the number of rows.
    """

    def __init__(self, decoder: Decoder, window_tokens: int | None = None, stride_tokens: int | None = None) -> None:
        window = decoder.max_tokens if window_tokens is None else window_tokens
        stride = max(1, window // 2) if stride_tokens is None else stride_tokens
        require_window(window, stride)
        if window > decoder.max_tokens:
            raise InvalidArgumentError(
                f"window_tokens is {window}, {decoder.name!r} reads at most {decoder.max_tokens}", "window_tokens"
            )
        self.source = KeySource(decoder.name, decoder.fingerprint, decoder.hidden_size, window, stride)
        self._decoder = decoder.packed()
        self._workers = Workers()
        self._batch_tokens = _CPU_BATCH_TOKENS if decoder.device.type == "cpu" else _ACCELERATOR_BATCH_TOKENS
        in_memory = _GROUP_BYTES // (4 * decoder.hidden_size)
        self._group_tokens = max(_FEWEST_GROUP_TOKENS, min(_MOST_GROUP_TOKENS, in_memory))

    def __call__(
        self, documents: Iterable[TokenIds], advance: Callable[[int], None] = lambda done: None
    ) -> Iterator[Floats]:
        """The keys of documents (m,), as rows (m + 1, d) for each, in runs that need not end with documents.

        The first key of a document is the state at its start token. `advance` is told after each batch how many more
        keys are done, and may raise. InvalidArgumentError for an id that the model does not have.
        """
        group: list[_Window] = []
        tokens = 0
        for window in self._windows(documents):
            group.append(window)
            tokens += len(window.ids)
            if tokens >= self._group_tokens:
                yield self._keys(group, advance)
                group, tokens = [], 0
        if group:
            yield self._keys(group, advance)

    def _windows(self, documents: Iterable[TokenIds]) -> Iterator[_Window]:
        for document in documents:
            ids = np.concatenate([np.array([self._decoder.start_id], np.int64), np.asarray(document, np.int64)])
            if ids.min() < 0 or ids.max() >= self._decoder.vocab_size:
                raise InvalidArgumentError(
                    f"a document has token {ids.max()}, {self._decoder.name!r} has the ids "
                    f"[0, {self._decoder.vocab_size})",
                    "stream",
                )
            for begin, end, first_new in windows_of(len(ids), self.source.window_tokens, self.source.stride_tokens):
                yield _Window(ids[begin:end], first_new - begin)

    def _keys(self, group: list[_Window], advance: Callable[[int], None]) -> Floats:
        """The new keys of each window, one window behind the other."""
        ends = np.cumsum([len(window.ids) - window.first_new for window in group])
        keys = np.empty((int(ends[-1]), self._decoder.hidden_size), np.float32)
        batches = list(batches_of_equal_length([len(window.ids) for window in group], self._batch_tokens))
        rows = ([group[i].ids for i in batch] for batch in batches)
        with closing(self._workers.map(self._forward, rows)) as results:
            for batch, result in zip(batches, results, strict=True):
                done = 0
                for i, states in zip(batch, result, strict=True):
                    new = states[group[i].first_new :]
                    keys[ends[i] - len(new) : ends[i]] = new
                    done += len(new)
                advance(done)
        return keys

    def _forward(self, rows: list[npt.NDArray[np.int64]]) -> Floats:
        batch = torch.from_numpy(np.stack(rows))  # (B, T)
        keys = self._decoder.forward(batch, with_keys=True).keys  # (B, T, H)
        assert keys is not None, "keys were asked for and are not there; this is a bug"
        states: Floats = keys.float().cpu().numpy()
        return states
