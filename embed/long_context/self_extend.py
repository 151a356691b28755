"""SelfExtend: rotary models on longer texts, by distances of groups of tokens (Jin et al. 2024, arXiv:2401.01325)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lodex.embed.backbones.rotary import Rotary, turn
from lodex.errors import InvalidArgumentError

# Scores held at once, of all heads: 64 MiB in float32.
_SCORES = 1 << 24


@dataclass(frozen=True, slots=True)
class SelfExtend:
    """Tokens nearer than `window` keep their distance; farther ones have that of their groups of `group` tokens.

    The distance of i and j is i - j where |i - j| < w, else (i // G + w - w // G) - j // G for i > j, and the mirror
    of it for i < j, which bidirectional models see too (LongEmbed, Zhu et al. 2024, section 3.2 and its E5-RoPE). Only
    texts of more than `trained` tokens are read so. With `scales_queries` the query at i is multiplied by
    max(1, ln(i + 1) / ln(trained)), as LongEmbed ran E5-mistral.
    """

    group: int
    window: int
    trained: int
    scales_queries: bool = False

    def __post_init__(self) -> None:
        """InvalidArgumentError for sizes that are not positive, and for groups that no trained length is left for."""
        if self.group < 1 or not 0 < self.window < self.trained:
            raise InvalidArgumentError(
                f"group {self.group}, window {self.window}: expected a group of at least 1 and a window of 1 to "
                f"{self.trained - 1}, less than the trained length",
                "long_context",
            )

    @property
    def max_tokens(self) -> int:
        """The longest text all of whose distances the model was trained on."""
        # The first token and the last, n - 1, are (n - 1) // G + w - w // G apart, which must be below `trained`.
        return (self.trained - self.window + self.window // self.group) * self.group

    def earlier(self, positions: Tensor) -> Tensor:
        """Of two tokens far apart, the position of the one that comes first."""
        return positions // self.group

    def later(self, positions: Tensor) -> Tensor:
        """Of two tokens far apart, the position of the one that comes last."""
        return positions // self.group + (self.window - self.window // self.group)


class ExtendedAttention:
    """`SelfExtend` by the angles of one type of a model's layers; queries and keys come to it unturned."""

    def __init__(self, extension: SelfExtend, rotary: Rotary, layer_type: str) -> None:
        self._extension = extension
        self._rotary = rotary
        self._layer_type = layer_type

    def extends(self, length: int) -> bool:
        """Whether texts of this length are read so; queries and keys of others come turned."""
        return length > self._extension.trained

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, scale: float, causal: bool, softcap: float | None = None
    ) -> Iterator[tuple[slice, Tensor]]:
        """Attention of one text (h, n, d), keys and values (g, n, d): rows of queries at a time, (h, rows, d)."""
        extension = self._extension
        heads, length, _width = q.shape
        k, v = (x.repeat_interleave(heads // len(k), 0) for x in (k, v))
        places = torch.arange(length, device=q.device)
        later, earlier = extension.later(places), extension.earlier(places)
        k_near, k_earlier = self._turn(k, places), self._turn(k, earlier)
        k_later = None if causal else self._turn(k, later)
        if extension.scales_queries:
            growth = (places + 1).float().log() / math.log(extension.trained)
            q = q * growth.clamp_min(1)[:, None].to(q.dtype)
        rows = max(1, _SCORES // (heads * length))
        for begin in range(0, length, rows):
            here = slice(begin, min(begin + rows, length))
            distance = places[here, None] - places
            scores = self._turn(q[:, here], places[here]) @ k_near.transpose(-1, -2)
            ahead = self._turn(q[:, here], later[here]) @ k_earlier.transpose(-1, -2)
            scores = torch.where(distance >= extension.window, ahead, scores)
            if k_later is not None:
                behind = self._turn(q[:, here], earlier[here]) @ k_later.transpose(-1, -2)
                scores = torch.where(distance <= -extension.window, behind, scores)
            scores = scores.float() * scale
            if softcap is not None:
                scores = torch.tanh(scores / softcap) * softcap
            if causal:
                scores = scores.masked_fill(distance < 0, -math.inf)
            yield here, scores.softmax(-1).to(v.dtype) @ v

    def _turn(self, x: Tensor, positions: Tensor) -> Tensor:
        """Queries or keys (h, n, d) turned to positions (n,); what a model does not turn of them stays."""
        frequencies, factor = self._rotary.frequencies(self._layer_type, self._extension.trained)
        cosines, sines = turn(positions[:, None].float() * frequencies, factor, x.dtype)  # (n, turned width)
        width = cosines.shape[-1]
        turned, rest = x[..., :width], x[..., width:]
        half = torch.cat([-turned[..., width // 2 :], turned[..., : width // 2]], dim=-1)
        return torch.cat([turned * cosines + half * sines, rest], dim=-1)
