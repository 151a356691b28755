"""Which precision a model computes in: bfloat16 where its vectors prove near enough to those of float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

Precision = Literal["float32", "bfloat16", "auto"]
"""What may be asked for; what a model runs in is never "auto"."""

COSINE = 0.999

PROBES: tuple[str, ...] = (
    "",
    "a",
    "cat",
    "?!",
    "How do I read a file line by line?",
    "The index was built with another embedder than the one that reads the queries.",
    "In 1905 he published four papers; one of them explained Brownian motion by the collisions of molecules.",
    "def count(text: str, part: str) -> int:\n    return sum(text.startswith(part, i) for i in range(len(text)))",
    "Der Zug nach Zürich fährt um 7:42 Uhr ab, und nicht, wie angekündigt, um acht.",
    "Les élèves ont relu « L'Étranger » avant l'été ; aucun n'en avait gardé le même souvenir.",
    "猫は窓辺で眠っている。外では雨が降り続いていた。",
    "Москва не сразу строилась, и словари тоже.",
    "قرأت الكتاب كله في ليلة واحدة.",
    "naïve café \U0001f600\U0001f680 ≠ ∑ x² → ∞",
    "https://example.org/a/b?c=d&e=%20f#g 0x7fff_ffff 192.0.2.1 2026-01-31T23:59:59Z",
    "word " * 40,
    "no " * 300,
    "0 " * 120,
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "The cat sat on the mat, and the mat lay on the floor of a house by the river. " * 6,
    "Tokens are counted, batches are filled, and what a text becomes depends on nothing that stands beside it. " * 40,
)
"""Texts over which the gate measures: short, long, empty, repeated, code, other languages and scripts."""


@dataclass(frozen=True, slots=True)
class PrecisionReport:
    """What was chosen, and why: the smallest cosine of a probe's vector in bfloat16 to that in float32.

    `cosine_min` is 1 where bfloat16 was not tried.
    """

    precision: Literal["float32", "bfloat16"]
    cosine_min: float = 1.0
    reason: str = ""


Embed = Callable[[tuple[str, ...]], npt.NDArray[np.float32]]


def choose_precision(
    open_float32: Callable[[], Embed], open_bfloat16: Callable[[], Embed], device: torch.device
) -> PrecisionReport:
    """bfloat16 where the machine multiplies in it and no probe's cosine is below 0.999, else float32.

    Both functions open a model, which then embeds texts to vectors (n, d); the first is gone before the second is
    opened. A machine without instructions for bfloat16 would compute in float32 and round, which is slower and less
    exact: there nothing is opened.
    """
    if not multiplies_bfloat16(device):
        return PrecisionReport("float32", reason=f"no bfloat16 instructions on this {device.type}")
    exact = open_float32()(PROBES).astype(np.float64)
    rounded = open_bfloat16()(PROBES).astype(np.float64)
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(rounded, axis=1)
    cosine = float(((exact * rounded).sum(1) / norms).min())
    if not cosine >= COSINE:  # a NaN fails as well
        return PrecisionReport("float32", cosine, f"in bfloat16 a vector's cosine is {cosine:.6f}, below {COSINE}")
    return PrecisionReport("bfloat16", cosine, f"in bfloat16 no vector's cosine is below {cosine:.6f}")


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the machine has instructions that multiply bfloat16: AVX512_BF16 or AMX, or an accelerator with them."""
    if device.type == "cpu":
        # oneDNN would take AVX512BW for enough, and then convert every product.
        supported = torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported()
        return bool(supported)
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return False
