"""Texts to normalised vectors, the same ones however the texts are batched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import normalize

from lodex.embed.backbones.backbone import Backbone
from lodex.embed.conventions.convention import Convention
from lodex.embed.conventions.templates import render_prompt
from lodex.embed.formats.embedder import EmbedderFolder, read_embedder
from lodex.embed.long_context.chunk_average import ChunkAverage, Chunks, average_pieces
from lodex.embed.long_context.extended_folder import LongContext, extend_folder
from lodex.embed.pooling.latent_pooling import LatentPooling
from lodex.embed.pooling.pooling import Pooling
from lodex.embed.ragged import Ragged
from lodex.embed.runtime.batching import plan_batches
from lodex.embed.runtime.budget import tune_batch_tokens
from lodex.embed.runtime.device import open_device
from lodex.embed.runtime.packed_linear import pack_linear_layers
from lodex.embed.runtime.precision import Embed, Precision, PrecisionReport, choose_precision
from lodex.embed.runtime.workers import Workers
from lodex.embed.tokens.framing import TextTokens, TokenRow
from lodex.errors import InvalidArgumentError, LodexError
from lodex.types import Embeddings, EncoderInfo, TextKind

# Tokens in one forward until it is tuned, and what it may be tuned to. On a CPU core the activations of a small batch
# still fit its cache; a GPU wants more to do.
_CPU_SIZES = 1024, (256, 512, 1024, 2048)
_ACCELERATOR_SIZES = 16_384, (4096, 8192, 16_384, 32_768)
# With so many batches to do, those of the tuning are soon won back. Their texts have so many tokens.
_BATCHES_WORTH_TUNING = 64
_SAMPLE_TEXT_TOKENS = 64


class TextEncoder:
    """Texts to vectors (n, d) float32; where `info.normalized` of length 1, so that inner products are cosines.

    On a CPU a text has one vector, bit for bit, whatever stands beside it and however many cores there are. That rests
    on three habits: attention takes each text alone, or with others of its length; a batch is computed by one thread;
    and oneDNN sums a row of a product in one order, whatever the number of rows. It holds in either precision, but the
    vectors of two precisions differ. Threads may share an encoder.
    """

    def __init__(
        self, backbone: Backbone, tokens: TextTokens, pooling: Pooling, convention: Convention, info: EncoderInfo
    ) -> None:
        self.info = info
        self.convention = convention
        self.precision: Literal["float32", "bfloat16"] = "bfloat16" if backbone.dtype == torch.bfloat16 else "float32"
        self._backbone = backbone
        self._tokens = tokens
        self._pooling = pooling
        self._chunks: Chunks | None = None
        self._device = backbone.device
        on_cpu = backbone.device.type == "cpu"
        self._sizes = _CPU_SIZES if on_cpu else _ACCELERATOR_SIZES
        self._workers = Workers(None if on_cpu else 1)
        self.precision_report: PrecisionReport | None = None
        self._max_batch_tokens: int | None = None
        self._tuning = threading.Lock()

    @classmethod
    def open(
        cls,
        folder: Path,
        name: str,
        device: str = "cpu",
        precision: str = "float32",
        long_context: LongContext | None = None,
    ) -> TextEncoder:
        """Load an embedder's folder, of a form that `read_embedder` reads; its attention is checked by `Backbone.open`.

        `precision` is that of weights and states: "float32", "bfloat16", or "auto", which takes bfloat16 where the
        machine multiplies in it and the vectors of a set of texts prove near enough, a cosine of 0.999 for each; see
        `choose_precision`. Vectors and norms are float32 in any case. `long_context` reads longer texts than the model
        was made for; see embed/long_context. InvalidArgumentError for what cannot be run.
        """
        if precision not in get_args(Precision):
            raise InvalidArgumentError(
                f"precision is {precision!r}, expected one of {', '.join(get_args(Precision))}", "precision"
            )
        parts = read_embedder(folder, name)
        if precision != "auto":
            return cls._assemble(parts, device, precision, long_context)
        opened: dict[str, TextEncoder] = {}

        def open_in(precision: str) -> Embed:
            opened.clear()  # a large model is not held twice
            opened[precision] = cls._assemble(parts, device, precision, long_context)
            return lambda texts: opened[precision].embed_passages(texts).vectors

        report = choose_precision(lambda: open_in("float32"), lambda: open_in("bfloat16"), open_device(device))
        encoder = opened.get(report.precision) or cls._assemble(parts, device, report.precision, long_context)
        encoder.precision_report = report
        return encoder

    @classmethod
    def _assemble(
        cls, parts: EmbedderFolder, device: str, precision: str, long_context: LongContext | None
    ) -> TextEncoder:
        chunk_tokens = parts.convention.max_tokens if isinstance(long_context, ChunkAverage) else None
        if long_context is not None:
            parts = extend_folder(parts, long_context)
        tokens = parts.open_tokens()
        backbone = Backbone.open(
            parts.source,
            attention=parts.convention.attention,
            precision="bfloat16" if precision == "bfloat16" else "float32",
            device=device,
            long_context=None if isinstance(long_context, ChunkAverage) else long_context,
            name=parts.name,
        )
        pooling = parts.open_pooling()
        if isinstance(pooling, nn.Module):
            # A head over tokens is part of the model; what reads one vector of a text stays in float32.
            pooling.eval().to(backbone.device, backbone.dtype if isinstance(pooling, LatentPooling) else torch.float32)
            if backbone.device.type == "cpu":
                pack_linear_layers(pooling)
        encoder = cls(backbone, tokens, pooling, parts.convention, parts.info)
        if chunk_tokens is not None:
            encoder._chunks = Chunks(chunk_tokens, *tokens.frame)
        return encoder

    # -------------------------------------------------------------------------------- texts

    def embed(
        self,
        texts: Sequence[str],
        kind: TextKind,
        advance: Callable[[int], None] = lambda done: None,
        *,
        instruction: str | None = None,
    ) -> Embeddings:
        """Embed each text, an empty one too; `advance` is told after each batch how many more are done, and may raise.

        Texts over `info.max_tokens` are cut and marked. `tokens` counts what the model read. `instruction` takes the
        place of the convention's task where its prompt has one; InvalidArgumentError where it has none. The first
        text that cannot be embedded raises its error.
        """
        rows = []
        for row in self.tokenize(texts, kind, instruction=instruction):
            if isinstance(row, LodexError):
                raise row
            rows.append(row)
        counts = np.array([len(row.ids) for row in rows], np.int64)
        return Embeddings(
            vectors=self.embed_rows(rows, advance),
            truncated=np.array([row.truncated for row in rows], np.bool_),
            tokens=int(counts.sum()),
            fingerprint=self.info.fingerprint,
            token_counts=counts,
        )

    def embed_passages(
        self,
        texts: Sequence[str],
        advance: Callable[[int], None] = lambda done: None,
        *,
        instruction: str | None = None,
    ) -> Embeddings:
        """`embed` for passages: what `DenseBuilder` asks for."""
        return self.embed(texts, TextKind.PASSAGE, advance, instruction=instruction)

    def embed_queries(self, texts: Sequence[str], *, instruction: str | None = None) -> Embeddings:
        """`embed` for queries."""
        return self.embed(texts, TextKind.QUERY, instruction=instruction)

    # -------------------------------------------------------------------------------- tokens

    def tokenize(
        self, texts: Sequence[str], kind: TextKind | None, *, instruction: str | None = None
    ) -> list[TokenRow | LodexError]:
        """What `embed_tokens` reads: a row for each text, or what is wrong with that text.

        `kind` None is a text as it stands, for callers who bring the prompt. Beside a forward it may run in another
        thread.
        """
        if isinstance(texts, str | bytes) or not isinstance(texts, Sequence):
            raise InvalidArgumentError(f"texts is {type(texts).__name__}, expected a sequence of texts", "texts")
        try:
            prompt = "" if kind is None else render_prompt(self.convention, TextKind(kind), instruction)
        except ValueError as error:
            expected = " or ".join(repr(kind.value) for kind in TextKind)
            raise InvalidArgumentError(f"kind is {kind!r}, expected {expected}", "kind") from error
        return self._tokens.encode(texts, prompt)

    def embed_tokens(self, rows: Sequence[TokenRow]) -> npt.NDArray[np.float32]:
        """The vectors (n, d) of rows by one forward, on one core; `max_batch_tokens` is a good size for it.

        Rows as `tokenize` makes them, or a caller's own: at most `info.max_tokens` ids of the model's vocabulary. As
        many calls as `batches_at_once` run side by side, others wait.
        """
        if not rows:
            return np.empty((0, self.info.dimension), np.float32)
        return self._workers.run(self._forward, rows)

    def embed_rows(
        self, rows: Sequence[TokenRow], advance: Callable[[int], None] = lambda done: None
    ) -> npt.NDArray[np.float32]:
        """The vectors (n, d) of rows by as many forwards as it takes, a batch on each core; `advance` as in `embed`."""
        lengths = [len(row.ids) for row in rows]
        total = sum(lengths)
        if total >= _BATCHES_WORTH_TUNING * self.max_batch_tokens:
            self.tune()
        # A few texts are shared among the cores too.
        budget = min(self.max_batch_tokens, max(self.max_batch_tokens // 4, total // self.batches_at_once))
        vectors = np.empty((len(rows), self.info.dimension), np.float32)
        batches = plan_batches(lengths, budget)
        with closing(self._workers.map(self._forward, ([rows[i] for i in batch] for batch in batches))) as results:
            for batch, result in zip(batches, results, strict=True):
                vectors[batch] = result
                advance(len(batch))
        return vectors

    @property
    def batches_at_once(self) -> int:
        """How many forwards go side by side: one on each core, one on an accelerator."""
        return self._workers.size

    @property
    def max_batch_tokens(self) -> int:
        """How many tokens a forward takes at most; a usual number until it is tuned."""
        return self._max_batch_tokens or self._sizes[0]

    def tune(self, seconds: float = 1.0) -> int:
        """Find the `max_batch_tokens` of this machine, once. Large calls do so themselves; no vector depends on it."""
        with self._tuning:
            if self._max_batch_tokens is None:
                clock = time.thread_time if self._device.type == "cpu" else time.perf_counter
                self._max_batch_tokens = self._workers.run(
                    lambda candidates: tune_batch_tokens(self._forward_sample, candidates, seconds, clock),
                    self._sizes[1],
                )
        return self._max_batch_tokens

    def _forward_sample(self, tokens: int) -> None:
        length = min(_SAMPLE_TEXT_TOKENS, self.info.max_tokens)
        self._forward([TokenRow([0] * length, 0, length)] * (tokens // length))

    def _forward(self, rows: Sequence[TokenRow]) -> npt.NDArray[np.float32]:
        if self._chunks is None:
            return self._forward_whole(rows)
        pieces = [self._chunks.split(row) for row in rows]
        vectors = self._forward_whole([piece for text in pieces for piece in text])
        return average_pieces(vectors, [len(text) for text in pieces])

    @torch.inference_mode()
    def _forward_whole(self, rows: Sequence[TokenRow]) -> npt.NDArray[np.float32]:
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))  # attention takes equal lengths at once
        batch = Ragged.of([rows[i] for i in order], self._device)
        states = self._backbone.layer_states(batch) if self._pooling.reads_layers else self._backbone.states(batch)
        pooled = self._pooling(states, batch)  # (B, d)
        if self.info.normalized:
            pooled = normalize(pooled, dim=1)
        vectors = np.empty((len(rows), self.info.dimension), np.float32)
        vectors[order] = pooled.cpu().numpy()
        return vectors
