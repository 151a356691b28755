"""The task of a language model: the next token of windows of a store's text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lodex.embed.training.llama import TrainingLlama
from lodex.embed.training.loss import chunk_loss, cross_entropy, token_losses
from lodex.embed.training.trainer import compiled
from lodex.lm.training.text import TrainingText, Windows

_BATCH_TOKENS = 8192
_DEV_WINDOWS = 96
_DEV_BATCH = 8


class NextToken:
    """Windows of half the model's context while the learning rate is flat, of all of it while it falls.

    Short windows cost less attention; the last third teaches the long ones.
    """

    def __init__(self, text: TrainingText, model: TrainingLlama, seed: int) -> None:
        shape = model.shape
        self._windows = {length: Windows(text.train, length, seed) for length in (shape.context // 2, shape.context)}
        self._context = shape.context
        self._orders: dict[tuple[int, int], np.ndarray] = {}
        self._states = compiled(model.forward)
        self._chunk = compiled(chunk_loss)
        self._dev = DevText(text, shape.context // 2)
        self.recipe: dict[str, Any] = {
            "task": "next token",
            "shape": asdict(shape),
            "seed": seed,
            "batch_tokens": _BATCH_TOKENS,
            "tokenizer": text.tokenizer.fingerprint,
            "train_tokens": len(text.train),
        }

    def loss(self, model: TrainingLlama, step: int, decaying: bool) -> tuple[Tensor, int]:
        """Mean cross-entropy of 8,192 tokens."""
        length = self._context if decaying else self._context // 2
        batch = torch.from_numpy(self._windows[length].read(self._starts(length, step)))
        batch = batch.to(model.embedding.device)
        states = self._states(batch[:, :-1])
        targets = batch[:, 1:].reshape(-1)
        return cross_entropy(states.flatten(0, 1), model.embedding, targets, self._chunk), len(targets)

    def _starts(self, length: int, step: int) -> np.ndarray:
        """The starts of the batch of a step; what does not fill a batch at the end of an epoch is left out of it."""
        size = _BATCH_TOKENS // length
        per_epoch = max(1, len(self._order(length, 0)) // size - 1)
        epoch, batch = divmod(step, per_epoch)
        return self._order(length, epoch)[batch * size : (batch + 1) * size]

    def _order(self, length: int, epoch: int) -> np.ndarray:
        key = (length, epoch)
        if key not in self._orders:
            self._orders = {k: v for k, v in self._orders.items() if k[1] in (0, epoch)}
            self._orders[key] = self._windows[length].epoch(epoch)
        return self._orders[key]

    def evaluate(self, model: TrainingLlama) -> float:
        """Bits per byte of windows of the documents kept apart."""
        return self._dev.bits_per_byte(model)


class DevText:
    """A fixed sample of windows of the documents kept apart, spread evenly over them."""

    def __init__(self, text: TrainingText, length: int) -> None:
        ids = np.concatenate(text.dev) if text.dev else np.empty(0, np.int64)
        usable = max(0, len(ids) - 1) // length
        chosen = np.unique(np.linspace(0, max(0, usable - 1), min(usable, _DEV_WINDOWS)).astype(int))
        self._windows = [ids[i * length : (i + 1) * length + 1] for i in chosen]
        self._bytes_a_token = sum(text.dev_bytes) / max(1, len(ids))

    @torch.no_grad()
    def bits_per_byte(self, model: TrainingLlama) -> float:
        """Bits per byte, by the mean number of bytes a token of the text kept apart; nan where none is."""
        if not self._windows:
            return float("nan")
        nats = tokens = 0.0
        for begin in range(0, len(self._windows), _DEV_BATCH):
            batch = torch.from_numpy(np.stack(self._windows[begin : begin + _DEV_BATCH]))
            batch = batch.to(model.embedding.device)
            states = model(batch[:, :-1]).flatten(0, 1)
            losses = token_losses(states, model.embedding, batch[:, 1:].reshape(-1))
            nats += float(losses.sum())
            tokens += len(losses)
        return float(nats / tokens / np.log(2) / self._bytes_a_token)
