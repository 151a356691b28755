"""A small random decoder over letters and brackets."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer as Letters
from tokenizers import decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from lodex.rerank.first import FirstReranker

ALPHABET = sorted({chr(i) for i in range(32, 127)} | {"\n"})


def write_tokenizer(folder: Path, merges: list[tuple[str, str]] | None = None) -> None:
    """A tokenizer of single printable characters, and what the merges make of them."""
    words = ["<|endoftext|>", "<|user|>", "<|end|>", *ALPHABET, *("".join(pair) for pair in merges or [])]
    tokenizer = Letters(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=merges or []))
    tokenizer.add_special_tokens(words[:3])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated") if not merges else None
    tokenizer.decoder = decoders.Fuse()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="session")
def decoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama whose identifiers' logits differ well, without a reranker.json."""
    folder = tmp_path_factory.mktemp("rerank") / "letters"
    write_tokenizer(folder)
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        max_position_embeddings=1024,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def reranker(decoder_folder: Path) -> FirstReranker:
    """The random Llama as a reranker; `plain` in windows of 20 every 10."""
    return FirstReranker.open(decoder_folder)


@pytest.fixture
def copy_of(decoder_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """`copy_of(name=text)` is the decoder's folder with further or other files."""

    def copy(**files: str) -> Path:
        folder = tmp_path / "copy"
        folder.mkdir(exist_ok=True)
        for file in decoder_folder.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
        return folder

    return copy
