"""Attention over texts that lie end to end, each of which sees itself alone: no padding and no mask of the batch.

Models of transformers call a function of this signature with queries, keys and values of all tokens at once, and pass
through what else their layers were given; so all families are padding-free without a changed model. Everything beside
attention works on single tokens and needs to know nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from lodex.embed.backbones.tile_attention import attend_in_tiles, fits_tiles

IMPLEMENTATION = "lodex_ragged"

# Queries at a time where scores are masked or held: bounds memory to this many rows of a text's keys.
_QUERY_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Runs:
    """Where texts lie: runs of `count` texts of `length` tokens each, from row `begin` on.

    A run is one call of the kernel, so texts of one length should stand together. What follows the last is no text.
    """

    runs: tuple[tuple[int, int, int], ...]  # (begin, count, length)

    @classmethod
    def of(cls, lengths: tuple[int, ...]) -> Runs:
        """Runs of texts that lie end to end in this order."""
        runs, begin = [], 0
        for length, texts in groupby(lengths):
            count = len(list(texts))
            runs.append((begin, count, length))
            begin += count * length
        return cls(tuple(runs))

    @property
    def lengths(self) -> tuple[int, ...]:
        """What `of` was given."""
        return tuple(length for _, count, length in self.runs for _ in range(count))


class LongAttention(Protocol):
    """Attention of long texts by other distances, whose queries and keys come unturned; see `SelfExtend`."""

    def extends(self, length: int) -> bool:
        """Whether texts of this length are long."""
        ...

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, scale: float, causal: bool, softcap: float | None
    ) -> Iterator[tuple[slice, Tensor]]:
        """Of one text (h, n, d), keys and values (g, n, d): rows of queries at a time, (h, rows, d)."""
        ...


def ragged_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    runs: Runs,
    long_attention: LongAttention | None = None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """softmax(Q K^T scaling) V within each text: (1, h, N, d) with keys and values (1, g, N, d) -> (1, N, h, d).

    Heads h are a multiple of g. `is_causal` None is what `module.is_causal` says. A text's rows do not depend on the
    texts beside it; rows that belong to no text are zero. Windows are those of transformers' masks: `sliding_window`
    w reaches back w - 1 tokens where attention is causal; w tokens both ways where it was made bidirectional; and
    w - 1 both ways where the model itself is (Gemma3's `use_bidirectional_attention`). `softcap` c bounds scores by
    c tanh(s / c) (Gemma 2).
    """
    assert attention_mask is None, "ragged attention takes no mask; this is a bug"
    causal = bool(getattr(module, "is_causal", True)) if is_causal is None else is_causal
    reach = _reach(causal, is_causal is None, sliding_window)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if query.is_cuda and long_attention is None:
        # FlexAttention brings torch's compiler with it, which takes a second to import.
        from lodex.embed.backbones.ragged_gpu import attend_at_once

        at_once = attend_at_once(query, key, value, runs.lengths, scale, reach, causal=causal, softcap=softcap)
        if at_once is not None:
            return at_once[None], None
    if not causal and reach is None and softcap is None and long_attention is None and fits_tiles(query):
        return attend_in_tiles(query, key, value, runs.lengths, scale)[None], None
    _one, heads, tokens, width = query.shape
    out = query.new_empty(tokens, heads, width)
    end = 0
    for begin, count, length in runs.runs:
        end = begin + count * length
        q, k, v = (_texts(x, begin, count, length) for x in (query, key, value))
        into = out[begin:end].view(count, length, heads, width)
        if long_attention is not None and long_attention.extends(length):
            for text, texts in zip(into, zip(q, k, v, strict=True), strict=True):
                for rows, attended in long_attention.attend(*texts, scale, causal, softcap):
                    text[rows] = attended.transpose(0, 1)
            continue
        for rows, attended in _attend(q, k, v, scale, causal, reach, softcap):
            into[:, rows] = attended.transpose(1, 2)
    out[end:] = 0
    return out[None], None


def _texts(x: Tensor, begin: int, count: int, length: int) -> Tensor:
    """The rows of a run of texts, (1, h, N, d) -> (B, h, n, d), without a copy."""
    _one, heads, _tokens, width = x.shape
    _, by_head, by_token, by_element = x.stride()
    strides = (length * by_token, by_head, by_token, by_element)
    return x.as_strided((count, heads, length, width), strides, x.storage_offset() + begin * by_token)


def _reach(causal: bool, is_native: bool, window: int | None) -> tuple[int, int] | None:
    """How many tokens a query sees before and after itself, None for all that `causal` lets it see."""
    if window is None:
        return None
    if causal:
        return window - 1, 0
    return (window - 1, window - 1) if is_native else (window, window)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, scale: float, causal: bool, reach: tuple[int, int] | None, softcap: float | None
) -> Iterator[tuple[slice, Tensor]]:
    """Attention of equally long texts (B, h, n, d), rows of queries at a time: (B, h, rows, d)."""
    length = q.shape[2]
    before, after = reach if reach is not None else (length, 0 if causal else length)
    sees_all = before >= length - 1 and (after >= length - 1 or (causal and after == 0))
    shares = q.shape[1] != k.shape[1]
    if softcap is None and sees_all:
        yield (
            slice(0, length),
            scaled_dot_product_attention(q, k, v, is_causal=causal and length > 1, scale=scale, enable_gqa=shares),
        )
        return
    for begin in range(0, length, _QUERY_BLOCK):
        end = min(begin + _QUERY_BLOCK, length)
        first, last = max(0, begin - before), min(length, end + after)
        rows = torch.arange(begin, end, device=q.device)[:, None]
        columns = torch.arange(first, last, device=q.device)
        seen = (columns >= rows - before) & (columns <= rows + after)
        qs, ks, vs = q[:, :, begin:end], k[:, :, first:last], v[:, :, first:last]
        if softcap is None:
            attended = scaled_dot_product_attention(qs, ks, vs, attn_mask=seen, scale=scale, enable_gqa=shares)
        else:
            texts = zip(qs, ks, vs, strict=True)
            attended = torch.stack([_capped(*text, seen, scale, softcap) for text in texts])
        yield slice(begin, end), attended


def _capped(q: Tensor, k: Tensor, v: Tensor, seen: Tensor, scale: float, softcap: float) -> Tensor:
    """The formula itself, which fused kernels have not; of one text, for a batched product may round otherwise."""
    share = len(q) // len(k)
    k, v = (x.repeat_interleave(share, 0) for x in (k, v))
    scores = torch.tanh(q @ k.transpose(-1, -2) * scale / softcap) * softcap  # (h, rows, columns)
    weights = scores.float().masked_fill(~seen, float("-inf")).softmax(-1)
    return weights.to(v.dtype) @ v


AttentionInterface.register(IMPLEMENTATION, ragged_attention)
