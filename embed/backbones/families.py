"""The families of transformers that Lodex runs as embedders, and why the others are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lodex.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Family:
    """What tells one family's models from another's.

    `body` stands before the names of a backbone's tensors in the file of a model with a head; a backbone published
    alone has none. Names that begin with one of `heads` are such a head's, which a backbone leaves out. `attention` is
    the module of self-attention in each layer.
    """

    model_type: str
    kind: Literal["decoder", "encoder"]
    body: str = "model."
    heads: tuple[str, ...] = ("lm_head.weight",)
    attention: str = "self_attn"
    # RoBERTa numbers positions from padding_idx + 1, and its table is longer by that much.
    counts_from_padding: bool = False

    def first_position(self, config: Any) -> int:
        """The number of a text's first position."""
        return int(config.pad_token_id) + 1 if self.counts_from_padding else 0

    def max_tokens(self, config: Any) -> int:
        """How many positions a text may take, special tokens included."""
        return int(config.max_position_embeddings) - self.first_position(config)


FAMILIES: Mapping[str, Family] = {
    family.model_type: family
    for family in (
        *(
            Family(name, "decoder")
            for name in ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi3")
        ),
        Family("bert", "encoder", "bert.", ("pooler.", "cls."), "attention.self"),
        *(
            Family(name, "encoder", "roberta.", ("pooler.", "lm_head."), "attention.self", counts_from_padding=True)
            for name in ("roberta", "xlm-roberta")
        ),
    )
}
DECODERS = tuple(name for name, family in FAMILIES.items() if family.kind == "decoder")

# What a configuration says of layers that no flag makes bidirectional -> what they are.
_RECURRENT = {
    "ssm_cfg": "state-space layers",
    "state_size": "state-space layers",
    "mamba_d_state": "state-space layers",
    "mamba_num_heads": "state-space layers",
    "ssm_state_size": "state-space layers",
    "linear_num_key_heads": "linear-attention layers",
    "linear_conv_kernel_dim": "linear-attention layers",
    "lru_width": "recurrent layers",
    "rwkv_version": "recurrent layers",
    "conv_L_cache": "convolution layers",
}
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_KNOWN = {
    "mamba": "state-space layers",
    "mamba2": "state-space layers",
    "falcon_mamba": "state-space layers",
    "jamba": "state-space layers",
    "bamba": "state-space layers",
    "zamba": "state-space layers",
    "zamba2": "state-space layers",
    "nemotron_h": "state-space layers",
    "rwkv": "recurrent layers",
    "recurrent_gemma": "recurrent layers",
    "qwen3_next": "linear-attention layers",
    "minimax": "linear-attention layers",
    "lfm2": "convolution layers",
    "mixtral": "mixtures of experts",
    "qwen2_moe": "mixtures of experts",
    "qwen3_moe": "mixtures of experts",
    "deepseek_v2": "mixtures of experts",
    "deepseek_v3": "mixtures of experts",
    "gpt_oss": "mixtures of experts",
    "olmoe": "mixtures of experts",
    "phimoe": "mixtures of experts",
}


def find_family(stated: Mapping[str, Any], path: Path) -> Family:
    """The family of a model by the values of its config.json at `path`.

    InvalidArgumentError says of a model of experts or of recurrent layers that it is one: no setting makes those read
    a whole text at once. Of any other it names the families there are.
    """
    model_type = stated.get("model_type")
    reason = _refusal(stated)
    if reason is not None:
        raise InvalidArgumentError(
            f"{path}: {model_type} has {reason}; Lodex embeds with attention and dense layers alone", "model"
        )
    family = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        raise InvalidArgumentError(
            f"{path}: model_type is {model_type!r}, expected one of {', '.join(FAMILIES)}", "model"
        )
    return family


def _refusal(stated: Mapping[str, Any]) -> str | None:
    known = _KNOWN.get(str(stated.get("model_type")))
    if known is not None:
        return known
    if any(isinstance(experts := stated.get(key), int) and experts > 1 for key in _EXPERTS):
        return "mixtures of experts"
    return next((what for key, what in _RECURRENT.items() if stated.get(key) is not None), None)
