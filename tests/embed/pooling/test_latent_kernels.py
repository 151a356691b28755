"""The head's weights as kernels read them: what runs on a GPU is what runs on a CPU."""

import torch

from lodex.embed.pooling.latent_attention import LatentAttentionHead, LatentAttentionSizes
from lodex.embed.pooling.latent_pooling import LatentPooling, kernel_weights
from lodex.embed.ragged import Ragged
from lodex.embed.tokens.framing import TokenRow
from lodex.kernels.latent_attention import latent_attention_pool

SIZES = LatentAttentionSizes(hidden=12, latents=7, latent_width=10, heads=3, head_width=5)


@torch.inference_mode()
def test_kernels_read_the_head_as_it_is() -> None:
    """The twin of the kernels with these weights pools like the head itself, an instruction left out."""
    torch.manual_seed(0)
    head = LatentAttentionHead(SIZES)
    for parameter in head.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.7)
    folded = head.folded()
    batch = Ragged.of([TokenRow([0] * n, skipped, n) for n, skipped in ((5, 2), (1, 0), (30, 4))])
    states = torch.randn(36, 12) * 2
    weights = kernel_weights(folded)
    found = latent_attention_pool(states, batch.pooled, batch.offsets, weights)
    torch.testing.assert_close(found, LatentPooling(folded)(states, batch), rtol=1e-5, atol=1e-4)
    assert weights.gated.data_ptr() == folded.mlp.fn["net"][0].weight.data_ptr()
