"""Small random models in the published folder layouts, the packaged MiniLM, and the trained decoders of the data."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, BertConfig, BertModel

from lodex.embed.encoder import TextEncoder
from lodex.embed.formats.llama2c import convert_llama2c
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


MakeDecoder = Callable[..., Path]


@pytest.fixture
def make_decoder(tmp_path: Path) -> MakeDecoder:
    """`make_decoder("llama", name="a", **config)` saves a random decoder as transformers does, with a tokenizer.

    Two layers of width 32, 4 heads over 2 key-value heads, 24 positions, tokens that are bytes between <s> and nothing.
    """

    def make(model_type: str = "llama", name: str = "decoder", **changes: Any) -> Path:
        folder = tmp_path / name
        values: dict[str, Any] = {
            "vocab_size": 258,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "max_position_embeddings": 24,
            "tie_word_embeddings": False,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "initializer_range": 0.2,
        }
        torch.manual_seed(2)
        config = AutoConfig.for_model(model_type, **(values | changes))
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
        save_byte_tokenizer(folder / "tokenizer.json")
        return folder

    return make


def save_byte_tokenizer(path: Path, end: bool = False) -> None:
    """<s> text, or <s> text </s>; a token is a byte. It carries the cutting and padding of a training."""
    words = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, []))
    tokenizer.add_special_tokens(words[:2])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if end else "<s> $A", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    tokenizer.save(str(path))


DATA = Path(os.environ.get("LODEX_DATA", Path(__file__).resolve().parents[2] / "../shared/data"))


@pytest.fixture(scope="session")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained decoder stories260K, converted."""
    source = DATA / "decoder_stories260k"
    if not source.is_dir():
        pytest.skip("no decoder_stories260k: set LODEX_DATA")
    folder = tmp_path_factory.mktemp("stories") / "stories260K"
    convert_llama2c(source / "stories260K.bin", source / "tok512.bin", folder)
    return folder
