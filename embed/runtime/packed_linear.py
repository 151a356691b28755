"""Linear layers whose weights are laid out once for oneDNN, which multiplies float32 and bfloat16 on a CPU."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from transformers.activations import GELUActivation, SiLUActivation
from transformers.models.bert.modeling_bert import BertIntermediate

from lodex.embed.runtime.whole_vectors import WholeVectors

# oneDNN compiles and keeps a kernel for every number of rows it meets, about a megabyte for the layers of MiniLM. So
# numbers are rounded up to multiples of this: with batches of a thousand tokens there are some thirty.
_ROWS = 32
# In bfloat16 it adds up a row in another order for some numbers of rows: for 64 to 256 of 1536 columns on a Xeon with
# AMX. There rows are multiplied so many at a time, of these numbers those that give the bits of 32.
_BLOCKS = (1024, 512, 256, 128, 64)
_SILU = (nn.SiLU, SiLUActivation)


class PackedLinear(nn.Module):
    """x W^T + b, with the exact GELU or SiLU ("swish") after it if asked for: (..., I) -> (..., O), inference.

    x is of the dtype of the weight, float32 or bfloat16; sums are float32 in either. A row of the result has the same
    bits whatever rows stand beside it. Torch gives a plain float32 `nn.Linear` to MKL. On a core of an AMD EPYC with
    AVX-512 that reached 70 to 90 GFLOP/s where oneDNN reached 140 to 210, and MiniLM as a whole ran 1.6 to 2 times
    faster. The operators are the ones that torch's own compiler puts in place of `nn.Linear` when it freezes a model.
    """

    def __init__(self, linear: nn.Linear, activation: str = "none") -> None:
        super().__init__()
        weight = linear.weight.detach()
        self._weight = _pack(weight)
        self._bias = None if linear.bias is None else linear.bias.detach()
        self._activation = activation
        self._blocks: tuple[int, ...] = ()
        if weight.dtype == torch.bfloat16:
            self._blocks = _equal_blocks(*weight.shape, linear.bias is not None, activation)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        flat = x.flatten(0, -2)
        rows = len(flat)
        y = self._multiply(_pad_rows(flat, -rows % _ROWS))
        return y[:rows].reshape(*x.shape[:-1], y.shape[-1])

    def _multiply(self, x: Tensor) -> Tensor:
        parts = x.split(_sizes(len(x), self._blocks)) if self._blocks and len(x) > _ROWS else (x,)
        products = [_multiply(part, self._weight, self._bias, self._activation) for part in parts]
        return products[0] if len(products) == 1 else torch.cat(products)


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    return packed


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    algorithm = "none" if activation == "gelu" else ""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], algorithm)
    return product


@cache
@torch.inference_mode()
def _equal_blocks(outputs: int, inputs: int, has_bias: bool, activation: str) -> tuple[int, ...]:
    """How many rows may be multiplied at once in bfloat16, the largest first, for the bits that 32 at a time have.

    Which they are depends on the machine and the shape alone, so it is tried once on random numbers.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(torch.bfloat16)

    weight, bias = _pack(draw(outputs, inputs)), draw(outputs) if has_bias else None
    x = draw(_BLOCKS[0], inputs)
    expected = torch.cat([_multiply(part, weight, bias, activation) for part in x.split(_ROWS)])
    blocks = [n for n in _BLOCKS if torch.equal(_multiply(x[:n], weight, bias, activation), expected[:n])]
    return (*blocks, _ROWS)


def _sizes(rows: int, blocks: tuple[int, ...]) -> list[int]:
    """A multiple of 32 as a sum of blocks, the largest first."""
    sizes = []
    for block in blocks:
        count, rows = divmod(rows, block)
        sizes += [block] * count
    return sizes


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
