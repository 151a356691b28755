"""A small random BERT in the published folder layout, and the packaged MiniLM."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from lodex.embed.encoder import TextEncoder
from lodex.embed.registry import load_encoder

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "the",
    "cat",
    "sat",
    "on",
    "mat",
    "##s",
    "dog",
    "query",
    "passage",
    ":",
    ".",
]


@pytest.fixture
def tiny_bert(tmp_path: Path) -> Path:
    """Two layers of width 32 with random weights, mean pooling, at most 12 tokens of 16 positions."""
    folder = tmp_path / "tiny"
    (folder / "1_Pooling").mkdir(parents=True)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=16,
    )
    config.save_pretrained(folder)
    torch.manual_seed(1)
    save_file(BertModel(config).state_dict(), folder / "model.safetensors")
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # As the published files do: traces of training that would cut and pad every text.
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False})
    write_json(folder / "1_Pooling/config.json", {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True})
    modules = [("", "models.Transformer"), ("1_Pooling", "models.Pooling"), ("2_Normalize", "models.Normalize")]
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
    )
    return folder


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


@pytest.fixture(scope="session")
def minilm() -> TextEncoder:
    """The packaged all-MiniLM-L6-v2."""
    return load_encoder("minilm")
