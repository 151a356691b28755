"""llama2.c's model files (version 0: seven numbers, then float32) as folders that transformers and Lodex read.

The file, little-endian: int32 dim, hidden_dim, layers, heads, kv_heads, vocab, seq_len, where a negative vocab says
that the head is not tied to the embedding; then float32, row by row, with L layers and head size D = dim / heads:

    embedding (vocab, dim)          attention norms (L, dim)        wq (L, dim, dim)
    wk (L, kv_heads * D, dim)       wv, as wk                       wo (L, dim, dim)
    MLP norms (L, dim)              w1 (L, hidden_dim, dim)         w2 (L, dim, hidden_dim)
    w3, as w1                       last norm (dim)                 cosines, sines (seq_len, D / 2) each, not read
    head (vocab, dim), where it is not tied

The layout is that of karpathy/llama2.c (MIT), `run.c`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from transformers import LlamaConfig

from lodex.embed.backbones.weights import WEIGHTS
from lodex.embed.formats.sentencepiece import BOS_ID, EOS_ID, read_pieces, write_tokenizer
from lodex.errors import AlreadyExistsError, InvalidArgumentError

_HEADER = struct.Struct("<7i")
_FLOAT_BYTES = 4
# run.c has them as constants.
_NORM_EPS = 1e-5
_ROPE_THETA = 10_000.0


@dataclass(frozen=True, slots=True)
class Llama2cHeader:
    """The sizes of a llama2.c model; `is_tied` is the sign of its vocabulary."""

    dim: int
    hidden_dim: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    seq_len: int
    is_tied: bool

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every tensor of the file by name and shape, in order."""
        keys = self.kv_heads * (self.dim // self.heads)
        yield "embedding", (self.vocab, self.dim)
        yield "attention_norm", (self.layers, self.dim)
        yield "wq", (self.layers, self.dim, self.dim)
        yield "wk", (self.layers, keys, self.dim)
        yield "wv", (self.layers, keys, self.dim)
        yield "wo", (self.layers, self.dim, self.dim)
        yield "mlp_norm", (self.layers, self.dim)
        yield "w1", (self.layers, self.hidden_dim, self.dim)
        yield "w2", (self.layers, self.dim, self.hidden_dim)
        yield "w3", (self.layers, self.hidden_dim, self.dim)
        yield "norm", (self.dim,)
        yield "cosines", (self.seq_len, self.dim // self.heads // 2)
        yield "sines", (self.seq_len, self.dim // self.heads // 2)
        if not self.is_tied:
            yield "head", (self.vocab, self.dim)


def read_llama2c(path: Path) -> tuple[Llama2cHeader, dict[str, Tensor]]:
    """The header and the tensors, float32, of a model file; InvalidArgumentError states sizes where they disagree."""
    data = path.read_bytes()
    header = _read_header(data, path)
    shapes = dict(header.shapes())
    expected = _HEADER.size + _FLOAT_BYTES * sum(int(np.prod(shape, dtype=object)) for shape in shapes.values())
    if len(data) != expected:
        raise InvalidArgumentError(
            f"{path} has {len(data):,} bytes, expected {expected:,} for a llama2.c model of {asdict(header)}", "model"
        )
    numbers = torch.from_numpy(np.frombuffer(data, "<f4", offset=_HEADER.size).astype(np.float32))
    parts = torch.split(numbers, [int(np.prod(shape)) for shape in shapes.values()])
    tensors = {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise InvalidArgumentError(f"{path} holds weights that are no finite numbers", "model")
    return header, tensors


def convert_llama2c(model: Path, tokenizer: Path, out: Path) -> None:
    """Write the folder `out`: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.

    `tokenizer` is llama2.c's tokenizer.bin, or a SentencePiece `.model` or `.vocab`; see `read_pieces`. Raises
    AlreadyExistsError where `out` is, InvalidArgumentError for files that are not what they should be.
    """
    header, tensors = read_llama2c(model)
    pieces = read_pieces(tokenizer, header.vocab)
    if out.exists():
        raise AlreadyExistsError(f"{out} is there already")
    out.mkdir(parents=True)
    llama2c_config(header).save_pretrained(out)
    (out / WEIGHTS).write_bytes(save(llama_weights(header, tensors), metadata={"format": "pt"}))
    write_tokenizer(pieces, out, header.seq_len)


def llama2c_config(header: Llama2cHeader) -> LlamaConfig:
    """The configuration of the same model in transformers."""
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        hidden_size=header.dim,
        intermediate_size=header.hidden_dim,
        num_hidden_layers=header.layers,
        num_attention_heads=header.heads,
        num_key_value_heads=header.kv_heads,
        vocab_size=header.vocab,
        max_position_embeddings=header.seq_len,
        rms_norm_eps=_NORM_EPS,
        rope_parameters={"rope_type": "default", "rope_theta": _ROPE_THETA},
        tie_word_embeddings=header.is_tied,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        dtype="float32",
    )


def llama_weights(header: Llama2cHeader, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of LlamaForCausalLM, the rows of wq and wk in its order."""
    weights = {"model.embed_tokens.weight": tensors["embedding"], "model.norm.weight": tensors["norm"]}
    if not header.is_tied:
        weights["lm_head.weight"] = tensors["head"]
    for i in range(header.layers):
        layer = {
            "self_attn.q_proj": halves_of_pairs(tensors["wq"][i], header.heads),
            "self_attn.k_proj": halves_of_pairs(tensors["wk"][i], header.kv_heads),
            "self_attn.v_proj": tensors["wv"][i],
            "self_attn.o_proj": tensors["wo"][i],
            "mlp.gate_proj": tensors["w1"][i],
            "mlp.down_proj": tensors["w2"][i],
            "mlp.up_proj": tensors["w3"][i],
            "input_layernorm": tensors["attention_norm"][i],
            "post_attention_layernorm": tensors["mlp_norm"][i],
        }
        weights |= {f"model.layers.{i}.{name}.weight": weight for name, weight in layer.items()}
    return {name: weight.clone() for name, weight in weights.items()}


def halves_of_pairs(weight: Tensor, heads: int) -> Tensor:
    """Rows (heads * D, I) whose rotary pairs are neighbours, in the order of transformers: first ones, then seconds.

    llama2.c turns the pair of rows (2 i, 2 i + 1) of a head by one angle, transformers the pair (i, i + D / 2).
    """
    rows, width = weight.shape
    return weight.view(heads, rows // heads // 2, 2, width).transpose(1, 2).reshape(rows, width)


def _read_header(data: bytes, path: Path) -> Llama2cHeader:
    if len(data) < _HEADER.size:
        raise InvalidArgumentError(f"{path} has {len(data)} bytes, a llama2.c header alone has {_HEADER.size}", "model")
    dim, hidden_dim, layers, heads, kv_heads, vocab, seq_len = _HEADER.unpack_from(data)
    header = Llama2cHeader(dim, hidden_dim, layers, heads, kv_heads, abs(vocab), seq_len, vocab > 0)
    sizes = (dim, hidden_dim, layers, heads, kv_heads, abs(vocab), seq_len)
    if min(sizes) < 1 or dim % (2 * heads) or heads % kv_heads:
        raise InvalidArgumentError(
            f"{path} does not begin with a llama2.c header (version 0): {asdict(header)}", "model"
        )
    return header
