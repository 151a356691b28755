"""SPLADE: a text as weights over the vocabulary, from the LM head of its model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lodex.embed.backbones.lm_head import LmHead
from lodex.embed.ragged import Ragged
from lodex.embed.sparse.csr import SparseRows
from lodex.errors import InternalError, InvalidArgumentError
from lodex.kernels.pooled_tokens import select_pooled
from lodex.kernels.splade_pool import splade_pool

# Terms at a time: the logits of one text stay in the caches of a CPU, and the weights of a batch are a few megabytes.
_CHUNK = 2048


class SpladePooling:
    """States to the terms of each text with the largest weights, w_v = max_i log(1 + relu(logit_iv)).

    The maximum is over the tokens that a batch pools: for echo those of the second copy. States have the dtype of the
    head's weight (V, H); see `LmHead` for bias, soft cap and the layer that BERT has before it.

    Neither logits (N, V) nor weights (B, V) are held: the vocabulary is gone through in pieces of `chunk`, each merged
    with the best `top_k` so far. On a CPU each text is multiplied by itself, so its terms do not depend on others.

    Formal et al. 2021, SPLADE v2 (arXiv:2109.10086); with a decoder: Doshi et al. 2024, Mistral-SPLADE
    (arXiv:2408.11119).
    """

    def __init__(self, head: LmHead, *, chunk: int = _CHUNK) -> None:
        self.vocab_size = len(head.weight)
        self._head = head
        self._chunk = chunk

    @torch.inference_mode()
    def __call__(self, hidden: Tensor, batch: Ragged, top_k: int | None = None) -> SparseRows:
        """The terms of each text, ascending: (N, H) after the last norm to B rows.

        Terms of weight 0 are left out. Of the others those of the `top_k` largest weights are kept, all where it is
        None; among equal weights those of smaller ids. InvalidArgumentError for `top_k` below 1, InternalError where a
        weight is not finite: the states are broken then.
        """
        if top_k is not None and top_k < 1:
            raise InvalidArgumentError(f"expected at least 1 term, got {top_k}", "sparse_top_k")
        states, begins = select_pooled(hidden, batch.pooled, batch.offsets)
        pieces = self._pieces(self._head.read(states), begins)
        found = _all_terms(pieces) if top_k is None else _largest(pieces, top_k)
        return _rows(*found, len(batch.lengths))

    def _pieces(self, states: Tensor, begins: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Ids (c,) and weights (B, c) of consecutive pieces of the vocabulary."""
        is_whole = torch.ones((), dtype=torch.bool, device=states.device)
        for first in range(0, self.vocab_size, self._chunk):
            terms = slice(first, min(first + self._chunk, self.vocab_size))
            bias = None if self._head.bias is None else self._head.bias[terms]
            weights = splade_pool(states, begins, self._head.weight[terms], bias, self._head.softcap)
            is_whole &= weights.isfinite().all()
            yield torch.arange(terms.start, terms.stop, device=states.device), weights
        if not is_whole:  # asked once: on a GPU an answer waits for all that was started
            raise InternalError("the states of the model are not finite, so they say nothing about the vocabulary")


def _largest(pieces: Iterator[tuple[Tensor, Tensor]], top_k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Text, id and weight of the `top_k` largest weights of each text, ids ascending."""
    ids = weights = torch.empty(0)
    for piece, found in pieces:
        terms = piece.expand(len(found), -1)
        ids, weights = (
            (terms, found) if not weights.numel() else (torch.cat([ids, terms], 1), torch.cat([weights, found], 1))
        )
        if weights.shape[1] > top_k:
            # Candidates ascend by id, so a stable sort leaves smaller ids first among equal weights.
            order = weights.sort(dim=1, descending=True, stable=True).indices[:, :top_k].sort(dim=1).values
            ids, weights = ids.gather(1, order), weights.gather(1, order)
    kept = weights > 0
    return kept.nonzero()[:, 0], ids[kept], weights[kept]


def _all_terms(pieces: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Text, id and weight of every weight above 0, ids ascending within a text."""
    texts, ids, weights = [], [], []
    for piece, found in pieces:
        text, column = found.nonzero(as_tuple=True)
        texts.append(text)
        ids.append(piece[column])
        weights.append(found[text, column])
    order = torch.cat(texts).sort(stable=True)  # pieces ascend, so ids do within a text
    return order.values, torch.cat(ids)[order.indices], torch.cat(weights)[order.indices]


def _rows(texts: Tensor, ids: Tensor, weights: Tensor, count: int) -> SparseRows:
    """Entries in the order of their texts as rows of `count` texts."""
    indptr = np.zeros(count + 1, np.int64)
    indptr[1:] = texts.bincount(minlength=count).cumsum(0).cpu().numpy()
    return SparseRows(indptr, ids.cpu().numpy().astype(np.uint32), weights.cpu().numpy())
