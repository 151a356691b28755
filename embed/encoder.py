"""A BERT encoder in torch: texts to normalised vectors, the same ones however the texts are batched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import normalize
from transformers import AutoConfig, BertModel

from lodex.embed.batching import batches_of_equal_length
from lodex.embed.bert_tokens import BertTokens
from lodex.embed.checkpoint import CONFIG, TOKENIZER, WEIGHTS, Checkpoint, read_checkpoint
from lodex.embed.packed_linear import pack_linear_layers
from lodex.embed.pooling import POOLINGS
from lodex.embed.workers import Workers
from lodex.errors import DataLossError, InvalidArgumentError
from lodex.types import Embeddings, EncoderInfo, TextKind

# Tokens in one forward: on a CPU core the activations of this many still fit its cache; a GPU wants more to do.
_CPU_BATCH_TOKENS = 1024
_ACCELERATOR_BATCH_TOKENS = 16_384


class TextEncoder:
    """Texts to vectors (n, d) float32 of length 1; the inner product of two is their cosine.

    On a CPU a text has one vector, bit for bit, whatever stands beside it and however many cores there are. That rests
    on three habits: the texts of a batch have one length, so that attention needs neither mask nor padding; a batch is
    computed by one thread; and oneDNN sums a row of a product in one order, whatever the number of rows.
    """

    def __init__(self, checkpoint: Checkpoint, model: nn.Module, name: str, device: torch.device) -> None:
        self.info = EncoderInfo(
            name=name,
            fingerprint=checkpoint.fingerprint,
            dimension=checkpoint.dimension,
            max_tokens=checkpoint.max_tokens,
            normalized=True,
        )
        self._tokens = BertTokens(checkpoint.path / TOKENIZER, checkpoint.max_tokens)
        self._prompts = checkpoint.prompts
        self._pool = POOLINGS[checkpoint.pooling]
        self._model = model
        self._device = device
        self._workers = Workers()

    @classmethod
    def open(cls, folder: Path, name: str, device: str = "cpu") -> TextEncoder:
        """Load a sentence-transformers folder of a BERT model in float32; see `read_checkpoint` for what it refuses."""
        checkpoint = read_checkpoint(folder)
        place = _open_device(device)
        model = _load_model(folder).to(place)
        if place.type == "cpu":
            pack_linear_layers(model)
        return cls(checkpoint, model, name, place)

    def embed(
        self, texts: Sequence[str], kind: TextKind, advance: Callable[[int], None] = lambda done: None
    ) -> Embeddings:
        """Embed each text, an empty one too; `advance` is told after each batch how many more are done, and may raise.

        Texts over `info.max_tokens` are cut and marked. `tokens` counts what the model read.
        """
        ids, truncated = self._tokens.encode([self._prompts[kind] + text for text in texts])
        lengths = [len(row) for row in ids]
        vectors = np.empty((len(ids), self.info.dimension), np.float32)
        batches = list(batches_of_equal_length(lengths, self._tokens_a_batch(sum(lengths))))
        with closing(self._workers.map(self._forward, ([ids[i] for i in batch] for batch in batches))) as results:
            for batch, result in zip(batches, results, strict=True):
                vectors[batch] = result
                advance(len(batch))
        return Embeddings(
            vectors=vectors,
            truncated=np.array(truncated, np.bool_),
            tokens=sum(lengths),
            fingerprint=self.info.fingerprint,
        )

    def embed_passages(self, texts: Sequence[str], advance: Callable[[int], None] = lambda done: None) -> Embeddings:
        """`embed` for passages: what `DenseBuilder` asks for."""
        return self.embed(texts, TextKind.PASSAGE, advance)

    def embed_queries(self, texts: Sequence[str]) -> Embeddings:
        """`embed` for queries."""
        return self.embed(texts, TextKind.QUERY)

    def _tokens_a_batch(self, tokens: int) -> int:
        if self._device.type != "cpu":
            return _ACCELERATOR_BATCH_TOKENS
        return max(_CPU_BATCH_TOKENS // 4, min(_CPU_BATCH_TOKENS, tokens // self._workers.size))

    @torch.inference_mode()
    def _forward(self, ids: list[list[int]]) -> npt.NDArray[np.float32]:
        batch = torch.tensor(ids, device=self._device)  # (B, T)
        hidden = self._model(input_ids=batch).last_hidden_state  # (B, T, H)
        vectors: npt.NDArray[np.float32] = normalize(self._pool(hidden), dim=1).cpu().numpy()
        return vectors  # (B, H)


def _open_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidArgumentError(f"no device {name!r} here: {error}", "device") from error
    return device


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
