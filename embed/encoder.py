"""Texts to normalised vectors, the same ones however the texts are batched; each sort of model has a class below it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lodex.embed.runtime.batching import batches_of_equal_length
from lodex.embed.runtime.workers import Workers
from lodex.types import Embeddings, EncoderInfo, TextKind

# Tokens in one forward: on a CPU core the activations of this many still fit its cache; a GPU wants more to do.
_CPU_BATCH_TOKENS = 1024
_ACCELERATOR_BATCH_TOKENS = 16_384


class TextTokens(Protocol):
    """Texts to the token ids that a model reads."""

    def encode(self, texts: Sequence[str]) -> tuple[list[list[int]], list[bool]]:
        """The ids of each text, at least one, and whether they were cut."""
        ...


class TextEncoder(ABC):
    """Texts to vectors (n, d) float32 of length 1; the inner product of two is their cosine.

    On a CPU a text has one vector, bit for bit, whatever stands beside it and however many cores there are. That rests
    on three habits: the texts of a batch have one length, so that attention needs neither mask nor padding; a batch is
    computed by one thread; and oneDNN sums a row of a product in one order, whatever the number of rows.
    """

    def __init__(
        self, info: EncoderInfo, tokens: TextTokens, prompts: Mapping[TextKind, str], device: torch.device
    ) -> None:
        self.info = info
        self._tokens = tokens
        self._prompts = prompts
        self._device = device
        self._workers = Workers()

    @abstractmethod
    def _pool(self, batch: Tensor, kind: TextKind) -> Tensor:
        """One vector for each row of ids (B, T) int64 without padding: (B, d), of any length."""

    def embed(
        self, texts: Sequence[str], kind: TextKind, advance: Callable[[int], None] = lambda done: None
    ) -> Embeddings:
        """Embed each text, an empty one too; `advance` is told after each batch how many more are done, and may raise.

        Texts over `info.max_tokens` are cut and marked. `tokens` counts what the model read.
        """
        ids, truncated = self._tokens.encode([self._prompts[kind] + text for text in texts])
        lengths = [len(row) for row in ids]
        vectors = np.empty((len(ids), self.info.dimension), np.float32)
        batches = list(batches_of_equal_length(lengths, self._tokens_a_batch(sum(lengths))))
        jobs = ((kind, [ids[i] for i in batch]) for batch in batches)
        with closing(self._workers.map(self._forward, jobs)) as results:
            for batch, result in zip(batches, results, strict=True):
                vectors[batch] = result
                advance(len(batch))
        return Embeddings(
            vectors=vectors,
            truncated=np.array(truncated, np.bool_),
            tokens=sum(lengths),
            fingerprint=self.info.fingerprint,
        )

    def embed_passages(self, texts: Sequence[str], advance: Callable[[int], None] = lambda done: None) -> Embeddings:
        """`embed` for passages: what `DenseBuilder` asks for."""
        return self.embed(texts, TextKind.PASSAGE, advance)

    def embed_queries(self, texts: Sequence[str]) -> Embeddings:
        """`embed` for queries."""
        return self.embed(texts, TextKind.QUERY)

    def _tokens_a_batch(self, tokens: int) -> int:
        if self._device.type != "cpu":
            return _ACCELERATOR_BATCH_TOKENS
        return max(_CPU_BATCH_TOKENS // 4, min(_CPU_BATCH_TOKENS, tokens // self._workers.size))

    @torch.inference_mode()
    def _forward(self, job: tuple[TextKind, list[list[int]]]) -> npt.NDArray[np.float32]:
        kind, ids = job
        pooled = self._pool(torch.tensor(ids, device=self._device), kind)
        vectors: npt.NDArray[np.float32] = normalize(pooled.float(), dim=1).cpu().numpy()
        return vectors  # (B, d)
