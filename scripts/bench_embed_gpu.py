"""Embedding with a 7B-shape model on a GPU: tokens per second beside a plain Hugging Face loop, and of the peak.

    scripts/bench_embed_gpu.py [--layers 32] [--texts 2048] [--budget 16384] [--repeats 3] [--seed 1] [--json FILE]

The model has the shape of Mistral-7B and random weights in bfloat16, bidirectional, with mean pooling; texts are random
tokens, 5 to 256 of them. The plain loop pads batches of 32 texts, in the order they come and sorted by length, and
calls the model of transformers with SDPA; Lodex lays texts end to end. Only tokens of texts are counted. Vectors are
compared by their cosine. Then the kernels alone, at published sizes: the latent head (4096 wide, 8 heads of 512
latents) and SPLADE's pooling (32,000 terms), Triton beside plain torch.

The peak is what this GPU reaches in bfloat16 for a product of 8192 x 8192 matrices. A rate is that of the fastest
repeat after one that is not measured. Needs a GPU of 20 GB or more; without one it says so and exits with 2.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import cosine_similarity
from transformers import AutoModel, MistralConfig

from lodex.embed.backbones.backbone import Backbone
from lodex.embed.backbones.bidirectional import see_all
from lodex.embed.backbones.families import FAMILIES
from lodex.embed.backbones.ragged_attention import IMPLEMENTATION
from lodex.embed.pooling.token_pooling import mean_pool
from lodex.embed.ragged import Ragged
from lodex.embed.runtime.batching import plan_batches
from lodex.embed.tokens.framing import TokenRow
from lodex.kernels.latent_attention import latent_attention_pool
from lodex.kernels.latent_attention_reference import latent_attention_pool_reference
from lodex.kernels.latent_weights import LatentWeights
from lodex.kernels.splade_pool import splade_pool
from lodex.kernels.splade_pool_reference import splade_pool_reference

SHORTEST, LONGEST = 5, 256
PLAIN_BATCH = 32
COSINE = 0.999
console = Console()
Row = dict[str, Any]
Texts = list[list[int]]


def main() -> None:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--texts", type=int, default=2048)
    parser.add_argument("--budget", type=int, default=16_384, help="tokens of a ragged batch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.stderr.write("bench_embed_gpu needs a GPU that torch can use; there is none here. Nothing was measured.\n")
        raise SystemExit(2)
    device = torch.device("cuda")
    peak = peak_flops(device)
    config = MistralConfig(num_hidden_layers=arguments.layers, sliding_window=None)
    texts = random_texts(arguments.texts, config.vocab_size, arguments.seed)
    rows = compare_loops(config, texts, arguments.budget, arguments.repeats, device, peak)
    rows += compare_kernels(4096, 512, 32_000, texts[:256], arguments.repeats, device, peak)
    show(rows, peak)
    if arguments.json:
        versions = {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda}
        machine = {"gpu": torch.cuda.get_device_name(), "peak_bf16_tflops": peak / 1e12}
        report = {"machine": machine, "versions": versions, "seed": arguments.seed, "rows": rows}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    if any(row.get("cosine_min", 1) < COSINE for row in rows):
        raise SystemExit(1)


def random_texts(count: int, vocab_size: int, seed: int) -> Texts:
    """Token ids, all lengths from the shortest to the longest equally often."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(SHORTEST, LONGEST + 1, (count,), generator=random).tolist()
    return [torch.randint(3, vocab_size, (length,), generator=random).tolist() for length in lengths]


