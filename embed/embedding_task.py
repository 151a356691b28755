"""The task of embedding a run of texts for good: what decides its bytes, and the pure function that computes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from lodex.embed.tokens.framing import TokenRow
from lodex.embed.vectors.matryoshka import check_dimensions, truncate_dimensions
from lodex.embed.vectors.quantization import Int8Ranges, to_bits
from lodex.errors import DimensionMismatchError, FailedPreconditionError, InvalidArgumentError, LodexError
from lodex.types import EncoderInfo, TextKind

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder

DataType = Literal["float32", "float16", "int8", "bits"]
DATA_TYPES: tuple[DataType, ...] = get_args(DataType)


@dataclass(frozen=True, slots=True)
class EmbedRecipe:
    """All that decides the numbers of a text beside the text itself.

    `fingerprint` is the embedder's; `instruction` what a query is for, None for the model's own; `dimensions` how many
    numbers of a vector are kept, None for all; `precision` in which the model computes; `int8_ranges` the digest of the
    ranges that int8 is measured by. How texts are put into batches is no part of it: a text has one vector whatever
    stands beside it.
    """

    fingerprint: str
    kind: TextKind
    instruction: str | None = None
    dimensions: int | None = None
    data_type: DataType = "float32"
    precision: str = "float32"
    int8_ranges: str | None = None

    def config(self) -> dict[str, Any]:
        """As JSON, for the id of a task; what is not given is not there."""
        given = {
            "fingerprint": self.fingerprint,
            "kind": self.kind.value,
            "instruction": self.instruction,
            "dimensions": self.dimensions,
            "data_type": self.data_type,
            "precision": self.precision,
            "int8_ranges": self.int8_ranges,
        }
        return {name: value for name, value in given.items() if value is not None}

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> EmbedRecipe:
        """From what `config` gave."""
        return cls(**{**config, "kind": TextKind(config["kind"])})

    def width(self, info: EncoderInfo) -> int:
        """Numbers of a row that `embed_shard` gives: dimensions, or bytes of packed bits."""
        size = self.dimensions or info.dimension
        return -(-size // 8) if self.data_type == "bits" else size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of a row; bits are packed into bytes."""
        return np.dtype(np.uint8 if self.data_type == "bits" else self.data_type)


@dataclass(frozen=True, slots=True)
class ShardVectors:
    """What became of a run of texts.

    `vectors` (n, width) of the recipe's type; `truncated` (n,) bool; `token_counts` (n,) int64, those that were read.
    """

    vectors: npt.NDArray[Any]
    truncated: npt.NDArray[np.bool_]
    token_counts: npt.NDArray[np.int64]

    @property
    def tokens(self) -> int:
        """How many were read in all."""
        return int(self.token_counts.sum())


def tokenize_shard(encoder: TextEncoder, recipe: EmbedRecipe, texts: Sequence[str]) -> list[TokenRow | LodexError]:
    """What `embed_shard` reads, or what is wrong with a text. Beside a forward it may run in another thread."""
    return encoder.tokenize(texts, recipe.kind, instruction=recipe.instruction)


def embed_shard(
    encoder: TextEncoder,
    recipe: EmbedRecipe,
    rows: Sequence[TokenRow],
    advance: Callable[[int], None],
    ranges: Int8Ranges | None = None,
) -> ShardVectors:
    """Embed the rows of texts by a recipe. Pure: the same texts and recipe give the same bits, in whatever process.

    `advance` is told how many more texts are done, and may raise; `ranges` are those of the recipe's digest, for int8.
    Vectors that are cut have length 1 again, where they have it whole. InvalidArgumentError where the embedder gives a
    vector that is not finite, whose text then is in `field` as `texts[3]`; DimensionMismatchError where it gives too
    few.
    """
    vectors = encoder.embed_rows(rows, advance)
    info = encoder.info
    if vectors.shape != (len(rows), info.dimension):
        raise DimensionMismatchError(
            f"{info.name!r} gave vectors {vectors.shape}, expected {(len(rows), info.dimension)}"
        )
    if not np.isfinite(vectors).all():
        bad = int((~np.isfinite(vectors)).any(axis=1).argmax())
        raise InvalidArgumentError(f"{info.name!r} gave a vector that is not finite", f"texts[{bad}]")
    if recipe.dimensions not in (None, info.dimension):
        vectors = truncate_dimensions(vectors, recipe.dimensions, info.matryoshka, normalize=info.normalized)
    return ShardVectors(
        vectors=_encoded(vectors, recipe.data_type, ranges),
        truncated=np.array([row.truncated for row in rows], np.bool_),
        token_counts=np.array([len(row.ids) for row in rows], np.int64),
    )


def ranges_digest(ranges: Int8Ranges) -> str:
    """What tells ranges from any others: `sha256:` and 64 hexadecimal digits."""
    data = np.concatenate([ranges.minimum, ranges.step]).astype("<f4").tobytes()
    return "sha256:" + hashlib.sha256(data).hexdigest()


def check_recipe(encoder: TextEncoder, recipe: EmbedRecipe, ranges: Int8Ranges | None = None) -> None:
    """InvalidArgumentError names what the embedder cannot do: the instruction or the dimensions.

    FailedPreconditionError for int8 without ranges, or with those of vectors of another size.
    """
    encoder.tokenize([], recipe.kind, instruction=recipe.instruction)
    size = recipe.dimensions or encoder.info.dimension
    check_dimensions(size, encoder.info.dimension, encoder.info.matryoshka)
    if recipe.data_type != "int8":
        return
    if ranges is None:
        raise FailedPreconditionError(
            f"int8 needs ranges that were measured on many vectors of {encoder.info.name!r}: none are given"
        )
    if len(ranges.minimum) != size:
        raise FailedPreconditionError(f"the int8 ranges are of {len(ranges.minimum)} dimensions, vectors have {size}")


def _encoded(vectors: npt.NDArray[np.float32], data_type: DataType, ranges: Int8Ranges | None) -> npt.NDArray[Any]:
    if data_type == "bits":
        return to_bits(vectors)
    if data_type == "int8":
        assert ranges is not None, "a recipe of int8 was not checked; this is a bug"
        return ranges.encode(vectors)
    return vectors.astype(data_type, copy=False)
