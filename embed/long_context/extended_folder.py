"""An embedder's folder as one that reads longer texts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from lodex.embed.formats.embedder import EmbedderFolder
from lodex.embed.long_context.chunk_average import ChunkAverage
from lodex.embed.long_context.learned_positions import LearnedPositions
from lodex.embed.long_context.rope_scaling import RopeScaling
from lodex.embed.long_context.self_extend import SelfExtend
from lodex.errors import InvalidArgumentError

LongContext = RopeScaling | SelfExtend | LearnedPositions | ChunkAverage


def extend_folder(folder: EmbedderFolder, long_context: LongContext) -> EmbedderFolder:
    """The same embedder with texts cut later, and a fingerprint of its own: its vectors are others.

    Lengths grow from what the embedder was made for, which may be less than its model has positions. Whether the model
    can be extended so is seen when it is opened. InvalidArgumentError where chunks would be averaged that have no
    common length.
    """
    convention = folder.convention
    config: Any = folder.source.config
    if isinstance(long_context, SelfExtend):
        max_tokens = long_context.max_tokens
    elif isinstance(long_context, LearnedPositions):
        max_tokens = folder.family.max_tokens(config) * long_context.factor
    elif isinstance(long_context, RopeScaling):
        max_tokens = int(convention.max_tokens * long_context.factor)
    else:
        if not convention.normalize:
            raise InvalidArgumentError(f"{folder.name}: chunks are averaged of normalised vectors", "long_context")
        max_tokens = convention.max_tokens * long_context.chunks
    told = f"{folder.fingerprint} {long_context!r}"
    return replace(
        folder,
        convention=replace(convention, max_tokens=max_tokens),
        fingerprint=f"sha256:{hashlib.sha256(told.encode()).hexdigest()}",
    )
