"""A decoder of the Llama family in torch: token ids to states, logits and the keys of kNN-LM."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache

from lodex.embed.backbones.config import read_decoder_config
from lodex.embed.backbones.families import FAMILIES
from lodex.embed.backbones.lm_head import load_lm_head
from lodex.embed.backbones.meta import build_empty
from lodex.embed.backbones.weights import CONFIG, TensorFiles, load_module, refuse_left_over, weight_files
from lodex.embed.runtime.device import open_device
from lodex.embed.runtime.packed_linear import pack_linear_layers
from lodex.errors import InvalidArgumentError

# Raise it where the same files come to mean other states.
_FINGERPRINT_VERSION = 1


@dataclass(frozen=True, slots=True)
class DecoderStates:
    """What a forward pass leaves: `hidden` (B, T, H) float32 after the last norm, which the LM head reads.

    `keys` (B, T, H) float32 are what enters the MLP of the last layer, None unless asked for (Khandelwal et al. 2020,
    Generalization through Memorization, section 2). `past` holds keys and values for the tokens to come, None unless
    asked for.
    """

    hidden: Tensor
    keys: Tensor | None = None
    past: DynamicCache | None = None


class Decoder:
    """A causal decoder with its LM head, in float32, for inference.

    `max_tokens` is the longest context; `start_id` the token before a text's first one (BOS, or EOS where the
    configuration names no BOS); `eos_ids` the tokens that end one. `forwards` counts the forward passes so far.
    Rows of a batch that are shorter may be padded on the right with anything: attention is causal.
    """

    def __init__(self, model: Any, name: str, fingerprint: str, device: torch.device) -> None:
        config: Any = model.config
        self.name = name
        self.fingerprint = fingerprint
        self.config = config
        self.hidden_size: int = config.hidden_size
        self.vocab_size: int = config.vocab_size
        self.max_tokens: int = config.max_position_embeddings
        eos = config.eos_token_id
        self.eos_ids: tuple[int, ...] = tuple(eos) if isinstance(eos, list) else () if eos is None else (eos,)
        start = config.bos_token_id if config.bos_token_id is not None else next(iter(self.eos_ids), None)
        if start is None:
            raise InvalidArgumentError(
                f"{name}: the configuration names neither bos_token_id nor eos_token_id", "model"
            )
        self.start_id: int = start
        self.device = device
        self.forwards = 0
        self._model: Any = model
        # One hook for good, which asks its own thread: hooks set and removed by one thread are met by the others.
        self._captured = threading.local()
        self._model.model.layers[-1].mlp.register_forward_pre_hook(self._capture)

    @classmethod
    def open(cls, folder: Path, name: str = "", device: str = "cpu") -> Decoder:
        """Load a transformers folder of safetensors.

        No code of the folder is run, every weight must be there and none may be left over. InvalidArgumentError for a
        model of another sort and for a device that is not there, DataLossError for a damaged file.
        """
        config = read_decoder_config(folder)
        if getattr(config, "is_causal", True) is False:
            raise InvalidArgumentError(
                f"{folder / CONFIG}: is_causal is false; a bidirectional model embeds texts, it predicts no tokens",
                "model",
            )
        place = open_device(device)
        files = TensorFiles(folder)
        model = build_empty(AutoModelForCausalLM, config)
        load_module(model.model, files, "model.", device=place)
        head = load_lm_head(config, FAMILIES[config.model_type], files, model.model.embed_tokens.weight)
        model.lm_head.weight = nn.Parameter(head.weight, requires_grad=False)
        refuse_left_over(files, ("model.", "lm_head.weight"))
        return cls(model.eval().to(place), name or folder.resolve().name, fingerprint_decoder(folder), place)

    def packed(self) -> Decoder:
        """The same decoder with the weights of its layers laid out for oneDNN; on an accelerator this one itself.

        A state then has the same bits whatever the number of rows in a batch, which keys that are compared with others
        need; but a forward of one token costs that of 32. This decoder, which others may be using, stays as it is.
        """
        if self.device.type != "cpu":
            return self
        model = build_empty(AutoModelForCausalLM, self.config)
        model.load_state_dict(self._model.state_dict(), assign=True)
        decoder = Decoder(model.eval(), self.name, self.fingerprint, self.device)
        pack_linear_layers(decoder._model.model)
        return decoder

    @torch.inference_mode()
    def forward(
        self, ids: Tensor, *, past: DynamicCache | None = None, keep_past: bool = False, with_keys: bool = False
    ) -> DecoderStates:
        """The states of ids (B, T) int64, which follow those of `past`."""
        self.forwards += 1
        cache = past if past is not None or not keep_past else DynamicCache(config=self.config)
        captured: list[Tensor] = []
        with self._capturing(captured if with_keys else None):
            output = self._model.model(
                input_ids=ids.to(self.device), past_key_values=cache, use_cache=cache is not None
            )
        return DecoderStates(output.last_hidden_state, captured[0] if with_keys else None, cache)

    @torch.inference_mode()
    def logits(self, hidden: Tensor) -> Tensor:
        """The logits of every token of the vocabulary: (..., H) -> (..., V)."""
        logits: Tensor = self._model.lm_head(hidden)
        return logits

    @torch.inference_mode()
    def logits_of(self, hidden: Tensor, token_ids: Tensor) -> Tensor:
        """The logits of some tokens (k,) alone, their rows gathered from the LM head: (..., H) -> (..., k) float64.

        So few rows cost nothing, and in float64 they are nearer to the exact products than those of the whole head.
        """
        head = self._model.lm_head
        bias = None if head.bias is None else head.bias[token_ids].double()
        return nn.functional.linear(hidden.double(), head.weight[token_ids].double(), bias)

    @contextmanager
    def _capturing(self, captured: list[Tensor] | None) -> Iterator[None]:
        if captured is None:
            yield
            return
        self._captured.into = captured
        try:
            yield
        finally:
            self._captured.into = None

    def _capture(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        into: list[Tensor] | None = getattr(self._captured, "into", None)
        if into is not None:
            into.append(inputs[0])


def fingerprint_decoder(folder: Path) -> str:
    """SHA-256 over weights and configuration: equal fingerprints give equal states."""
    digest = hashlib.sha256(f"lodex-decoder {_FINGERPRINT_VERSION}\n".encode())
    config = json.loads((folder / CONFIG).read_bytes())
    digest.update(json.dumps(config, sort_keys=True).encode())
    for path in weight_files(folder):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"
