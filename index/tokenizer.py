"""Tokenizers: the bundled byte-level BPE, or any `tokenizer.json` by path or hub name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers

from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.index.byte_level import splits_before_spaces, token_bytes
from lodex.index.receipt import canonical_json
from lodex.types import TokenQuery

DEFAULT_TOKENIZER = "lodex-bpe-16k-v1"
EOS = "<|endoftext|>"
TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"

# By preference where a tokenizer holds several: what ends a document before what ends a turn of a conversation.
_EOS_NAMES = (EOS, "</s>", "<|end_of_text|>", "<eos>", "<|eot_id|>", "[SEP]")
_BUNDLED = Path(__file__).with_name("tokenizers")
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")

TokenIds = npt.NDArray[Any]
"""(n,) ids of a tokenizer's `dtype`."""


class Tokenizer:
    """Text to token ids and back, adding no special tokens; text that spells the end-of-text token stays text.

    `name` says where it came from, `fingerprint` what it does: equal fingerprints give equal ids. `dtype` of the ids is
    little-endian u16 where all are below 65,535, which token streams keep for their separator, else u32.
    """

    def __init__(self, tokenizer_json: str, name: str, eos: str | int | None = None) -> None:
        """Read the content of a `tokenizer.json`; `eos` is its end-of-text token or the id, looked for if not given."""
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)
            self._settings: dict[str, Any] = json.loads(tokenizer_json)
        except Exception as error:  # the library raises nothing narrower
            raise InvalidArgumentError(f"{name} is not a tokenizer.json: {error}", "tokenizer") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self._json = tokenizer_json
        self.name = name
        self.fingerprint = _fingerprint(self._settings)
        self.vocab_size = 1 + max(self._tokenizer.get_vocab().values(), default=-1)
        self.dtype: np.dtype[Any] = np.dtype("<u2" if self.vocab_size <= 0xFFFF else "<u4")
        self.eos_id = self._find_eos(eos)
        self._eos_text = self._tokenizer.id_to_token(self.eos_id) or ""

    @classmethod
    def load(cls, name_or_path: str | Path = DEFAULT_TOKENIZER, eos: str | int | None = None) -> Tokenizer:
        """A bundled tokenizer by name, a `tokenizer.json` or its folder by path, or one of the hub by name.

        What is neither bundled nor on disk and looks like a name (`gpt2`, `org/model`) is asked of the hub, or of its
        local cache. An `eos_token` in a `tokenizer_config.json` beside the file holds unless `eos` is given.
        """
        path = Path(name_or_path).expanduser()
        if (_BUNDLED / str(name_or_path) / TOKENIZER_FILE).is_file() and str(name_or_path) == path.name:
            path = _BUNDLED / path
        if path.is_dir():
            path = path / TOKENIZER_FILE
        if path.is_file():
            name = path.parent.resolve().name if path.name == TOKENIZER_FILE else path.stem
            return cls(_read(path), name, _configured_eos(path.with_name(CONFIG_FILE)) if eos is None else eos)
        if isinstance(name_or_path, str) and _HUB_NAME.fullmatch(name_or_path) and path.suffix != ".json":
            path = _fetch(name_or_path, TOKENIZER_FILE)
            if eos is None:
                try:
                    eos = _configured_eos(_fetch(name_or_path, CONFIG_FILE))
                except NotFoundError:
                    eos = None
            return cls(_read(path), name_or_path, eos)
        raise NotFoundError(f"no tokenizer at {path}; bundled is {DEFAULT_TOKENIZER!r}")

    def to_json(self) -> str:
        """The `tokenizer.json` it was read from."""
        return self._json

    def encode(self, text: str) -> TokenIds:
        """The token ids of a text, (n,) of `dtype`."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[TokenIds]:
        """The token ids of each text, on all cores. No id is ever `eos_id`.

        Raises InvalidArgumentError for a text with lone surrogates, and for one that holds the end-of-text token by
        the tokenizer's own rules and not as plain text.
        """
        encodings = self._run(texts, with_offsets=False)
        batch: list[TokenIds] = [np.array(encoding.ids, self.dtype) for encoding in encodings]
        for i, ids in enumerate(batch):
            if (ids == self.eos_id).any():
                batch[i] = self._encode_around_eos(texts[i])
        return batch

    def _encode_around_eos(self, text: str) -> TokenIds:
        """Encode a text whose end-of-text token the model itself would find (Unigram does), cut inside of each."""
        first, rest = re.escape(self._eos_text[:1]), re.escape(self._eos_text[1:])
        parts = re.split(f"(?<={first})(?={rest})", text)
        ids = np.concatenate([np.array(part.ids, self.dtype) for part in self._run(parts, with_offsets=False)])
        if (ids == self.eos_id).any():
            raise InvalidArgumentError(f"tokenizer {self.name} reads its end-of-text token in {text[:80]!r}", "text")
        return ids

    def _run(self, texts: Sequence[str], with_offsets: bool) -> list[tokenizers.Encoding]:
        encode = self._tokenizer.encode_batch if with_offsets else self._tokenizer.encode_batch_fast
        try:
            return encode(list(texts), add_special_tokens=False)
        except TypeError as error:
            for i, text in enumerate(texts):
                _require_unicode(text, f"texts[{i}]")
            raise InvalidArgumentError(f"texts cannot be encoded: {error}", "texts") from error
        except BaseException as error:
            # A panic inside the library does not derive from Exception; it is the input's or the tokenizer's fault.
            if type(error).__name__ != "PanicException":
                raise
            raise InvalidArgumentError(f"tokenizer {self.name} fails on these texts: {error}", "texts") from error

    def decode(self, ids: TokenQuery) -> str:
        """The text of token ids; bytes that are not UTF-8, as at a cut through a character, become U+FFFD."""
        valid = self._require_ids(ids)
        if self._token_bytes is not None:
            return b"".join([self._token_bytes[i] for i in valid]).decode(errors="replace")
        return self._tokenizer.decode(valid, skip_special_tokens=False)

    def decode_tokens(self, ids: TokenQuery) -> list[str]:
        """Each token as text by itself, for people to read; parts of a character are shown as U+FFFD."""
        valid = self._require_ids(ids)
        if self._token_bytes is not None:
            return [self._token_bytes[i].decode(errors="replace") for i in valid]
        return [_readable(self._tokenizer.id_to_token(i) or "") for i in valid]

    def byte_spans(self, ids: TokenQuery, text: str) -> npt.NDArray[np.int64]:
        """Where each token of a whole text stands in its UTF-8 bytes: (n, 2) begin and end; `ids` are `encode(text)`.

        For lossless tokenizers the spans follow one another without gaps; for others the text is encoded again.
        """
        if self.byte_lengths is not None:
            ends = np.cumsum(self.byte_lengths[self._require_ids(ids)], dtype=np.int64)
            return np.stack([ends - np.diff(ends, prepend=0), ends], axis=1)
        spans = np.array(self._run([text], with_offsets=True)[0].offsets, np.int64).reshape(-1, 2)
        if len(spans) != len(ids):
            raise InvalidArgumentError(f"{len(ids)} ids given for a text of {len(spans)} tokens", "ids")
        bytes_before = np.cumsum([0, *(len(character.encode()) for character in text)])
        return np.asarray(bytes_before[spans], np.int64)

    @property
    def is_lossless(self) -> bool:
        """Whether decoding gives back every text exactly: byte-level, without normaliser."""
        return self._token_bytes is not None

    @cached_property
    def splits_before_spaces(self) -> bool:
        """Whether a text may be cut between a printable ASCII character and a space without a change of ids."""
        return splits_before_spaces(self._settings)

    @cached_property
    def byte_lengths(self) -> npt.NDArray[np.uint32] | None:
        """(vocab_size,) bytes of text that each id stands for; None unless `is_lossless`."""
        if self._token_bytes is None:
            return None
        return np.array([len(token) for token in self._token_bytes], np.uint32)

    @cached_property
    def _token_bytes(self) -> list[bytes] | None:
        return token_bytes(self._settings)

    def _require_ids(self, ids: TokenQuery) -> list[int]:
        array = np.asarray(ids)
        if array.size == 0:
            return []
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise InvalidArgumentError(f"token ids must be a list of integers, got {array.dtype} {array.shape}", "ids")
        if array.min() < 0 or array.max() >= self.vocab_size:
            wrong = int(array[(array < 0) | (array >= self.vocab_size)][0])
            raise InvalidArgumentError(f"token id {wrong} is not in [0, {self.vocab_size}) of {self.name}", "ids")
        valid: list[int] = array.tolist()
        return valid

    def _find_eos(self, eos: str | int | None) -> int:
        vocabulary = self._tokenizer.get_vocab()
        if isinstance(eos, int):
            if eos in vocabulary.values():
                return eos
        else:
            for candidate in _EOS_NAMES if eos is None else (eos,):
                if candidate in vocabulary:
                    return vocabulary[candidate]
        wanted = f"none of {', '.join(_EOS_NAMES)}; name its end-of-text token" if eos is None else f"no token {eos!r}"
        raise InvalidArgumentError(f"tokenizer {self.name} has {wanted}", "eos")


def _fingerprint(settings: Mapping[str, Any]) -> str:
    """SHA-256 over what decides the ids: model, normaliser, pre-tokenizer and added tokens.

    Nulls are left out, as are the model's options that are off, and merges are pairs whether they stand as pairs or as
    strings: releases of the library differ in these.
    """
    model = {name: value for name, value in settings["model"].items() if value is not None and value is not False}
    model.setdefault("type", "BPE")
    if "merges" in model:
        model["merges"] = [m.split(" ", 1) if isinstance(m, str) else m for m in model["merges"]]
    around = {
        "normalizer": settings.get("normalizer"),
        "pre_tokenizer": settings.get("pre_tokenizer"),
        "added_tokens": sorted(settings.get("added_tokens") or [], key=lambda token: token["id"]),
    }
    return "sha256:" + hashlib.sha256(canonical_json({"model": model} | _without_nulls(around))).hexdigest()


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _readable(token: str) -> str:
    """A token of a tokenizer that is not byte-level, as text: SentencePiece's space and bytes are resolved."""
    if byte := _BYTE_TOKEN.fullmatch(token):
        return bytes.fromhex(byte[1]).decode(errors="replace")
    return token.replace("\u2581", " ")


def _require_unicode(text: Any, field: str) -> None:
    if not isinstance(text, str):
        raise InvalidArgumentError(f"{field} must be a string, not {type(text).__name__}", field)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"{field} is not valid Unicode: {error}", field) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{path} is not a tokenizer.json: {error}", "tokenizer") from error


def _configured_eos(path: Path) -> str | None:
    """The `eos_token` of a `tokenizer_config.json`, None where there is no such file or no such token."""
    if not path.is_file():
        return None
    try:
        eos = json.loads(_read(path)).get("eos_token")
    except (ValueError, AttributeError) as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error}", "tokenizer") from error
    content: str | None = eos["content"] if isinstance(eos, dict) else eos
    return content


def _fetch(name: str, file: str) -> Path:
    """A file of a tokenizer on the hub, from its local cache where it is there."""
    import huggingface_hub  # it costs more to import than all of the index; only a hub name needs it

    try:
        return Path(huggingface_hub.hf_hub_download(name, file))
    except (OSError, ValueError, huggingface_hub.errors.EntryNotFoundError) as error:
        raise NotFoundError(
            f"no tokenizer {name!r}: {DEFAULT_TOKENIZER!r} is bundled, no such path, and no {file} on the hub: {error}"
        ) from error
