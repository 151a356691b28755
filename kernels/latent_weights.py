"""The weights of a folded latent-attention head, as its kernels read them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from lodex.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class LatentWeights:
    """The head of NV-Embed with keys and values multiplied into the projections around them.

    H is the width of the states, R the number of latents, M that of the MLP. `norm_*` and `mlp_norm_*` (H,) are the
    affine LayerNorms before attention and before the MLP, both with `eps`; `scores` (heads * R, H) makes the logits of
    the latents, head after head, their scale included; `answers` (H, heads * R) turns shares of latents into what is
    added to a state. `gated` (2M, H) and `gated_bias` (2M,) are the first layer of the MLP, values before gates;
    `out` (H, M) and `out_bias` (H,) its second. InvalidArgumentError for shapes that disagree.

    Lee et al. 2024, NV-Embed (arXiv:2405.17428), section 3.2.
    """

    heads: int
    norm_weight: Tensor
    norm_bias: Tensor
    scores: Tensor
    answers: Tensor
    mlp_norm_weight: Tensor
    mlp_norm_bias: Tensor
    gated: Tensor
    gated_bias: Tensor
    out: Tensor
    out_bias: Tensor
    eps: float = 1e-5

    def __post_init__(self) -> None:
        H, M = self.hidden, self.out.shape[-1]
        inner = self.scores.shape[0]
        expected = {
            "norm_weight": (H,),
            "norm_bias": (H,),
            "scores": (inner, H),
            "answers": (H, inner),
            "mlp_norm_weight": (H,),
            "mlp_norm_bias": (H,),
            "gated": (2 * M, H),
            "gated_bias": (2 * M,),
            "out": (H, M),
            "out_bias": (H,),
        }
        for name, shape in expected.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise InvalidArgumentError(f"latent attention of width {H}: {name} is {found}, expected {shape}")
            if not getattr(self, name).is_contiguous():
                raise InvalidArgumentError(f"latent attention of width {H}: {name} {found} is not laid out row by row")
        if self.heads < 1 or inner % self.heads or not inner:
            raise InvalidArgumentError(f"{inner} logits of latents cannot be divided among {self.heads} heads")

    @property
    def hidden(self) -> int:
        """The width H of the states."""
        return self.norm_weight.shape[-1]

    @property
    def latents(self) -> int:
        """How many latents R each head reads."""
        return self.scores.shape[0] // self.heads

    def to(self, device: torch.device | str, dtype: torch.dtype) -> LatentWeights:
        """The same head elsewhere or in another precision; what is folded is folded in float32 before that."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("heads", "eps")}
        return replace(self, **{name: tensor.to(device, dtype).contiguous() for name, tensor in tensors.items()})
