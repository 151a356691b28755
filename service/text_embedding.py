"""Texts to vectors as a request wants them: for Embed, for its stream, and for clients of other interfaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.embed.conventions.convention import Convention
from lodex.embed.conventions.templates import TASK
from lodex.embed.tokens.framing import TokenRow
from lodex.embed.vectors.matryoshka import check_dimensions, truncate_dimensions, unit_length
from lodex.errors import InvalidArgumentError, LodexError, UnimplementedError
from lodex.service.call import Call
from lodex.service.embed_queue import Priority
from lodex.service.models import Embedder, tokenize
from lodex.types import EncoderInfo, TextKind

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class VectorForm:
    """How texts are read and their vectors wanted; None is as the model prescribes.

    `kind` None reads a text as it stands. A text beyond the model's limit is cut to it, unless `truncate` is False.
    """

    kind: TextKind | None
    instruction: str | None = None
    normalize: bool | None = None
    dimensions: int | None = None
    truncate: bool = True


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """Vectors (n, d) float32 in the order of the texts, and their rows; where one is an error, the vector is zero."""

    rows: Sequence[TokenRow | LodexError]
    vectors: Vectors
    tokens: int
    tokenize_ns: int
    queue_ns: int
    inference_ns: int


async def embed_texts(
    embedder: Embedder, texts: Sequence[str], form: VectorForm, call: Call, priority: Priority = Priority.INTERACTIVE
) -> EmbeddedTexts:
    """Embed each text; one that cannot be read, or to which the model gives no finite vector, fails alone.

    InvalidArgumentError names a form that the embedder does not have. Rows are refused before the model reads them.
    """
    check_form(form, embedder.encoder.convention, embedder.info)
    tokenized = await tokenize(embedder, texts, form.kind, call, form.instruction)
    rows = [_refused(row, form, embedder.info) for row in tokenized.rows]
    wanted = [row for row in rows if isinstance(row, TokenRow)]
    embedded = await call.embed(embedder.queue, wanted, priority)
    vectors = np.zeros((len(rows), form.dimensions or embedder.info.dimension), np.float32)
    if wanted:
        is_finite = np.isfinite(embedded.vectors).all(axis=1)
        read = np.flatnonzero([isinstance(row, TokenRow) for row in rows])
        vectors[read[is_finite]] = _shaped(embedded.vectors[is_finite], form, embedder)
        for i in read[~is_finite]:
            rows[i] = InvalidArgumentError(f"{embedder.info.name!r} gave a vector that is not finite")
    tokens = sum(len(row.ids) for row in wanted)
    return EmbeddedTexts(rows, vectors, tokens, tokenized.tokenize_ns, embedded.queue_ns, embedded.compute_ns)


def check_form(form: VectorForm, convention: Convention, info: EncoderInfo) -> None:
    """Refuse a form of vectors that the embedder cannot give."""
    if form.instruction is not None and not takes_instruction(convention, form.kind):
        of_kind = f" for a {form.kind.value}" if form.kind and takes_instruction(convention) else ""
        raise InvalidArgumentError(f"embedder {info.name!r} takes no instruction{of_kind}", "instruction")
    if form.dimensions is not None:
        check_dimensions(form.dimensions, info.dimension, convention.matryoshka)
    if form.normalize is False and info.normalized:
        raise UnimplementedError(f"normalize: vectors of {info.name!r} that are not normalised are not built yet")


def takes_instruction(convention: Convention, kind: TextKind | None = None) -> bool:
    """Whether the model's prompt for a kind of text has a place for an instruction; for any kind where it is None."""
    prompts = {TextKind.QUERY: convention.query_prompt, TextKind.PASSAGE: convention.passage_prompt}
    return any(TASK in prompt for of_kind, prompt in prompts.items() if kind in (None, of_kind))


def _refused(row: TokenRow | LodexError, form: VectorForm, info: EncoderInfo) -> TokenRow | LodexError:
    """The row, or the error of one that would have to be cut and must not be."""
    if isinstance(row, TokenRow) and row.truncated and not form.truncate:
        return InvalidArgumentError(f"the text is longer than the {info.max_tokens} tokens of {info.name!r}")
    return row


def _shaped(vectors: Vectors, form: VectorForm, embedder: Embedder) -> Vectors:
    """Cut as wanted, and of length one where the caller wants it or a cut took it away."""
    if form.dimensions is not None and form.dimensions != embedder.info.dimension:
        declared = embedder.encoder.convention.matryoshka
        return truncate_dimensions(vectors, form.dimensions, declared, normalize=form.normalize is not False)
    return unit_length(vectors) if form.normalize and not embedder.info.normalized else vectors
