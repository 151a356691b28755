"""Encoding by chunks gives the ids of the library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import models, pre_tokenizers

from lodex.errors import InvalidArgumentError
from lodex.index import chunk_cache
from lodex.index.byte_level import BYTE_OF_CHARACTER
from lodex.index.chunk_cache import ChunkCache, split
from lodex.index.sources.python_docs import python_docs
from lodex.index.tokenizer import EOS, Tokenizer

BUNDLED = Tokenizer.load()


def gpt2_like(use_regex: bool = True) -> Tokenizer:
    """Byte-level BPE with the pieces of GPT-2 and merges over spaces, letters, signs and line ends."""
    vocabulary = {character: i for i, character in enumerate(BYTE_OF_CHARACTER)}
    merges = []
    for pair in ("Ġ t", "Ġ Ġ", "Ċ Ċ", "Ġt h", "a b", "' s", ". .", "Ã ©", "ĊĊ Ċ"):
        left, right = pair.split()
        vocabulary.setdefault(left + right, len(vocabulary))
        merges.append((left, right))
    vocabulary[EOS] = len(vocabulary)
    library = LibraryTokenizer(models.BPE(vocabulary, merges))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    library.add_special_tokens([EOS])
    return Tokenizer(library.to_str(), "gpt2-like")


TOKENIZERS = [BUNDLED, gpt2_like()]

# Where chunks meet: white space of all sorts, signs, letters of several alphabets, the end-of-text token.
WHITE_SPACE = (" ", "  ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u2003")
OTHERS = ("a", "The", "the", "'s", "\u2019s", "é", "\u0301", "1", "23", ".", "...", "!?", "\x7f", "\x00", "~", "中文")
FRAGMENTS = st.sampled_from([*WHITE_SPACE, *OTHERS, "\U0001f600", EOS, "<|", "|>", "th", "ab"])
TEXTS = st.one_of(st.lists(FRAGMENTS, max_size=40).map("".join), st.text(st.characters(exclude_categories=["Cs"])))


def expected(tokenizer: Tokenizer, texts: list[str]) -> list[bytes]:
    return [ids.tobytes() for ids in tokenizer.encode_batch(texts)]


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda tokenizer: tokenizer.name)
@settings(max_examples=300, deadline=None)
@given(batches=st.lists(st.lists(TEXTS, max_size=4), min_size=1, max_size=4))
def test_any_text_has_the_ids_of_the_library(tokenizer: Tokenizer, batches: list[list[str]]) -> None:
    """Whatever was looked up before, and wherever texts are cut."""
    cache = ChunkCache(tokenizer)
    for texts in batches:
        assert cache.encode_batch([text.encode() for text in texts]) == expected(tokenizer, texts)


def test_generations_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full cache forgets, and still gives the same ids."""
    monkeypatch.setattr(chunk_cache, "_GENERATION_CHUNKS", 5)
    monkeypatch.setattr(chunk_cache, "_MAX_CHUNK_BYTES", 6)
    rng = np.random.default_rng(1)
    words = ["the", "of", "extraordinarily", "a", "fish,", "é", "\n\nX", "naïve", "end.\n", "0"]
    cache = ChunkCache(BUNDLED)
    for _ in range(200):
        text = " ".join(rng.choice(words, rng.integers(1, 8)))
        assert cache.encode_batch([text.encode()]) == expected(BUNDLED, [text])
        assert len(cache._younger) <= 5 + 8


@pytest.mark.slow
def test_documents_of_prose_and_code_have_the_ids_of_the_library() -> None:
    """A thousand documents of Python's own, in batches."""
    texts = [document.text for _, document in zip(range(1000), python_docs(), strict=False)]
    cache = ChunkCache(BUNDLED)
    for first in range(0, len(texts), 100):
        batch = texts[first : first + 100]
        assert cache.encode_batch([text.encode() for text in batch]) == expected(BUNDLED, batch)


def test_chunks_end_between_a_printable_character_and_white_space() -> None:
    """They are the text, and each text begins one."""
    chunks, firsts = split([b"one two\nthree  four\xc3\xa9 five", b"", b" six"])
    assert chunks == [b"one", b" two", b"\nthree", b"  four\xc3\xa9 five", b" six"]
    assert firsts == [0, 4, 4, 5]
    assert split([]) == ([], [0])


def test_a_tokenizer_across_spaces_is_refused() -> None:
    """Its ids would differ."""
    with pytest.raises(InvalidArgumentError, match="across spaces"):
        ChunkCache(gpt2_like(use_regex=False))
