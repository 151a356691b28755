"""The Dense layers that sentence-transformers puts behind a pooling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from lodex.embed.pooling.pooling import Pooling
from lodex.embed.ragged import Ragged
from lodex.errors import InvalidArgumentError

# By the names that a Dense module's config.json has them under.
ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "torch.nn.modules.linear.Identity": nn.Identity,
    "torch.nn.modules.activation.Tanh": nn.Tanh,
    "torch.nn.modules.activation.ReLU": nn.ReLU,
    "torch.nn.modules.activation.GELU": nn.GELU,
    "torch.nn.modules.activation.SiLU": nn.SiLU,
    "torch.nn.modules.activation.Sigmoid": nn.Sigmoid,
}


class DenseLayer(nn.Module):
    """activation(x W^T + b): (B, I) -> (B, O). The tensors are `linear.weight` and `linear.bias`."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool, activation: str) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise InvalidArgumentError(f"activation {activation!r} is not one of {', '.join(ACTIVATIONS)}", "model")
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Project."""
        projected: Tensor = self.activation(self.linear(x))
        return projected


class DensePooling(nn.Module):
    """A pooling, and layers that read its vectors one after another, in float32."""

    def __init__(self, pooling: Pooling, layers: Sequence[DenseLayer]) -> None:
        super().__init__()
        widths = [pooling.dimension, *(layer.linear.out_features for layer in layers)]
        for i, (layer, width) in enumerate(zip(layers, widths, strict=False)):
            if layer.linear.in_features != width:
                raise InvalidArgumentError(
                    f"Dense layer {i} reads vectors of {layer.linear.in_features}, and gets such of {width}", "model"
                )
        self.dimension = widths[-1]
        self.reads_layers = pooling.reads_layers
        self.pooling = pooling
        self.layers = nn.Sequential(*layers)

    def forward(self, hidden: Tensor | Iterator[Tensor], batch: Ragged) -> Tensor:
        """States to (B, d) float32."""
        vectors: Tensor = self.layers(self.pooling(hidden, batch))
        return vectors
