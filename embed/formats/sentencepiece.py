"""SentencePiece BPE vocabularies, in three file forms, as a tokenizer.json with the same ids.

No code of SentencePiece is needed: of its protobuf only three messages matter, whose fields are declared here.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, processors

from lodex.errors import InvalidArgumentError

UNK_ID, BOS_ID, EOS_ID = 0, 1, 2
"""Where SentencePiece puts them unless told otherwise, and where llama2.c expects them."""

_SPECIAL = ("<unk>", "<s>", "</s>")
_SPACE = "\u2581"
_BPE = 2
_BYTES = [f"<0x{value:02X}>" for value in range(256)]


@dataclass(frozen=True, slots=True)
class Pieces:
    """A BPE vocabulary in SentencePiece's spelling, where "\u2581" is a space; of pairs the best score is merged first.

    `collapses_spaces` drops spaces around a text, and all but one of several; `adds_space` puts one before it.
    """

    texts: tuple[str, ...]
    scores: tuple[float, ...]
    adds_space: bool = True
    collapses_spaces: bool = False

    @property
    def falls_back_to_bytes(self) -> bool:
        """Whether a character that is no piece is spelled by the pieces of its bytes."""
        return set(_BYTES) <= set(self.texts)


def read_pieces(path: Path, vocab_size: int) -> Pieces:
    """The pieces of a SentencePiece `.model` or its `.vocab`, or of llama2.c's tokenizer.bin, by the file's ending.

    InvalidArgumentError for a file that is not of its form or has not `vocab_size` pieces, and for a vocabulary whose
    first three pieces are not unknown, begin and end.
    """
    readers = {".model": _read_model, ".vocab": _read_vocab, ".bin": _read_bin}
    if path.suffix not in readers:
        raise InvalidArgumentError(f"{path}: the name should end in one of {', '.join(readers)}", "tokenizer")
    pieces = readers[path.suffix](path.read_bytes(), path)
    if len(pieces.texts) != vocab_size:
        raise InvalidArgumentError(f"{path} has {len(pieces.texts)} pieces, the model {vocab_size}", "tokenizer")
    if pieces.texts[:3] != _SPECIAL:
        raise InvalidArgumentError(f"{path} begins with {pieces.texts[:3]}, expected {_SPECIAL}", "tokenizer")
    if len(set(pieces.texts)) != vocab_size:
        raise InvalidArgumentError(f"{path} has the same piece twice", "tokenizer")
    if not all(map(math.isfinite, pieces.scores)):
        raise InvalidArgumentError(f"{path} has a score that is no finite number", "tokenizer")
    return pieces


def build_tokenizer(pieces: Pieces) -> Tokenizer:
    """A tokenizer with the ids of the pieces, which puts `<s>` before a text when asked for special tokens."""
    ids = {text: i for i, text in enumerate(pieces.texts)}
    to_bytes = pieces.falls_back_to_bytes
    model = models.BPE(ids, derive_merges(pieces), unk_token=_SPECIAL[0], fuse_unk=True, byte_fallback=to_bytes)
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in _SPECIAL])
    tokenizer.normalizer = normalizers.Sequence(_normalizers(pieces))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", BOS_ID)]
    )
    tail = [decoders.Strip(" ", 1, 0)] if pieces.adds_space else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *tail]
    )
    return tokenizer


def write_tokenizer(pieces: Pieces, folder: Path, max_tokens: int) -> None:
    """Write tokenizer.json, and tokenizer_config.json with the special tokens and the length."""
    build_tokenizer(pieces).save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": _SPECIAL[UNK_ID],
        "bos_token": _SPECIAL[BOS_ID],
        "eos_token": _SPECIAL[EOS_ID],
        "model_max_length": max_tokens,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def derive_merges(pieces: Pieces) -> list[tuple[str, str]]:
    """Every pair of pieces whose joint text is a piece too, best score of that first, equal ones by the pair's ids.

    SentencePiece keeps no merges: it joins, of all neighbours that make a piece, those of the best score, the leftmost
    of equals. A list of merges says the same but for a piece that has several splits, overlapping in one text.
    """
    ids = {text: i for i, text in enumerate(pieces.texts)}
    merges = []
    for text, score in zip(pieces.texts, pieces.scores, strict=True):
        if text in _SPECIAL or text in _BYTES:
            continue
        for cut in range(1, len(text)):
            left, right = text[:cut], text[cut:]
            if left in ids and right in ids:
                merges.append((-score, ids[left], ids[right], left, right))
    return [(left, right) for *_, left, right in sorted(merges)]


def _normalizers(pieces: Pieces) -> list[Any]:
    collapse = [normalizers.Replace(Regex("^ +| +$"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    return [
        *(collapse if pieces.collapses_spaces else []),
        *([normalizers.Prepend(_SPACE)] if pieces.adds_space else []),
        normalizers.Replace(" ", _SPACE),
    ]


def _read_bin(data: bytes, path: Path) -> Pieces:
    """llama2.c's form: int32 longest piece; then for each piece float32 score, int32 length, UTF-8 bytes.

    Its spaces are plain, and its begin and end stand between line breaks.
    """
    texts: list[str] = []
    scores: list[float] = []
    place = 4
    while place < len(data):
        try:
            score, length = struct.unpack_from("<fi", data, place)
        except struct.error as error:
            raise InvalidArgumentError(f"{path} ends inside of piece {len(texts)}", "tokenizer") from error
        begin, place = place + 8, place + 8 + length
        if length < 0 or place > len(data):
            raise InvalidArgumentError(
                f"{path}: piece {len(texts)} should have {length} bytes, {len(data) - begin} are left", "tokenizer"
            )
        texts.append(_decode(data[begin:place], path))
        scores.append(score)
    texts[1:3] = [text.strip("\n") for text in texts[1:3]]
    return Pieces(tuple(text.replace(" ", _SPACE) for text in texts), tuple(scores))


def _read_vocab(data: bytes, path: Path) -> Pieces:
    """SentencePiece's list for people: a line for each piece, its text, a tab and its score."""
    rows = [line.rpartition("\t") for line in _decode(data, path).removesuffix("\n").split("\n")]
    try:
        return Pieces(tuple(text for text, _, _ in rows), tuple(float(score) for *_, score in rows))
    except ValueError as error:
        raise InvalidArgumentError(f"{path} is no list of pieces and scores: {error}", "tokenizer") from error


