"""The mean over a text's tokens of what the folded latent-attention head makes of their states."""

from __future__ import annotations

from torch import Tensor, nn

from lodex.embed.pooling.latent_attention import FoldedLatentAttention
from lodex.embed.pooling.token_pooling import mean_pool
from lodex.embed.ragged import Ragged
from lodex.errors import DimensionMismatchError


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
        return mean_pool(self.head(hidden).float(), batch)
