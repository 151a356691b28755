"""The mean over a text's tokens of what the folded latent-attention head makes of their states."""

from __future__ import annotations

from torch import Tensor, nn

from lodex.embed.pooling.latent_attention import FoldedLatentAttention
from lodex.embed.pooling.token_pooling import mean_pool
from lodex.embed.ragged import Ragged
from lodex.errors import DimensionMismatchError
from lodex.kernels.latent_attention import latent_attention_pool
from lodex.kernels.latent_weights import LatentWeights


class LatentPooling(nn.Module):
    """Latent attention and the mean, as NV-Embed pools; see `FoldedLatentAttention`."""

    reads_layers = False

    def __init__(self, head: FoldedLatentAttention) -> None:
        super().__init__()
        self.dimension = head.sizes.hidden
        self.head = head

    def forward(self, hidden: Tensor, batch: Ragged) -> Tensor:
        """(N, H) in the dtype of the head to (B, H) float32. DimensionMismatchError for states of another size."""
        if hidden.shape != (len(batch.ids), self.dimension):
            raise DimensionMismatchError(
                f"expected states ({len(batch.ids)}, {self.dimension}), got {tuple(hidden.shape)}"
            )
        if hidden.is_cuda:
            return latent_attention_pool(hidden, batch.pooled, batch.offsets, kernel_weights(self.head))
        return mean_pool(self.head(hidden).float(), batch)


def kernel_weights(head: FoldedLatentAttention) -> LatentWeights:
    """The weights of a head as kernels read them, none copied; its layers must not be laid out for a CPU."""
    first, _gate, last = head.mlp.fn["net"]  # type: ignore[misc]
    layers = (head.scores, head.answers, first, last)
    scores, answers, gated, out = (_weight(layer) for layer in layers)
    return LatentWeights(
        heads=head.sizes.heads,
        norm_weight=head.norm.weight,
        norm_bias=head.norm.bias,
        scores=scores,
        answers=answers,
        mlp_norm_weight=head.mlp.norm.weight,
        mlp_norm_bias=head.mlp.norm.bias,
        gated=gated,
        gated_bias=first.bias,
        out=out,
        out_bias=last.bias,
        eps=head.norm.eps,
    )


def _weight(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Linear), "a layer of the head was replaced; this is a bug"
    return layer.weight
