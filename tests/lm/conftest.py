"""A small random decoder over a tokenizer of words, and stores of what it reads."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer as Words
from tokenizers import decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from lodex.index.store import Store
from lodex.lm.model import LanguageModel
from lodex.types import Document

VOCABULARY = ["<|endoftext|>", *(chr(letter) for letter in range(ord("a"), ord("z") + 1)), " ", ".", "é"]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 30 ids, one for each letter, that reads 16 tokens at once."""
    folder = tmp_path_factory.mktemp("model") / "letters"
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        max_position_embeddings=16,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words = Words(models.BPE(vocab={word: i for i, word in enumerate(VOCABULARY)}, merges=[], unk_token=None))
    words.add_special_tokens([VOCABULARY[0]])
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    words.decoder = decoders.Fuse()
    words.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def model(model_folder: Path) -> LanguageModel:
    """The random Llama, opened."""
    return LanguageModel.open(model_folder)


def documents(count: int, seed: int = 0, length: int = 60) -> list[Document]:
    """Documents of random words of few letters, so that n-grams repeat."""
    generator = torch.Generator().manual_seed(seed)
    letters = "abc d."
    texts = [
        "".join(letters[i] for i in torch.randint(len(letters), (length + 7 * n,), generator=generator))
        for n in range(count)
    ]
    return [Document(f"doc-{seed}-{n}", text, title=f"Title {n}") for n, text in enumerate(texts)]


def fill(folder: Path, documents: list[Document], segments: int) -> Store:
    """A store of the documents in that many segments."""
    store = Store.create(folder)
    size = -(-len(documents) // segments)
    for begin in range(0, len(documents), size):
        store.add(documents[begin : begin + size])
    return store
