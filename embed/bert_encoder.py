"""BERT encoders, as sentence-transformers publishes them, in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, BertModel

from lodex.embed.encoder import TextEncoder
from lodex.embed.formats.sentence_transformers import CONFIG, TOKENIZER, WEIGHTS, Checkpoint, read_checkpoint
from lodex.embed.pooling.pooling import POOLINGS
from lodex.embed.runtime.device import open_device
from lodex.embed.runtime.packed_linear import pack_linear_layers
from lodex.embed.tokens.bert_tokens import BertTokens
from lodex.errors import DataLossError, InvalidArgumentError
from lodex.types import EncoderInfo, TextKind


class BertEncoder(TextEncoder):
    """A BERT with mean or first-token pooling, in float32."""

    def __init__(self, checkpoint: Checkpoint, model: nn.Module, name: str, device: torch.device) -> None:
        info = EncoderInfo(
            name=name,
            fingerprint=checkpoint.fingerprint,
            dimension=checkpoint.dimension,
            max_tokens=checkpoint.max_tokens,
            normalized=True,
        )
        tokens = BertTokens(checkpoint.path / TOKENIZER, checkpoint.max_tokens)
        super().__init__(info, tokens, checkpoint.prompts, device)
        self._pooling = POOLINGS[checkpoint.pooling]
        self._model: Any = model

    @classmethod
    def open(cls, folder: Path, name: str, device: str = "cpu") -> BertEncoder:
        """Load a sentence-transformers folder of a BERT model in float32; see `read_checkpoint` for what it refuses."""
        checkpoint = read_checkpoint(folder)
        place = open_device(device)
        model = _load_model(folder).to(place)
        if place.type == "cpu":
            pack_linear_layers(model)
        return cls(checkpoint, model, name, place)

    def _pool(self, batch: Tensor, kind: TextKind) -> Tensor:
        return self._pooling(self._model(input_ids=batch).last_hidden_state)


def _load_model(folder: Path) -> nn.Module:
    """The model with every weight of the file in it; one that is missing, left over or misshapen is refused by name."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model: nn.Module = BertModel(config, add_pooling_layer=False)
    try:
        weights = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise DataLossError(f"{folder / WEIGHTS} cannot be read: {error}") from error
    # The pooler belongs to next-sentence prediction; old files keep the position numbers as if they were a weight.
    wanted = {
        key: weight.float()
        for key, weight in weights.items()
        if not key.startswith("pooler.") and key != "embeddings.position_ids"
    }
    try:
        model.load_state_dict(wanted, strict=True)
    except RuntimeError as error:
        raise InvalidArgumentError(f"{folder / WEIGHTS} is not the model of {folder / CONFIG}: {error}") from error
    return model.eval()
