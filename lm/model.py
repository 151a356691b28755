"""A language model: a decoder, and the tokenizer that its ids belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lodex.embed.decoder import Decoder
from lodex.errors import InvalidArgumentError
from lodex.index.tokenizer import TOKENIZER_FILE, Tokenizer
from lodex.types import LanguageModelInfo, TokenQuery


class LanguageModel:
    """Text to token ids and, by `decoder`, to states and logits.

    To the model a text is the sequence [start_id, t0, t1, ...]: token i is predicted from the state at position i.
    """

    def __init__(self, decoder: Decoder, tokenizer: Tokenizer) -> None:
        if tokenizer.vocab_size > decoder.vocab_size:
            raise InvalidArgumentError(
                f"{decoder.name}: the tokenizer has {tokenizer.vocab_size} ids, the model only {decoder.vocab_size}",
                "model",
            )
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.info = LanguageModelInfo(
            name=decoder.name,
            fingerprint=decoder.fingerprint,
            tokenizer=tokenizer.name,
            tokenizer_fingerprint=tokenizer.fingerprint,
            vocab_size=decoder.vocab_size,
            max_tokens=decoder.max_tokens,
        )
        # A model whose texts are separated by its start token ends them with it too (llama2.c does).
        self.end_ids: frozenset[int] = frozenset({*decoder.eos_ids, decoder.start_id})

    @classmethod
    def open(cls, folder: Path, name: str = "", device: str = "cpu") -> LanguageModel:
        """Load a transformers folder with a `tokenizer.json`; see `Decoder.open` and `Tokenizer.load`."""
        if not (folder / TOKENIZER_FILE).is_file():
            raise InvalidArgumentError(f"{folder} is not a language model's folder: no {TOKENIZER_FILE}", "model")
        return cls(Decoder.open(folder, name, device), Tokenizer.load(folder))

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without a start token."""
        return [int(i) for i in self.tokenizer.encode(text)]

    def decode(self, ids: TokenQuery) -> str:
        """The text of ids; ids beyond the tokenizer's, which only pad the model's matrices, are left out."""
        return self.tokenizer.decode([i for i in ids if i < self.tokenizer.vocab_size])

    def require_ids(self, ids: Sequence[int], field: str) -> None:
        """InvalidArgumentError for the first id outside the vocabulary."""
        for place, token in enumerate(ids):
            if not 0 <= token < self.info.vocab_size:
                where = f"{field}.tokens[{place}]"
                raise InvalidArgumentError(
                    f"{where} is {token}, the vocabulary has the ids [0, {self.info.vocab_size})", where
                )
