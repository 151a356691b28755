"""Decoders of the Llama family as embedders, causal or bidirectional, in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel

from lodex.embed.backbones.attention_check import check_attention
from lodex.embed.backbones.config import read_config_json
from lodex.embed.backbones.weights import load_backbone_weights
from lodex.embed.encoder import TextEncoder
from lodex.embed.formats.decoder_checkpoint import DecoderCheckpoint, read_decoder_checkpoint
from lodex.embed.formats.nv_embed import MODEL_TYPE as NV_EMBED
from lodex.embed.formats.nv_embed import load_nv_embed_weights, read_nv_embed
from lodex.embed.formats.sentence_transformers import TOKENIZER
from lodex.embed.pooling.latent_attention import FoldedLatentAttention, LatentAttentionHead
from lodex.embed.pooling.pooling import POOLINGS
from lodex.embed.runtime.device import open_device
from lodex.embed.runtime.packed_linear import pack_linear_layers
from lodex.embed.tokens.decoder_tokens import DecoderTokens
from lodex.errors import InvalidArgumentError
from lodex.types import EncoderInfo, TextKind


class DecoderEncoder(TextEncoder):
    """A decoder whose states after the last norm are pooled: the mean, the last token, or by latent attention.

    It runs in float32, and its attention is checked when it is opened; see `check_attention`.
    """

    def __init__(
        self,
        checkpoint: DecoderCheckpoint,
        backbone: nn.Module,
        head: FoldedLatentAttention | None,
        name: str,
        device: torch.device,
    ) -> None:
        config: Any = checkpoint.config
        info = EncoderInfo(
            name=name,
            fingerprint=checkpoint.fingerprint,
            dimension=config.hidden_size,
            max_tokens=checkpoint.max_tokens,
            normalized=True,
        )
        end = _end_id(checkpoint) if checkpoint.appends_end else None
        tokens = DecoderTokens(
            checkpoint.path / TOKENIZER,
            checkpoint.max_tokens,
            config.vocab_size,
            _start_id(checkpoint),
            end,
            checkpoint.cuts_end,
        )
        super().__init__(info, tokens, checkpoint.prompts, device)
        self._backbone: Any = backbone
        self._head = head
        self._pooling = POOLINGS[checkpoint.pooling]
        self._skipped = {
            kind: tokens.count(prompt) if checkpoint.skips_prompt else 0 for kind, prompt in checkpoint.prompts.items()
        }
        if max(self._skipped.values()) >= checkpoint.max_tokens:
            raise InvalidArgumentError(f"{name}: a prompt fills the length of {checkpoint.max_tokens} tokens", "model")

    @classmethod
    def open(cls, folder: Path, name: str, device: str = "cpu") -> DecoderEncoder:
        """Load a decoder's folder, or one in the layout of NV-Embed; InvalidArgumentError for what cannot be run.

        Of a causal language model the LM head is left out. See `read_decoder_checkpoint` for the conventions.
        """
        is_nv_embed = read_config_json(folder).get("model_type") == NV_EMBED
        checkpoint = read_nv_embed(folder) if is_nv_embed else read_decoder_checkpoint(folder)
        place = open_device(device)
        backbone: nn.Module = AutoModel.from_config(  # type: ignore[no-untyped-call]
            checkpoint.config, dtype=torch.float32
        )
        head = None
        if checkpoint.latent is None:
            load_backbone_weights(backbone, folder)
        else:
            published = LatentAttentionHead(checkpoint.latent)
            load_nv_embed_weights(backbone, published, folder)
            head = published.folded()
        for module in filter(None, (backbone, head)):
            module.eval().requires_grad_(False).to(place)
            if place.type == "cpu":
                pack_linear_layers(module)
        check_attention(backbone, name)
        return cls(checkpoint, backbone, head, name, place)

    def _pool(self, batch: Tensor, kind: TextKind) -> Tensor:
        hidden = self._backbone(input_ids=batch, use_cache=False).last_hidden_state  # (B, T, H)
        if self._head is not None:
            hidden = self._head(hidden)
        skipped = min(self._skipped[kind], hidden.shape[1] - 1)
        return self._pooling(hidden[:, skipped:])


def _end_id(checkpoint: DecoderCheckpoint) -> int:
    eos = _first(checkpoint, "eos_token_id")
    if eos is None:
        raise InvalidArgumentError(f"{checkpoint.path}: pooling wants an end, config.json has no eos_token_id", "model")
    return eos


def _start_id(checkpoint: DecoderCheckpoint) -> int:
    """BOS, else EOS, else token 0: what a text without tokens is read as."""
    start = _first(checkpoint, "bos_token_id")
    return next((value for value in (start, _first(checkpoint, "eos_token_id")) if value is not None), 0)


def _first(checkpoint: DecoderCheckpoint, name: str) -> int | None:
    value = getattr(checkpoint.config, name, None)
    first: int | None = value[0] if isinstance(value, list) else value
    return first
