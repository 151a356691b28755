"""Texts end to end, without padding: what backbones and poolings read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lodex.embed.tokens.framing import TokenRow


@dataclass(frozen=True, slots=True)
class Ragged:
    """B texts of N tokens in all, one after another.

    `ids` (N,) int64; `positions` (N,) int64, counted from 0 in each text; `lengths` of the texts, each at least 1, on
    the host so that reading them waits for no device; `offsets` (B + 1,) int32 where each text begins, and N; `pooled`
    (N,) bool, the tokens that enter the pool, at least one of each text. Tensors lie on the model's device.
    """

    ids: Tensor
    positions: Tensor
    lengths: tuple[int, ...]
    offsets: Tensor
    pooled: Tensor

    @classmethod
    def of(cls, rows: Sequence[TokenRow], device: torch.device | str = "cpu") -> Ragged:
        """Lay rows end to end; there is at least one."""
        lengths = tuple(len(row.ids) for row in rows)
        offsets = torch.zeros(len(rows) + 1, dtype=torch.int32)
        offsets[1:] = torch.tensor(lengths).cumsum(0)
        counts = torch.tensor(lengths)
        begins = offsets[:-1].to(torch.int64).repeat_interleave(counts)
        positions = torch.arange(sum(lengths)) - begins
        first = torch.tensor([row.pool_begin for row in rows]).repeat_interleave(counts)
        last = torch.tensor([row.pool_end for row in rows]).repeat_interleave(counts)
        return cls(
            ids=torch.cat([torch.as_tensor(row.ids, dtype=torch.int64) for row in rows]).to(device),
            positions=positions.to(device),
            lengths=lengths,
            offsets=offsets.to(device),
            pooled=((positions >= first) & (positions < last)).to(device),
        )
