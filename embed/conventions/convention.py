"""What decides how a text becomes a vector, beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Attention = Literal["causal", "bidirectional", "native"]
PoolingName = Literal["mean", "weighted_mean", "last", "cls", "latent", "multi_layer", "splade"]
InstructionMask = Literal["none", "exact", "nvembed", "sentence-transformers"]


@dataclass(frozen=True, slots=True)
class Convention:
    """How a model wants its texts.

    `attention` "native" is what the configuration says. `query_prompt` and `passage_prompt` stand before a text, or
    around it where they have "{text}"; "{task}" in one is where an instruction goes, `default_task` unless the caller
    gives another. `prompts` are others that the model was trained with, by name. `instruction_mask` says which tokens
    of the prompt are left out of the pool: none; exactly those of the prompt, and what stands before it; by NV-Embed's
    rule as many from the very first token as the prompt has without special tokens; or as sentence-transformers does
    where `include_prompt` is false. `adds_end` puts the EOS behind a text where the tokenizer does not, and `keeps_end`
    keeps what stands there on a text that is cut. `matryoshka` are the sizes vectors may be cut to, largest first.
    `echo`: the text is read twice, and its second copy is pooled. `licence` is the weights'; `source` says where the
    facts are from.
    """

    pooling: PoolingName
    max_tokens: int
    attention: Attention = "native"
    query_prompt: str = ""
    passage_prompt: str = ""
    default_task: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)
    instruction_mask: InstructionMask = "none"
    adds_end: bool = False
    keeps_end: bool = True
    normalize: bool = True
    matryoshka: tuple[int, ...] = ()
    echo: bool = False
    licence: str = ""
    source: str = ""
