"""A random model in NV-Embed's published layout: loaded strictly, and equal to NV-Embed written out in plain torch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor

from lodex.embed.formats.embedder import read_embedder
from lodex.embed.ragged import Ragged
from lodex.embed.registry import load_encoder
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import InvalidArgumentError
from lodex.types import TextKind
from tests.embed.conftest import save_byte_tokenizer, write_json
from tests.embed.formats import plain_nv_embed
from tests.embed.parts import Parts

# The published shapes with 4096 hidden, 32 layers, 32 heads over 8, 14336 inner, 512 latents and 8 heads of 4096 made
# small, and all different so that none can stand for another.
TEXT = {
    "model_type": "bidir_mistral",
    "vocab_size": 258,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "sliding_window": 5,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
HEAD = {
    "model_type": "latent_attention",
    "num_latents_value": 11,
    "num_cross_heads": 3,
    "output_normalize": True,
    "hidden_dim": 24,
    "latent_dim": 20,
    "cross_dim_head": 7,
}
CONFIG: dict[str, Any] = {
    "model_type": "nvembed",
    "architectures": ["NVEmbedModel"],
    "auto_map": {"AutoModel": "modeling_nvembed.NVEmbedModel"},
    "text_config": TEXT,
    "latent_attention_config": HEAD,
    "padding_side": "right",
    "is_mask_instruction": True,
    "add_eos": True,
    "mask_type": "b",
    "hidden_size": 24,
}
TASK = "Given a question, retrieve passages that answer the question"
TEXTS = ["a cat sat", "", "naïve \U0001f600", "x" * 90, "?"]


def tensors(seed: int = 3) -> dict[str, Tensor]:
    """Random weights under the published names, (out, in) each."""
    random = torch.Generator().manual_seed(seed)
    H, inner, C = 24, 3 * 7, 20
    shapes: dict[str, tuple[int, ...]] = {"embedding_model.embed_tokens.weight": (258, H)}
    for i in range(3):
        at = f"embedding_model.layers.{i}"
        shapes |= {f"{at}.self_attn.{name}_proj.weight": (6 * 8 if name == "q" else 2 * 8, H) for name in "qkv"}
        shapes |= {f"{at}.self_attn.o_proj.weight": (H, 6 * 8)}
        shapes |= {f"{at}.mlp.{name}_proj.weight": (40, H) for name in ("gate", "up")}
        shapes |= {f"{at}.mlp.down_proj.weight": (H, 40)}
        shapes |= {f"{at}.{name}_layernorm.weight": (H,) for name in ("input", "post_attention")}
    shapes["embedding_model.norm.weight"] = (H,)
    head = {
        "latents": (11, C),
        "cross_attend_blocks.0.norm.weight": (H,),
        "cross_attend_blocks.0.norm.bias": (H,),
        "cross_attend_blocks.0.norm_context.weight": (C,),
        "cross_attend_blocks.0.norm_context.bias": (C,),
        "cross_attend_blocks.0.fn.to_q.weight": (inner, H),
        "cross_attend_blocks.0.fn.to_kv.weight": (2 * inner, C),
        "cross_attend_blocks.0.fn.to_out.weight": (H, inner),
        "cross_attend_blocks.1.norm.weight": (H,),
        "cross_attend_blocks.1.norm.bias": (H,),
        "cross_attend_blocks.1.fn.net.0.weight": (8 * H, H),
        "cross_attend_blocks.1.fn.net.0.bias": (8 * H,),
        "cross_attend_blocks.1.fn.net.2.weight": (H, 4 * H),
        "cross_attend_blocks.1.fn.net.2.bias": (H,),
    }
    shapes |= {f"latent_attention_model.{name}": shape for name, shape in head.items()}
    return {
        name: torch.randn(shape, generator=random) * (shape[-1] ** -0.5 if len(shape) > 1 else 0.3)
        + (len(shape) == 1 and name.endswith("weight"))
        for name, shape in shapes.items()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "some-embedder"
    path.mkdir()
    save_file(tensors(), path / "model.safetensors")
    write_json(path / "config.json", CONFIG)
    save_byte_tokenizer(path / "tokenizer.json")
    return path


def byte_row(text: str, length: int = 64) -> list[int]:
    """BOS, a token for each byte, EOS, cut on the right: in this vocabulary nothing merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    ids = [2 + letters.index(chr(b if b in plain else 256 + others.index(b))) for b in text.encode()]
    return [0, *ids, 1][:length]


