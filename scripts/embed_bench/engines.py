"""The engines, each as a function from texts to vectors, at its best settings for one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Embed = Callable[[list[str]], npt.NDArray[np.float32]]
BATCH = 32


@dataclass(frozen=True, slots=True)
class Engine:
    """`embed` with what a reader must know: the precision it computes in, and its version."""

    embed: Embed
    precision: str
    version: str


def sentence_transformers(folder: Path, dtype: str = "float32", batch: int = BATCH) -> Engine:
    """Its `encode` as it comes: sorted by length, batches of 32, PyTorch in float32."""
    from sentence_transformers import SentenceTransformer

    kwargs = {} if dtype == "float32" else {"dtype": getattr(torch, dtype)}
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs=kwargs)

    def embed(texts: list[str]) -> npt.NDArray[np.float32]:
        vectors = model.encode(texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, np.float32)

    return Engine(embed, dtype, version("sentence-transformers"))


def openvino(folder: Path, precision: str = "", batch: int = BATCH) -> Engine:
    """The same network converted by OpenVINO, whose own choice of precision is kept: sorted, batches of 32.

    The graph ends in normalised vectors, so that nothing but tokenisation and the loop is Python's. The texts of all
    batches are tokenised at once, each batch is padded to its longest text.
    """
    import openvino as ov
    from tokenizers import Tokenizer

    ids = torch.ones(2, 8, dtype=torch.int64)
    graph = ov.convert_model(_Bert(folder), example_input=(ids, ids), input=[[-1, -1], [-1, -1]])
    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    compiled = ov.Core().compile_model(graph, "CPU", settings)
    request = compiled.create_infer_request()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.no_padding()

    def embed(texts: list[str]) -> npt.NDArray[np.float32]:
        rows = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
        vectors = np.empty((len(rows), 384), np.float32)
        for members in _sorted_batches([len(row) for row in rows], batch):
            ids, mask = _padded([rows[i] for i in members])
            vectors[members] = request.infer({0: ids, 1: mask}, share_inputs=True)[0]
        return vectors

    chosen = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
    return Engine(embed, chosen.split("'")[1] if "'" in chosen else chosen, version("openvino"))


def lodex(folder: Path, precision: str = "auto") -> Engine:
    """Lodex's encoder as `lodex embed` runs it."""
    from lodex.embed.registry import load_encoder
    from lodex.types import TextKind

    encoder = load_encoder(folder, precision=precision)
    return Engine(lambda texts: encoder.embed(texts, TextKind.PASSAGE).vectors, encoder.precision, version("lodex"))


class _Bert(nn.Module):
    """BERT, the mean over what the mask leaves, and a length of 1."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel

        super().__init__()
        self._model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, T) ids and mask to (B, d)."""
        states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        return nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=1)


def _sorted_batches(lengths: list[int], batch: int) -> Iterator[list[int]]:
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    for first in range(0, len(order), batch):
        yield order[first : first + batch]


def _padded(rows: list[list[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "sentence-transformers": sentence_transformers,
    "sentence-transformers bfloat16": lambda folder: sentence_transformers(folder, "bfloat16"),
    "openvino": openvino,
    "openvino float32": lambda folder: openvino(folder, "f32"),
    "lodex": lodex,
    "lodex float32": lambda folder: lodex(folder, "float32"),
}
