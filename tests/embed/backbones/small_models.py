"""Random models of every family, small enough to check each state by transformers' own formula."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel

from lodex.embed.backbones.families import FAMILIES
from lodex.embed.ragged import Ragged
from lodex.embed.tokens.framing import TokenRow

VOCABULARY = 61
# With a window of w tokens in some layers at least.
WINDOWS: dict[str, Any] = {
    "mistral": lambda w: {"sliding_window": w},
    "phi3": lambda w: {"sliding_window": w},
    "qwen2": lambda w: {"sliding_window": w, "use_sliding_window": True, "max_window_layers": 1},
    "qwen3": lambda w: {"sliding_window": w, "use_sliding_window": True, "max_window_layers": 0},
    "gemma2": lambda w: {"sliding_window": w},
    "gemma3_text": lambda w: {"sliding_window": w},
}


def small_config(model_type: str, **changes: Any) -> Any:
    """Three layers of width 32, 4 heads (over 2 for keys), 64 positions; Gemma 2 and 3 with layers of both sorts."""
    values: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
    }
    if FAMILIES[model_type].kind == "decoder":
        values |= {"num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": False}
    if model_type in ("gemma2", "gemma3_text"):
        values |= {"query_pre_attn_scalar": 16, "sliding_window": 1 << 20}
    if model_type == "gemma2":
        values |= {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}
    if model_type == "gemma3_text":
        values |= {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
    if model_type in ("mistral", "phi3"):
        values |= {"sliding_window": None}
    if FAMILIES[model_type].counts_from_padding:
        values |= {"max_position_embeddings": 67}
    return AutoConfig.for_model(model_type, **(values | changes))


def small_model(config: Any, implementation: str = "eager") -> Any:
    """The backbone of transformers with weights so large that every layer matters."""
    torch.manual_seed(3)
    options = {} if FAMILIES[config.model_type].kind == "decoder" else {"add_pooling_layer": False}
    model = AutoModel.from_config(config, dtype=torch.float32, attn_implementation=implementation, **options).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
            elif "norm" in name.lower():
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def save_small(model: Any, folder: Path) -> Path:
    """The folder with the model in it."""
    model.save_pretrained(folder)
    return folder


def random_rows(*lengths: int, seed: int = 5) -> list[list[int]]:
    """Token ids of texts of these lengths, none of them padding."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, VOCABULARY, (length,), generator=generator).tolist() for length in lengths]


def lay(rows: list[list[int]]) -> Ragged:
    """The rows as a batch."""
    return Ragged.of([TokenRow(row, 0, len(row)) for row in rows])


@torch.inference_mode()
def plain_states(model: Any, row: list[int]) -> list[Tensor]:
    """The states (n, H) of one text alone: embeddings, each layer, the last after the norm."""
    named = {"use_cache": False} if FAMILIES[model.config.model_type].kind == "decoder" else {}
    output = model(input_ids=torch.tensor([row]), output_hidden_states=True, **named)
    return [states[0] for states in output.hidden_states]


def relative_difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((a - b).abs().max() / b.abs().max())