def expected(texts: list[str], prompt: str, skipped: int) -> Tensor:
    rows = [plain_nv_embed.embed(tensors(), CONFIG, byte_row(prompt + text), skipped) for text in texts]
    return torch.stack(rows)


def test_passages_equal_the_plain_model(folder: Path) -> None:
    """No prompt, the mean of all tokens, EOS on what is not cut; in one batch as alone."""
    vectors = Parts(folder).embed(TEXTS, TextKind.PASSAGE)
    torch.testing.assert_close(vectors, expected(TEXTS, "", 0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("instruction", [None, "find it"])
def test_queries_leave_the_instruction_out_by_the_published_count(folder: Path, instruction: str | None) -> None:
    """As many tokens as the instruction has, the BOS among them: its last token is averaged with the text."""
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "Instruct: look\nQuery: "}})
    prompt = f"Instruct: {instruction or 'look'}\nQuery: "
    vectors = Parts(folder).embed(TEXTS, TextKind.QUERY, instruction)
    torch.testing.assert_close(vectors, expected(TEXTS, prompt, len(prompt)), atol=1e-5, rtol=0)
    other = expected(TEXTS, prompt, len(prompt) + 1)
    assert float((vectors - other).abs().max()) > 1e-3


def test_queries_leave_the_instruction_out_exactly_if_asked(folder: Path) -> None:
    """With the rule "exact" BOS and all of the instruction are out, and the text's first token is in."""
    before = read_embedder(folder, "x").fingerprint
    write_json(folder / "lodex.json", {"instruction_mask": "exact"})
    prompt = "Instruct: find\nQuery: "
    vectors = Parts(folder).embed(TEXTS, TextKind.QUERY, "find")
    torch.testing.assert_close(vectors, expected(TEXTS, prompt, 1 + len(prompt)), atol=1e-5, rtol=0)
    assert read_embedder(folder, "x").fingerprint != before


def test_without_instruction_mask_all_is_averaged(folder: Path) -> None:
    """`is_mask_instruction` false keeps the instruction in the mean, and is in the fingerprint."""
    before = read_embedder(folder, "x").fingerprint
    write_json(folder / "config.json", CONFIG | {"is_mask_instruction": False})
    prompt = "Instruct: find\nQuery: "
    vectors = Parts(folder).embed(TEXTS, TextKind.QUERY, "find")
    torch.testing.assert_close(vectors, expected(TEXTS, prompt, 0), atol=1e-5, rtol=0)
    assert read_embedder(folder, "x").fingerprint != before


def test_the_runtime_embeds_alike(folder: Path) -> None:
    """Opened as every model is, with its own threads and batches."""
    encoder = load_encoder(folder)
    prompt = "Instruct: find\nQuery: "
    queries = encoder.embed_queries(TEXTS, instruction="find")
    np.testing.assert_allclose(queries.vectors, expected(TEXTS, prompt, len(prompt)).numpy(), atol=1e-5)
    passages = encoder.embed_passages(TEXTS)
    np.testing.assert_allclose(passages.vectors, expected(TEXTS, "", 0).numpy(), atol=1e-5)
    assert passages.truncated.tolist() == [False, False, False, True, False]


