"""Ragged attention on a GPU in one call for a batch, whatever its lengths: variable-length flash attention, or flex.

Flash attention takes half precision and knows windows, but no soft cap; FlexAttention is compiled for that. What
neither takes is left to the calls for each length in `ragged_attention`. Written against torch 2.13 without a GPU at
hand: the masks are tested by FlexAttention on a CPU, the call of flash attention is not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

Reach = tuple[int, int]
_FLASH_HEAD = 256  # the widest head that flash attention has a kernel for


def attend_at_once(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: tuple[int, ...],
    scale: float,
    reach: Reach | None,
    *,
    causal: bool,
    softcap: float | None,
) -> Tensor | None:
    """Attention of texts that lie end to end: (1, h, N, d) with keys and values (1, g, N, d) -> (N, h, d).

    A query sees `reach` tokens before and after itself, where it is None all of its text or, if `causal`, all up to
    itself. None where no kernel takes these tensors; the rows of texts must be all N.
    """
    is_half = query.dtype in (torch.float16, torch.bfloat16)
    if not query.is_cuda or not is_half or query.shape[2] != sum(lengths):
        return None
    if softcap is not None:
        return _flex(_compiled_flex(), query, key, value, lengths, scale, reach, causal=causal, softcap=softcap)
    if query.shape[-1] > _FLASH_HEAD:
        return None
    return _flash(query, key, value, lengths, scale, reach, causal=causal)


def _flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: tuple[int, ...],
    scale: float,
    reach: Reach | None,
    *,
    causal: bool,
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    offsets, longest = _offsets(lengths, query.device), max(lengths)
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # (N, heads, d)
    window = reach if reach is not None else (-1, 0 if causal else -1)
    attended: Tensor = varlen_attn(
        q,
        k,
        v,
        offsets,
        offsets,
        longest,
        longest,
        scale=scale,
        window_size=window,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return attended


def _flex(
    attend: Callable[..., Any],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: tuple[int, ...],
    scale: float,
    reach: Reach | None,
    *,
    causal: bool,
    softcap: float | None,
) -> Tensor:
    def capped(score: Tensor, _text: Tensor, _head: Tensor, _query: Tensor, _key: Tensor) -> Tensor:
        return score if softcap is None else torch.tanh(score / softcap) * softcap

    mask = _block_mask(lengths, reach, causal, query.device)
    shares = query.shape[1] != key.shape[1]
    attended: Tensor = attend(query, key, value, score_mod=capped, block_mask=mask, scale=scale, enable_gqa=shares)
    return attended[0].transpose(0, 1)


@cache
def _compiled_flex() -> Callable[..., Any]:
    # Lengths change with every batch; a kernel for each would be compiled for longer than it runs.
    compiled: Callable[..., Any] = torch.compile(flex_attention, dynamic=True)
    return compiled


# All layers of a batch ask for the same; models with two sorts of layers for two masks.
@lru_cache(maxsize=4)
def _offsets(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(device, torch.int32)


@lru_cache(maxsize=4)
def _block_mask(lengths: tuple[int, ...], reach: Reach | None, causal: bool, device: torch.device) -> BlockMask:
    """Which tiles of (N, N) hold pairs of one text within reach."""
    N = sum(lengths)
    text = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)).to(device)
    before, after = reach if reach is not None else (N, 0 if causal else N)

    def sees(_text: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (text[query] == text[key]) & (key >= query - before) & (key <= query + after)

    return create_block_mask(sees, B=None, H=None, Q_LEN=N, KV_LEN=N, device=device)
