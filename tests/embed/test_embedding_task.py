"""What decides the bytes of a shard, and the function that computes them."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from lodex.embed.embedding_task import EmbedRecipe, check_recipe, embed_shard, tokenize_shard
from lodex.embed.encoder import TextEncoder
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import DimensionMismatchError, InvalidArgumentError
from lodex.types import EncoderInfo, TextKind

INFO = EncoderInfo(name="given", fingerprint="sha256:1", dimension=10, max_tokens=9, normalized=True)
RECIPE = EmbedRecipe("sha256:1", TextKind.PASSAGE)
ROWS = [TokenRow([0] * n, 0, n, truncated=n > 3) for n in (1, 2, 4)]


def encoder_of(vectors: npt.ArrayLike) -> TextEncoder:
    """An embedder that gives these vectors whatever it is asked."""

    def embed_rows(rows: Sequence[TokenRow], advance: Callable[[int], None]) -> npt.NDArray[np.float32]:
        advance(len(rows))
        return np.array(vectors, np.float32)

    return cast("TextEncoder", SimpleNamespace(info=INFO, embed_rows=embed_rows))


def shard(vectors: npt.ArrayLike, recipe: EmbedRecipe = RECIPE) -> Any:
    return embed_shard(encoder_of(vectors), recipe, ROWS, lambda done: None).vectors


@pytest.fixture
def vectors() -> npt.NDArray[np.float32]:
    values = np.random.default_rng(1).normal(size=(3, 10)).astype(np.float32)
    values[1, :3] = [0.0, -0.0, np.finfo(np.float32).tiny]
    return values


def test_float32_is_what_the_embedder_gave(vectors: npt.NDArray[np.float32]) -> None:
    """Bit for bit, with its counts beside it."""
    told: list[int] = []
    made = embed_shard(encoder_of(vectors), RECIPE, ROWS, told.append)
    assert made.vectors.tobytes() == vectors.tobytes()
    assert (made.token_counts.tolist(), made.tokens) == ([1, 2, 4], 7)
    assert made.truncated.tolist() == [False, False, True]
    assert told == [3]


def test_float16_is_the_nearest_one(vectors: npt.NDArray[np.float32]) -> None:
    """As numpy rounds."""
    np.testing.assert_array_equal(
        shard(vectors, EmbedRecipe("sha256:1", TextKind.PASSAGE, data_type="float16")), vectors.astype(np.float16)
    )


def test_bits_are_the_signs_with_the_first_number_highest(vectors: npt.NDArray[np.float32]) -> None:
    """Ten numbers are two bytes, whose last six bits are 0; a number of 0 is no bit, of either sign."""
    recipe = EmbedRecipe("sha256:1", TextKind.PASSAGE, data_type="bits")
    packed = shard(vectors, recipe)
    assert packed.shape == (3, recipe.width(INFO)) == (3, 2)
    for row, values in zip(packed, vectors, strict=True):
        bits = "".join("1" if value > 0 else "0" for value in values) + "000000"
        assert row.tolist() == [int(bits[:8], 2), int(bits[8:], 2)]


def test_a_recipe_is_read_back_from_its_configuration() -> None:
    """What is not given is not there, so that what is added one day leaves the ids of today."""
    full = EmbedRecipe("sha256:1", TextKind.QUERY, "find", 64, "int8", "bfloat16", "sha256:2")
    assert EmbedRecipe.read(full.config()) == full
    assert EmbedRecipe.read(RECIPE.config()) == RECIPE
    assert RECIPE.config() == {
        "fingerprint": "sha256:1",
        "kind": "passage",
        "data_type": "float32",
        "precision": "float32",
    }


def test_an_embedder_that_breaks_its_word_is_refused(vectors: npt.NDArray[np.float32]) -> None:
    """A vector too short, one too few, or one with NaN, which is named by its text."""
    with pytest.raises(DimensionMismatchError, match=r"\(3, 9\), expected \(3, 10\)"):
        shard(vectors[:, :9])
    with pytest.raises(DimensionMismatchError):
        shard(vectors[:2])
    vectors[2, 4] = np.nan
    with pytest.raises(InvalidArgumentError, match="not finite") as raised:
        shard(vectors)
    assert raised.value.field == "texts[2]"


def test_what_the_embedder_cannot_do_is_refused(minilm: TextEncoder) -> None:
    """By the name of the option; its own dimensions are no fault, nor is what it was not asked for."""
    for name, recipe in (
        ("instruction", EmbedRecipe("sha256:1", TextKind.QUERY, instruction="find")),
        ("dimensions", EmbedRecipe("sha256:1", TextKind.QUERY, dimensions=4)),
    ):
        with pytest.raises(InvalidArgumentError) as raised:
            check_recipe(minilm, recipe)
        assert raised.value.field == name
    check_recipe(minilm, EmbedRecipe("sha256:1", TextKind.QUERY, dimensions=384))
    check_recipe(minilm, RECIPE)


def test_shards_have_the_vectors_of_the_embedder_itself(minilm: TextEncoder) -> None:
    """Bit for bit, however the texts are divided."""
    texts = ["a cat", "", "a text of some more words"] * 5
    expected = minilm.embed(texts, TextKind.QUERY).vectors
    recipe = EmbedRecipe(minilm.info.fingerprint, TextKind.QUERY)
    for size in (1, 4, 15):
        found = []
        for first in range(0, len(texts), size):
            rows = tokenize_shard(minilm, recipe, texts[first : first + size])
            found.append(embed_shard(minilm, recipe, cast("list[TokenRow]", rows), lambda done: None).vectors)
        assert np.concatenate(found).tobytes() == expected.tobytes()
