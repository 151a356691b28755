"""Linear layers whose weights are laid out once for oneDNN, which multiplies float32 and bfloat16 on a CPU."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from transformers.activations import GELUActivation, SiLUActivation
from transformers.models.bert.modeling_bert import BertIntermediate, BertOutput, BertSelfOutput

from lodex.embed.runtime.whole_vectors import WholeVectors

# oneDNN compiles and keeps a kernel for every number of rows it meets, about a megabyte for the layers of MiniLM. So
# numbers are rounded up to multiples of this: with batches of a thousand tokens there are some thirty.
_ROWS = 32
# In bfloat16 it adds up a row in another order for some numbers of rows: for 64 to 352 rows of 1536 columns on a Xeon
# with AMX. These numbers are tried, and no more rows are multiplied at once than the last.
_TRIED = (*range(64, 513, 32), 640, 768, 1024, 1536, 2048)
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
        self._fewest = _ROWS
        if weight.dtype == torch.bfloat16:
            self._fewest = _fewest_rows(*weight.shape, linear.bias is not None, activation)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        flat = x.flatten(0, -2)
        rows = len(flat)
        y = self._multiply(_pad_rows(flat, -rows % _ROWS))
        return y[:rows].reshape(*x.shape[:-1], y.shape[-1])

    def _multiply(self, x: Tensor) -> Tensor:
        if self._fewest <= len(x) <= _TRIED[-1] or x.dtype == torch.float32:
            return _multiply(x, self._weight, self._bias, self._activation)
        parts = torch.split(x, _parts(len(x), self._fewest))
        return torch.cat([_multiply(part, self._weight, self._bias, self._activation) for part in parts])

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """The product plus what is already there, rounded once: (..., I) and (..., O) -> (..., O); no activation."""
        flat, other = x.flatten(0, -2), residual.flatten(0, -2)
        rows = len(flat)
        flat, other = (_pad_rows(part, -rows % _ROWS) for part in (flat, other))
        sizes = [len(flat)] if x.dtype == torch.float32 else _parts(len(flat), self._fewest)
        sums = [
            torch.ops.mkldnn._linear_pointwise.binary(part, more, self._weight, self._bias, "add")
            for part, more in zip(torch.split(flat, sizes), torch.split(other, sizes), strict=True)
        ]
        y = sums[0] if len(sums) == 1 else torch.cat(sums)
        return y[:rows].reshape(residual.shape)


class PackedResidual(nn.Module):
    """What a `BertSelfOutput` or `BertOutput` computes, the residual added where the product is written."""

    def __init__(self, output: BertSelfOutput | BertOutput) -> None:
        super().__init__()
        self.dense = PackedLinear(output.dense)
        self.LayerNorm = output.LayerNorm

    def forward(self, hidden_states: Tensor, input_tensor: Tensor) -> Tensor:
        """Norm of product and residual; called as the layer that it stands for."""
        normed: Tensor = self.LayerNorm(self.dense.added(hidden_states, input_tensor))
        return normed


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    return packed


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    algorithm = "none" if activation == "gelu" else ""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], algorithm)
    return product


@cache
@torch.inference_mode()
def _fewest_rows(outputs: int, inputs: int, has_bias: bool, activation: str) -> int:
    """From how many rows on, in bfloat16, any number of them has the bits that 32 at a time have.

    That depends on the machine and the shape alone, so it is tried once on random numbers.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(torch.bfloat16)

    weight, bias = _pack(draw(outputs, inputs)), draw(outputs) if has_bias else None
    x = draw(_TRIED[-1], inputs)
    expected = torch.cat([_multiply(part, weight, bias, activation) for part in torch.split(x, _ROWS)])
    other = [n for n in _TRIED if not torch.equal(_multiply(x[:n], weight, bias, activation), expected[:n])]
    return other[-1] + 1 if other else _ROWS


def _parts(rows: int, fewest: int) -> list[int]:
    """A multiple of 32 as a sum of numbers that all give the same bits."""
    most = _TRIED[-1]
    whole, rest = divmod(rows, most) if fewest <= most else (0, rows)
    return [most] * whole + ([rest] if rest >= fewest else [_ROWS] * (rest // _ROWS))


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
        for name, child in module.named_children():
            if isinstance(child, BertSelfOutput | BertOutput):
                module.register_module(name, PackedResidual(child))
        gate = getattr(module, "gate_proj", None)
        if isinstance(gate, nn.Linear):
            is_silu = isinstance(module.act_fn, _SILU)
            module.register_module("gate_proj", PackedLinear(gate, "swish" if is_silu else "none"))
            module.register_module("act_fn", nn.Identity() if is_silu else WholeVectors(module.get_submodule("act_fn")))
        if isinstance(module, BertSelfOutput | BertOutput):
            continue  # replaced above
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                module.register_module(name, PackedLinear(child))
