"""Models with a table of positions on longer texts than it has rows (LongEmbed, Zhu et al. 2024, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lodex.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class LearnedPositions:
    """Texts `factor` times as long as the L rows of a table of positions.

    "recurrent" begins anew after L tokens: i mod L. "grouped" gives neighbours one position: i // ceil(n / L) in a text
    of n tokens. "interpolate" puts factor - 1 rows between every two of the table, on the line between them: a longer
    text counts those, and one of at most L tokens keeps the trained rows. So all three leave short texts as they are.
    """

    method: Literal["recurrent", "grouped", "interpolate"]
    factor: int

    def __post_init__(self) -> None:
        """InvalidArgumentError for a factor below 1."""
        if self.factor < 1:
            raise InvalidArgumentError(f"factor is {self.factor}, expected at least 1", "long_context")

    def extend(self, table: Tensor) -> Tensor:
        """The table (L, H) with the rows that this method needs: itself, or (factor L, H) interpolated.

        What would lie beyond the last trained row repeats it, for nothing says how a table goes on.
        """
        if self.method != "interpolate":
            return table
        places = torch.arange(len(table) * self.factor, device=table.device)
        before = places // self.factor
        after = (before + 1).clamp_max(len(table) - 1)
        share = (places % self.factor / self.factor)[:, None]
        rows = table.float()
        return torch.lerp(rows[before], rows[after], share).to(table.dtype)

    def rows(self, positions: Tensor, lengths: Sequence[int], trained: int) -> Tensor:
        """The row of each token by its position (N,), both from 0; the texts have `lengths`, the table `trained` rows.

        N may exceed the sum of the lengths; what follows the texts stays.
        """
        of_no_text = len(positions) - sum(lengths)
        counts = torch.tensor([*lengths, of_no_text], device=positions.device)
        if self.method == "recurrent":
            return positions % trained
        if self.method == "grouped":
            groups = torch.tensor([*(-(-length // trained) for length in lengths), 1], device=positions.device)
            return positions // groups.repeat_interleave(counts)
        steps = torch.tensor([*(self.factor if n <= trained else 1 for n in lengths), 1], device=positions.device)
        return positions * steps.repeat_interleave(counts)
