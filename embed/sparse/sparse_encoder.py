"""Texts to weights over a vocabulary: backbone, tokens and SPLADE's pooling put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from lodex.embed.backbones.backbone import Backbone
from lodex.embed.conventions.convention import Convention
from lodex.embed.conventions.templates import render_prompt
from lodex.embed.formats.embedder import read_embedder
from lodex.embed.ragged import Ragged
from lodex.embed.runtime.batching import plan_batches
from lodex.embed.runtime.workers import Workers
from lodex.embed.sparse.csr import SparseRows, join_rows
from lodex.embed.sparse.splade import SpladePooling
from lodex.embed.tokens.framing import TextTokens, TokenRow
from lodex.errors import InvalidArgumentError, LodexError
from lodex.types import EncoderInfo, SparseEmbeddings, TextKind

_CPU_BATCH_TOKENS, _ACCELERATOR_BATCH_TOKENS = 1024, 16_384


class SparseEncoder:
    """Texts to SPLADE vectors; the inner product of two says how near they are. Threads may share an encoder.

    On a CPU a text has one vector, bit for bit, whatever stands beside it.
    """

    def __init__(
        self, backbone: Backbone, tokens: TextTokens, pooling: SpladePooling, convention: Convention, info: EncoderInfo
    ) -> None:
        self.info = info
        self.convention = convention
        self._backbone = backbone
        self._tokens = tokens
        self._pooling = pooling
        on_cpu = backbone.device.type == "cpu"
        self._batch_tokens = _CPU_BATCH_TOKENS if on_cpu else _ACCELERATOR_BATCH_TOKENS
        self._workers = Workers(None if on_cpu else 1)

    @classmethod
    def open(
        cls,
        folder: Path,
        name: str = "",
        device: str = "cpu",
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> SparseEncoder:
        """Load a model with its LM head whose pooling is "splade", by its lodex.json or the registry.

        InvalidArgumentError for a model that pools otherwise or has no LM head, and what `read_embedder` and
        `Backbone.open` raise.
        """
        parts = read_embedder(folder, name or folder.resolve().name)
        if parts.convention.pooling != "splade":
            raise InvalidArgumentError(
                f"{folder}: pools by {parts.convention.pooling}; sparse vectors need a model of pooling 'splade'",
                "model",
            )
        backbone = Backbone.open(
            parts.source,
            attention=parts.convention.attention,
            precision=precision,
            device=device,
            with_head=True,
            name=parts.name,
        )
        assert backbone.lm_head is not None, "a head was asked for; this is a bug"
        return cls(backbone, parts.open_tokens(), SpladePooling(backbone.lm_head), parts.convention, parts.info)

    def embed(
        self,
        texts: Sequence[str],
        kind: TextKind,
        advance: Callable[[int], None] = lambda done: None,
        *,
        top_k: int | None = None,
        instruction: str | None = None,
    ) -> SparseEmbeddings:
        """The terms of each text, the `top_k` of the largest weights or all; see `SpladePooling` for ties.

        `advance` is told after each batch how many more are done, and may raise. Texts over `info.max_tokens` are cut
        and marked. The first text that cannot be embedded raises its error.
        """
        rows = []
        for row in self._tokens.encode(texts, render_prompt(self.convention, kind, instruction)):
            if isinstance(row, LodexError):
                raise row
            rows.append(row)
        counts = np.array([len(row.ids) for row in rows], np.int64)
        batches = plan_batches(counts.tolist(), self._batch_tokens)
        parts = []
        jobs = (([rows[i] for i in batch], top_k) for batch in batches)
        with closing(self._workers.map(self._forward, jobs)) as results:
            for batch, result in zip(batches, results, strict=True):
                parts.append(result)
                advance(len(batch))
        joined = join_rows(parts, batches)
        return SparseEmbeddings(
            indptr=joined.indptr,
            ids=joined.ids,
            weights=joined.weights,
            vocab_size=self._pooling.vocab_size,
            truncated=np.array([row.truncated for row in rows], np.bool_),
            tokens=int(counts.sum()),
            fingerprint=self.info.fingerprint,
            token_counts=counts,
        )

    @torch.inference_mode()
    def _forward(self, job: tuple[list[TokenRow], int | None]) -> SparseRows:
        rows, top_k = job  # of descending lengths, as attention likes them
        batch = Ragged.of(rows, self._backbone.device)
        return self._pooling(self._backbone.states(batch), batch, top_k)
