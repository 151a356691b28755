"""Byte-level BPE, whose tokens are runs of bytes: what can be known of one without running it.

Such a tokenizer writes every byte as one printable character. With a complete alphabet, no normaliser and no white
space dropped or added, decoding is exact and the byte length of a token is the length of its string.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# How the bundled tokenizer cuts text into the pieces that tokens never cross: contractions, words with the space before
# them, single digits, runs of signs, and white space. White space before a word keeps its last space for the word,
# unless it ends in a line break: so "\n\nWord" is two pieces and an indentation is one.
PATTERN = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?:(?!\S)|(?<=[\r\n]))|\s+"
)

_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_OTHERS = tuple(byte for byte in range(256) if byte not in _PRINTABLE)
BYTE_OF_CHARACTER: Mapping[str, int] = {chr(byte): byte for byte in _PRINTABLE} | {
    chr(256 + i): byte for i, byte in enumerate(_OTHERS)
}
"""The byte for each character of the alphabet: printable Latin-1 stands for itself, the others follow from U+0100."""


def token_bytes(settings: Mapping[str, Any]) -> list[bytes] | None:
    """The bytes of each id of a parsed `tokenizer.json`, b"" for an unused one; None where text can be lost."""
    model = settings["model"]
    if settings.get("normalizer") is not None or model.get("type", "BPE") != "BPE":
        return None
    if not _keeps_every_byte(settings.get("pre_tokenizer")) or not BYTE_OF_CHARACTER.keys() <= model["vocab"].keys():
        return None
    added = settings.get("added_tokens") or []
    if any((token["lstrip"] or token["rstrip"]) and not token["special"] for token in added):
        return None
    tokens = {token["id"]: token["content"].encode() for token in added}
    for token, token_id in model["vocab"].items():
        if token_id not in tokens:
            try:
                tokens[token_id] = bytes(BYTE_OF_CHARACTER[character] for character in token)
            except KeyError:
                return None
    return [tokens.get(token_id, b"") for token_id in range(max(tokens) + 1)]


def _keeps_every_byte(pre_tokenizer: Mapping[str, Any] | None) -> bool:
    """Whether the pieces joined are the text, in the byte alphabet."""
    steps = _steps(pre_tokenizer)
    return (
        bool(steps)
        and steps[-1]["type"] == "ByteLevel"
        and not steps[-1]["add_prefix_space"]
        and all(
            step["type"] == "Digits" or (step["type"] == "Split" and step["behavior"] != "Removed")
            for step in steps[:-1]
        )
    )


def splits_before_spaces(settings: Mapping[str, Any]) -> bool:
    """Whether no token ever crosses from a printable ASCII character to a space, whatever stands around the two.

    Then a text cut at such a place gives the ids of the whole text. True for byte-level BPE with the pieces of GPT-2
    or of the bundled tokenizer; other patterns are not analysed.
    """
    if token_bytes(settings) is None or any(not token["special"] for token in settings.get("added_tokens") or []):
        return False
    *before, byte_level = _steps(settings["pre_tokenizer"])
    if not before:
        return bool(byte_level["use_regex"])
    return len(before) == 1 and before[0].get("pattern") == {"Regex": PATTERN} and not before[0]["invert"]


def _steps(pre_tokenizer: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if pre_tokenizer is None:
        return []
    return pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]