def test_the_published_template_is_that_of_queries(folder: Path) -> None:
    """A folder without prompts has NV-Embed's, and a task of its own where a caller brings none."""
    parts = Parts(folder)
    prompt = f"Instruct: {TASK}\nQuery: "
    assert parts.folder.info.instructed
    errors = parts.tokens.encode(["a", "b"], prompt)
    assert all(isinstance(error, InvalidArgumentError) for error in errors)  # 64 tokens are too few for it
    write_json(folder / "config.json", CONFIG | {"text_config": TEXT | {"max_position_embeddings": 128}})
    vectors = Parts(folder).embed(["a cat"], TextKind.QUERY)
    row = byte_row(prompt + "a cat", 128)
    torch.testing.assert_close(vectors[0], plain_nv_embed.embed(tensors(), CONFIG, row, len(prompt)), atol=1e-5, rtol=0)


def test_masked_tokens_still_attend(folder: Path) -> None:
    """Another instruction of the same length changes the vector, though none of its tokens is pooled."""
    parts = Parts(folder)
    one, two = (parts.embed(["a cat"], TextKind.QUERY, task) for task in ("find", "seek"))
    assert float((one - two).abs().max()) > 1e-3


def test_the_mask_reads_joint_tokens_where_the_rules_differ(folder: Path) -> None:
    """With merges over the seam, "nvembed" counts the instruction alone and "exact" pools the token over the seam."""
    save_merging_tokenizer(folder / "tokenizer.json")
    rows = {}
    for rule in ("nvembed", "exact", "sentence-transformers"):
        write_json(folder / "lodex.json", {"instruction_mask": rule})
        tokens = read_embedder(folder, "x").open_tokens()
        (row,) = tokens.encode(["cc"], "aab")  # joint: <s> aa bc c </s>; alone: aa b
        assert isinstance(row, TokenRow)
        assert list(row.ids) == [0, 5, 6, 4, 1]
        rows[rule] = row.pool_begin
    assert rows == {"nvembed": 2, "exact": 2, "sentence-transformers": 3}
    write_json(folder / "lodex.json", {"instruction_mask": "exact"})
    (row,) = read_embedder(folder, "x").open_tokens().encode(["ac"], "aab")  # <s> aa b a c </s>
    assert isinstance(row, TokenRow)
    assert row.pool_begin == 3


def save_merging_tokenizer(path: Path) -> None:
    """Over a, b, c with the merges aa and bc."""
    vocabulary = {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "c": 4, "aa": 5, "bc": 6}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("a", "a"), ("b", "c")]))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0), ("</s>", 1)])
    tokenizer.save(str(path))


BACKBONE, LATENT = "embedding_model.", "latent_attention_model."
CHANGES: list[tuple[Callable[[dict[str, Tensor]], object], str]] = [
    *((lambda w, n=name: w.pop(n), f"Missing key.*{name}") for name in tensors()),
    (lambda w: w.update({f"{BACKBONE}layers.3.mlp.up_proj.weight": torch.ones(1)}), r"Unexpected.*layers\.3"),
    (lambda w: w.update({f"{BACKBONE}layers.0.self_attn.q_proj.bias": torch.ones(48)}), r"Unexpected.*q_proj\.bias"),
    (lambda w: w.update({f"{BACKBONE}lm_head.weight": torch.ones(258, 24)}), r"Unexpected.*lm_head"),
    (lambda w: w.update({f"{LATENT}cross_attend_blocks.2.norm.weight": torch.ones(24)}), r"Unexpected.*blocks\.2"),
    (lambda w: w.update({f"{LATENT}cross_attend_blocks.0.fn.to_q.bias": torch.ones(21)}), r"Unexpected.*to_q\.bias"),
    (lambda w: w.update({"lm_head.weight": torch.ones(258, 24)}), r"Unexpected.*lm_head\.weight"),
    (lambda w: w.update({"model.norm.weight": torch.ones(24)}), r"Unexpected.*model\.norm"),
    (lambda w: w.update({f"{LATENT}latents": torch.ones(11, 24)}), r"size mismatch.*latents"),
    (lambda w: w.update({f"{BACKBONE}norm.weight": torch.ones(25)}), r"size mismatch.*norm"),
]


