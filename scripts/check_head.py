"""NV-Embed at its published shapes, with random weights: is it the same function, and what does its head cost?

    OMP_NUM_THREADS=1 scripts/check_head.py [--tokens 20] [--repeats 7] [--json FILE]

The head has 740 M parameters: 512 latents, 8 heads of 4096, 4096 wide, an MLP of 16384. Its folded form, the plain form
of the published code and the same in float64 must agree. One layer of Mistral-7B (4096 wide, 32 heads over 8, 14336
inner) is loaded as a backbone and compared with Mistral written out in plain torch. Costs are CPU seconds of one thread
for one text, the median of the repeats, with 32 times one layer for the backbone. Takes about 5 GB of memory, 1 GB of
disk for a while, and a minute. Exits with 1 where something disagrees.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor
from transformers import MistralConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lodex.embed.backbones.backbone import Backbone, BackboneSource
from lodex.embed.pooling.latent_attention import LatentAttentionHead, LatentAttentionSizes
from lodex.embed.ragged import Ragged
from lodex.embed.runtime.packed_linear import pack_linear_layers
from lodex.embed.tokens.framing import TokenRow
from tests.embed.formats import plain_nv_embed

SIZES = LatentAttentionSizes(hidden=4096, latents=512, latent_width=4096, heads=8, head_width=4096)
LAYERS = 32
MISTRAL: dict[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "num_hidden_layers": 1,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-5,
    "vocab_size": 64,
}
# Float32 rounds a sum of 4096 products by some 4e-6 of its size, and the longest chain here has four of them.
TOLERANCE = 1e-4
console = Console()


@torch.inference_mode()
def main() -> None:
    """Compare, measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {
        "cpu": _cpu(),
        "torch": torch.__version__,
        "tokens": arguments.tokens,
        "repeats": arguments.repeats,
    }
    result |= check_layer(arguments.tokens, arguments.repeats)
    result |= check_head(arguments.tokens, arguments.repeats)
    backbone = LAYERS * result["layer_s"]
    for form in ("plain", "folded", "packed"):
        head = result[f"head_{form}_s"]
        result[f"head_{form}_share"] = head / (head + backbone)
    result["saved_share"] = 1 - (result["head_packed_s"] + backbone) / (result["head_plain_s"] + backbone)
    for name, value in result.items():
        console.print(f"{name:32} {value:.3g}" if isinstance(value, float) else f"{name:32} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    differences = {name: value for name, value in result.items() if name.endswith("difference")}
    sys.exit(any(value > TOLERANCE for value in differences.values()))


def check_layer(tokens: int, repeats: int) -> dict[str, Any]:
    """One layer of Mistral-7B from a file, against the plain one, and its cost."""
    random = torch.Generator().manual_seed(1)
    shapes = {
        "embed_tokens.weight": (64, 4096),
        "norm.weight": (4096,),
        "layers.0.self_attn.q_proj.weight": (4096, 4096),
        "layers.0.self_attn.k_proj.weight": (1024, 4096),
        "layers.0.self_attn.v_proj.weight": (1024, 4096),
        "layers.0.self_attn.o_proj.weight": (4096, 4096),
        "layers.0.mlp.gate_proj.weight": (14336, 4096),
        "layers.0.mlp.up_proj.weight": (14336, 4096),
        "layers.0.mlp.down_proj.weight": (4096, 14336),
        "layers.0.input_layernorm.weight": (4096,),
        "layers.0.post_attention_layernorm.weight": (4096,),
    }
    weights = {name: draw(shape, random) for name, shape in shapes.items()}
    config = MistralConfig(**MISTRAL, sliding_window=None)
    with tempfile.TemporaryDirectory() as folder:
        save_file(weights, Path(folder) / "model.safetensors")
        backbone = Backbone.open(BackboneSource(config, Path(folder), prefix=""), attention="bidirectional")
    row = [i % 64 for i in range(tokens)]
    batch = Ragged.of([TokenRow(row, 0, tokens)])
    text = MISTRAL | {"rope_theta": 10000.0}
    plain = plain_nv_embed.states(
        {f"embedding_model.{name}": weight for name, weight in weights.items()}, {"text_config": text}, row
    )
    parameters = sum(weights[name].numel() for name in weights if name.startswith("layers."))
    return {
        "layer_parameters": parameters,
        "layer_difference": difference(backbone.states(batch), plain),
        "layer_s": cost(lambda: backbone.states(batch), repeats),
    }


def check_head(tokens: int, repeats: int) -> dict[str, Any]:
    """The published head: plain, folded and in float64, and the cost of each form."""
    random = torch.Generator().manual_seed(2)
    with torch.device("meta"):
        head = LatentAttentionHead(SIZES)
    weights = {name: draw(tuple(weight.shape), random) for name, weight in head.state_dict().items()}
    head.load_state_dict(weights, assign=True)
    hidden = draw((tokens, SIZES.hidden), random) * SIZES.hidden**0.5  # as large as states after a norm
    begin = time.process_time()
    folded = head.folded()
    fold_s = time.process_time() - begin
    exact = in_float64(weights, hidden[:2])
    plain, product = head(hidden), folded(hidden)
    result = {
        "head_parameters": sum(weight.numel() for weight in weights.values()),
        "fold_s": fold_s,
        "head_folded_difference": difference(product, plain),
        "head_folded_float64_difference": difference(product[:2].double(), exact),
        "head_plain_float64_difference": difference(plain[:2].double(), exact),
        "head_attention_share_of_state": float(
            (head.cross_attend_blocks[0](hidden, head.latents)).norm() / hidden.norm()
        ),
        "head_plain_s": cost(lambda: head(hidden), max(1, repeats // 2)),
        "head_folded_s": cost(lambda: folded(hidden), repeats),
    }
    pack_linear_layers(folded)
    result["head_packed_difference"] = difference(folded(hidden), plain)
    result["head_packed_s"] = cost(lambda: folded(hidden), repeats)
    return result


def in_float64(weights: dict[str, Tensor], hidden: Tensor) -> Tensor:
    """The head as `plain_nv_embed` writes it, a head of the attention at a time so that it fits into memory."""
    w = {name: value.double() for name, value in weights.items() if value.numel() < 10_000_000}
    x = hidden.double()
    query = plain_nv_embed.layer_norm(x, w, "cross_attend_blocks.0.norm")
    latents = plain_nv_embed.layer_norm(w["latents"], w, "cross_attend_blocks.0.norm_context")
    to_q, to_kv, to_out = (weights[f"cross_attend_blocks.0.fn.{name}.weight"] for name in ("to_q", "to_kv", "to_out"))
    inner, answer = len(to_q), torch.zeros_like(x)
    for h in range(SIZES.heads):
        own = slice(h * SIZES.head_width, (h + 1) * SIZES.head_width)
        key, value = (latents @ part[own].double().T for part in (to_kv[:inner], to_kv[inner:]))
        shares = (query @ to_q[own].double().T @ key.T / SIZES.head_width**0.5).softmax(-1)
        answer += shares @ value @ to_out[:, own].double().T
    x = x + answer
    net = "cross_attend_blocks.1.fn.net"
    normed = plain_nv_embed.layer_norm(x, w, "cross_attend_blocks.1.norm")
    parts = [normed @ part.double().T for part in weights[f"{net}.0.weight"].split(4096)]
    first, gate = (torch.cat(parts, 1) + w[f"{net}.0.bias"]).chunk(2, 1)
    gelu = gate * 0.5 * (1 + torch.erf(gate / 2**0.5))
    columns = weights[f"{net}.2.weight"].split(4096, dim=1)
    products = [part @ column.double().T for part, column in zip((first * gelu).split(4096, 1), columns, strict=True)]
    return x + torch.stack(products).sum(0) + w[f"{net}.2.bias"]


def draw(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Uniform of variance 1 / inputs; about 1 for the weights of norms, which have one dimension, biases too."""
    if len(shape) == 1:
        return 1 + torch.empty(shape).uniform_(-0.1, 0.1, generator=random)
    bound = (3 / shape[-1]) ** 0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=random)


def difference(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return float((one - other).abs().max() / other.abs().max())


def cost(function: Callable[[], object], repeats: int) -> float:
    """CPU seconds of a call, the median; the first one, which warms caches, is not counted."""
    function()
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return statistics.median(times)


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
