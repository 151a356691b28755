"""Linear layers whose weights are laid out once for oneDNN, which multiplies float32 on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.activations import GELUActivation, SiLUActivation
from transformers.models.bert.modeling_bert import BertIntermediate

from lodex.embed.runtime.whole_vectors import WholeVectors

# oneDNN compiles and keeps a kernel for every number of rows it meets, about a megabyte for the layers of MiniLM. So
# numbers are rounded up to multiples of this: with batches of a thousand tokens there are some thirty.
_ROWS = 32
_SILU = (nn.SiLU, SiLUActivation)


class PackedLinear(nn.Module):
    """x W^T + b, with the exact GELU or SiLU ("swish") after it if asked for: (..., I) -> (..., O), float32, inference.

    Torch gives a plain `nn.Linear` to MKL. On a core of an AMD EPYC with AVX-512 that reached 70 to 90 GFLOP/s where
    oneDNN reached 140 to 210, and MiniLM as a whole ran 1.6 to 2 times faster. The operators are the ones that torch's
    own compiler puts in place of `nn.Linear` when it freezes a model for a CPU.
    """

    def __init__(self, linear: nn.Linear, activation: str = "none") -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self._bias = None if linear.bias is None else linear.bias.detach()
        self._activation = activation
        self._algorithm = "none" if activation == "gelu" else ""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        flat = x.flatten(0, -2)
        rows = len(flat)
        padded = _pad_rows(flat, -rows % _ROWS)
        y: Tensor = torch.ops.mkldnn._linear_pointwise(
            padded, self._weight, self._bias, self._activation, [], self._algorithm
        )
        return y[:rows].reshape(*x.shape[:-1], y.shape[-1])


def _pad_rows(x: Tensor, more: int) -> Tensor:
    """(R, I) -> (R + more, I), the further rows zero; x itself where there are none."""
    if not more:
        return x
    rows, width = x.shape
    padded = x.new_empty(rows + more, width)
    padded[:rows] = x
    padded[rows:] = 0
    return padded


def pack_linear_layers(model: nn.Module) -> None:
    """Replace every linear layer of a model on a CPU; where torch was built without oneDNN nothing is changed.

    The SiLU of a gated MLP is drawn into its layer; another activation there is made the same for every element.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for module in list(model.modules()):
        if isinstance(module, BertIntermediate) and isinstance(module.intermediate_act_fn, GELUActivation):
            module.register_module("dense", PackedLinear(module.dense, "gelu"))
            module.register_module("intermediate_act_fn", nn.Identity())
        gate = getattr(module, "gate_proj", None)
        if isinstance(gate, nn.Linear):
            is_silu = isinstance(module.act_fn, _SILU)
            module.register_module("gate_proj", PackedLinear(gate, "swish" if is_silu else "none"))
            module.register_module("act_fn", nn.Identity() if is_silu else WholeVectors(module.get_submodule("act_fn")))
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                module.register_module(name, PackedLinear(child))