def _read_model(data: bytes, path: Path) -> Pieces:
    """SentencePiece's own form, the message ModelProto."""
    model = _model_class()()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise InvalidArgumentError(f"{path} is no SentencePiece model: {error}", "tokenizer") from error
    if model.trainer_spec.model_type != _BPE:
        raise InvalidArgumentError(f"{path} is not of type BPE ({model.trainer_spec.model_type})", "tokenizer")
    rules = model.normalizer_spec
    if rules.precompiled_charsmap or not rules.escape_whitespaces:
        raise InvalidArgumentError(f"{path} normalises text by {rules.name!r}, which is not supported", "tokenizer")
    return Pieces(
        tuple(piece.piece for piece in model.pieces),
        tuple(piece.score for piece in model.pieces),
        rules.add_dummy_prefix,
        rules.remove_extra_whitespaces,
    )


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{path} is not UTF-8: {error}", "tokenizer") from error


@cache
def _model_class() -> Any:
    """ModelProto of google/sentencepiece, with the fields that are read here; protobuf passes over the others."""
    field = descriptor_pb2.FieldDescriptorProto
    package = "lodex.sentencepiece"
    file = descriptor_pb2.FileDescriptorProto(name="lodex/sentencepiece.proto", package=package, syntax="proto2")

    def add(message: str, fields: list[tuple[str, int, int, str]]) -> None:
        declared = file.message_type.add(name=message)
        for name, number, kind, default in fields:
            declared.field.add(
                name=name, number=number, type=kind, label=field.LABEL_OPTIONAL, default_value=default or None
            )

    add("Piece", [("piece", 1, field.TYPE_STRING, ""), ("score", 2, field.TYPE_FLOAT, "")])
    add("TrainerSpec", [("model_type", 3, field.TYPE_INT32, "1")])
    rules = [("add_dummy_prefix", 3), ("remove_extra_whitespaces", 4), ("escape_whitespaces", 5)]
    texts = [("name", 1, field.TYPE_STRING, ""), ("precompiled_charsmap", 2, field.TYPE_BYTES, "")]
    add("NormalizerSpec", [*texts, *((name, number, field.TYPE_BOOL, "true") for name, number in rules)])
    model = file.message_type.add(name="ModelProto")
    parts = [("pieces", 1, "Piece"), ("trainer_spec", 2, "TrainerSpec"), ("normalizer_spec", 3, "NormalizerSpec")]
    for name, number, kind in parts:
        label = field.LABEL_REPEATED if name == "pieces" else field.LABEL_OPTIONAL
        model.field.add(name=name, number=number, type=field.TYPE_MESSAGE, label=label, type_name=f".{package}.{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.ModelProto"))