def seconds_of(run: Callable[[], object], repeats: int, device: torch.device) -> float:
    """The shortest of the repeats, after one that compiles and warms up."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times[1:])


def peak_flops(device: torch.device, size: int = 8192) -> float:
    """Operations a second in bfloat16 of a large product, as this device reaches them."""
    left, right = torch.randn(2, size, size, device=device, dtype=torch.bfloat16)
    return 2 * size**3 / seconds_of(lambda: left @ right, 20, device)


# ------------------------------------------------------------------------------------------ whole models


@torch.inference_mode()
def compare_loops(config: Any, texts: Texts, budget: int, repeats: int, device: torch.device, peak: float) -> list[Row]:
    """The plain loop, unsorted and sorted, and ragged batches of one and the same model."""
    see_all(config)
    with device:
        model: Any = AutoModel.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa").eval()
    tokens = sum(map(len, texts))
    by_length = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    found: dict[str, Tensor] = {}

    def plain(order: list[int]) -> Tensor:
        vectors = torch.empty(len(texts), config.hidden_size, device=device)
        for first in range(0, len(order), PLAIN_BATCH):
            batch = order[first : first + PLAIN_BATCH]
            vectors[batch] = padded_means(model, [texts[i] for i in batch], device)
        return vectors

    def ragged() -> Tensor:
        vectors = torch.empty(len(texts), config.hidden_size, device=device)
        for places in plan_batches([len(text) for text in texts], budget):
            batch = Ragged.of([TokenRow(texts[i], 0, len(texts[i])) for i in places], device)
            vectors[places] = mean_pool(backbone.states(batch).float(), batch)
        return vectors

    def measure(name: str, run: Callable[[], Tensor]) -> Row:
        taken = seconds_of(lambda: found.update({name: run()}), repeats, device)
        share = operations(config, texts) / taken / peak
        return {"name": name, "tokens_per_s": tokens / taken, "texts_per_s": len(texts) / taken, "of_peak": share}

    rows = [
        measure(f"transformers, batches of {PLAIN_BATCH}", lambda: plain(list(range(len(texts))))),
        measure(f"transformers, sorted batches of {PLAIN_BATCH}", lambda: plain(by_length)),
    ]
    model.set_attn_implementation(IMPLEMENTATION)
    backbone = Backbone(model, FAMILIES[config.model_type])
    rows.append(measure(f"lodex, {budget} tokens end to end", ragged))
    expected, *others = found.values()
    for row, vectors in zip(rows[1:], others, strict=True):
        row["cosine_min"] = float(cosine_similarity(vectors, expected, dim=1).min())
    return rows


def padded_means(model: Any, texts: Texts, device: torch.device) -> Tensor:
    """Mean pooling of a padded batch, as most programs do it: (B, H) float32."""
    lengths = torch.tensor([len(text) for text in texts])
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(text) for text in texts], batch_first=True).to(device)
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).to(device)
    states = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state.float()
    return (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


def operations(config: Any, texts: Texts) -> float:
    """Multiplications and additions that the texts need, without padding: the linear layers and attention."""
    width = config.num_attention_heads * config.head_dim
    groups = config.num_key_value_heads * config.head_dim
    linear = config.hidden_size * (2 * width + 2 * groups + 3 * config.intermediate_size)
    attention = sum(2 * len(text) ** 2 * width for text in texts)
    return 2.0 * config.num_hidden_layers * (linear * sum(map(len, texts)) + attention)


# ------------------------------------------------------------------------------------------ kernels


@torch.inference_mode()
def compare_kernels(H: int, R: int, V: int, texts: Texts, repeats: int, device: torch.device, peak: float) -> list[Row]:
    """Triton and plain torch over the same states, in bfloat16: the latent head with 8 heads, and SPLADE's pooling."""
    torch.manual_seed(1)
    lengths = [len(text) for text in texts]
    offsets = torch.tensor([0, *lengths]).cumsum(0).to(device, torch.int32)
    n, M, inner = sum(lengths), 4 * H, 8 * R

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, device=device, dtype=torch.bfloat16) * shape[-1] ** -0.5

    states, pooled = torch.randn(n, H, device=device, dtype=torch.bfloat16), torch.ones(n, device=device).bool()
    head = LatentWeights(
        heads=8, norm_weight=1 + draw(H), norm_bias=draw(H), scores=draw(inner, H), answers=draw(H, inner),
        mlp_norm_weight=1 + draw(H), mlp_norm_bias=draw(H), gated=draw(2 * M, H), gated_bias=draw(2 * M),
        out=draw(H, M), out_bias=draw(H),
    )  # fmt: skip
    terms = draw(V, H)
    per_token = {"latent head": 2 * H * (2 * inner + 3 * M), "splade": 2 * H * V}
    runs: dict[str, list[Callable[[], Tensor]]] = {
        "latent head": [
            lambda: latent_attention_pool_reference(states, pooled, offsets, head),
            lambda: latent_attention_pool(states, pooled, offsets, head),
        ],
        "splade": [
            lambda: splade_pool_reference(states, offsets, terms),
            lambda: splade_pool(states, offsets, terms),
        ],
    }
    rows = []
    for name, (reference, kernel) in runs.items():
        cosine = float(cosine_similarity(kernel().float(), reference().float(), dim=1).min())
        for how, run in (("torch", reference), ("triton", kernel)):
            taken = seconds_of(run, repeats, device)
            share = per_token[name] * n / taken / peak
            row = {"name": f"{name}, {how}", "tokens_per_s": n / taken, "of_peak": share, "cosine_min": cosine}
            rows.append(row | {"texts_per_s": len(texts) / taken})
    return rows


def show(rows: list[Row], peak: float) -> None:
    """The table."""
    table = Table("", "tokens/s", "texts/s", "of peak", "least cosine")
    for row in rows:
        cosine = f"{row['cosine_min']:.6f}" if "cosine_min" in row else ""
        table.add_row(
            row["name"], f"{row['tokens_per_s']:,.0f}", f"{row['texts_per_s']:,.0f}", f"{row['of_peak']:.1%}", cosine
        )
    console.print(table)
    console.print(f"peak: {peak / 1e12:,.0f} TFLOP/s in bfloat16")


if __name__ == "__main__":
    main()