@pytest.mark.parametrize(("change", "complaint"), CHANGES, ids=[complaint for _, complaint in CHANGES])
def test_any_tensor_missing_further_or_misshapen_is_refused(
    folder: Path, change: Callable[[dict[str, Tensor]], object], complaint: str
) -> None:
    """Each of them, under either prefix and under none: no part of the model stays random unnoticed."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InvalidArgumentError, match=f"(?s){complaint}"):
        Parts(folder)


def test_a_rotary_frequency_is_no_weight(folder: Path) -> None:
    """Old files keep it; it follows from the configuration."""
    weights = load_file(folder / "model.safetensors")
    weights[f"{BACKBONE}layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(weights, folder / "model.safetensors")
    vectors = Parts(folder).embed(TEXTS, TextKind.PASSAGE)
    torch.testing.assert_close(vectors, expected(TEXTS, "", 0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_folded_in_float32(folder: Path, dtype: torch.dtype) -> None:
    """Weights as they are published: the vectors are those of the plain model with the rounded weights."""
    rounded = {name: weight.to(dtype) for name, weight in tensors().items()}
    save_file(rounded, folder / "model.safetensors")
    vectors = Parts(folder).embed(TEXTS[:3], TextKind.PASSAGE)
    exact = {name: weight.float() for name, weight in rounded.items()}
    plain = torch.stack([plain_nv_embed.embed(exact, CONFIG, byte_row(text), 0) for text in TEXTS[:3]])
    torch.testing.assert_close(vectors, plain, atol=1e-5, rtol=0)


def test_a_vector_does_not_depend_on_its_batch(folder: Path) -> None:
    """Bit for bit the same alone and among others of all lengths."""
    parts = Parts(folder)
    texts = ["ab" * (i % 7) for i in range(30)]
    together = parts.embed(texts, TextKind.QUERY, "find").numpy()
    alone = np.concatenate([parts.embed([text], TextKind.QUERY, "find").numpy() for text in texts[:7]])
    np.testing.assert_array_equal(together[:7], alone)


def test_one_text_without_a_pool_fails_alone(folder: Path) -> None:
    """An empty text behind an exact mask, with no EOS: it has its own error, and the others their rows."""
    write_json(folder / "config.json", CONFIG | {"add_eos": False})
    write_json(folder / "lodex.json", {"instruction_mask": "exact"})
    rows = read_embedder(folder, "x").open_tokens().encode(["a", "", "b", "\ud800"], "Instruct: find\nQuery: ")
    assert [isinstance(row, TokenRow) for row in rows] == [True, False, True, False]
    error = rows[1]
    assert isinstance(error, InvalidArgumentError)
    assert (error.field, "no token to pool" in str(error)) == ("texts[1]", True)
    assert Ragged.of([row for row in rows if isinstance(row, TokenRow)]).pooled.sum() == 2


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"text_config": None}, "text_config is None, expected an object"),
        ({"latent_attention_config": HEAD | {"hidden_dim": 16}}, "reads states of 16, the backbone has 24"),
        ({"latent_attention_config": {}}, "reads states of 4096"),
        ({"latent_attention_config": HEAD | {"num_cross_heads": 0}}, "num_cross_heads is 0"),
        ({"mask_type": "c"}, "expected mask_type 'b'"),
        ({"padding_side": "left"}, "padding_side 'right'"),
    ],
)
def test_a_configuration_of_another_sort_is_refused(folder: Path, values: dict[str, Any], complaint: str) -> None:
    """What the published code would do otherwise is told by its key."""
    write_json(folder / "config.json", json.loads(json.dumps(CONFIG | values)))
    with pytest.raises(InvalidArgumentError, match=complaint):
        read_embedder(folder, "x")
