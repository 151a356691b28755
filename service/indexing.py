"""Building indexes: from names and configurations to builders, dependencies first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lodex.embed.registry import DEFAULT_ENCODER
from lodex.errors import FailedPreconditionError
from lodex.index.build import Builder, build_index
from lodex.index.dense_build import IVF_FROM, DenseBuilder, read_encoder
from lodex.index.manifest import IndexEntry, read_manifest
from lodex.index.passages import DEFAULT_CHUNKING, PassagesBuilder
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import DEFAULT_TOKENIZER, Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.service.models import Models
from lodex.service.token_streams import open_tokenizer
from lodex.types import Progress

__all__ = [
    "DEFAULT_TOKENIZER",
    "IndexStatus",
    "build_dense_index",
    "build_passages",
    "build_suffix_index",
    "index_status",
    "update_indexes",
]


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """An index and over how many segments of the version it is built."""

    name: str
    kind: str
    segments_ok: int
    segments_total: int

    @property
    def is_complete(self) -> bool:
        """Whether it covers every document."""
        return self.segments_ok == self.segments_total


def build_passages(store: Store, chunking: str = DEFAULT_CHUNKING, progress: Progress | None = None) -> Snapshot:
    """Cut every document into passages; the index is called after the chunking."""
    return build_index(store, chunking, PassagesBuilder(chunking), progress)


def build_suffix_index(
    store: Store, tokenizer: str = DEFAULT_TOKENIZER, name: str = "suffix", progress: Progress | None = None
) -> Snapshot:
    """Encode every document as tokens, and sort the suffixes; the stream is called after the tokenizer."""
    loaded = Tokenizer.load(tokenizer)
    build_index(store, loaded.name, TokensBuilder(loaded), progress)
    return build_index(store, name, SuffixBuilder(loaded.name), progress)


def build_dense_index(
    store: Store,
    model: str = DEFAULT_ENCODER,
    chunking: str = DEFAULT_CHUNKING,
    name: str = "dense",
    progress: Progress | None = None,
    *,
    ivf_from: int = IVF_FROM,
) -> Snapshot:
    """Cut every document into passages and embed them. `model` is a packaged embedder, or the folder of one.

    A segment of `ivf_from` passages or more gets inverted lists.
    """
    from lodex.embed.registry import load_encoder  # torch is imported only where something is embedded

    build_passages(store, chunking, progress)
    encoder = load_encoder(model)
    return build_index(
        store, name, DenseBuilder(chunking, encoder.info, encoder.embed_passages, ivf_from=ivf_from), progress
    )


def index_status(snapshot: Snapshot) -> list[IndexStatus]:
    """Every index of a version, in the order in which they can be built."""
    manifest = snapshot.manifest
    return [
        IndexStatus(name, entry.kind, len(entry.parts), len(manifest.segments))
        for name, entry in _dependencies_first(snapshot)
    ]


def update_indexes(store: Store, progress: Progress | None = None, models: Models | None = None) -> tuple[str, ...]:
    """Build what any index lacks, with the configuration it has; returns the names of those that lacked something.

    An index whose tokenizer or embedder is no more there as it was raises FailedPreconditionError or
    AlreadyExistsError; what was built before it stays built.
    """
    snapshot = store.snapshot()
    lacking = [status.name for status in index_status(snapshot) if not status.is_complete]
    for name in lacking:
        build_index(store, name, _builder_of(store, snapshot, name, models or Models()), progress)
    return tuple(lacking)


_ORDER = ("passages", "tokens", "suffix", "dense")


def _dependencies_first(snapshot: Snapshot) -> Iterator[tuple[str, IndexEntry]]:
    indexes = snapshot.manifest.indexes
    for kind in _ORDER:
        yield from ((name, indexes[name]) for name in sorted(indexes) if indexes[name].kind == kind)


def _builder_of(store: Store, snapshot: Snapshot, name: str, models: Models) -> Builder:
    """The builder that made an index, from its configuration in the manifest."""
    entry = snapshot.index(name)
    config = entry.config
    if entry.kind == "passages":
        return PassagesBuilder(config["chunking"])
    if entry.kind == "tokens":
        return TokensBuilder(_tokenizer_of(store, snapshot, name))
    if entry.kind == "suffix":
        return SuffixBuilder(config["stream"])
    encoder = models.load_same(read_encoder(config))
    return DenseBuilder(config["chunking"], encoder.info, encoder.embed_passages, ivf_from=config["ivf_from"])


def _tokenizer_of(store: Store, snapshot: Snapshot, name: str) -> Tokenizer:
    """The tokenizer of a stream: the copy in its newest part, in an older version if need be, or the bundled one.

    The name in the configuration is not looked for: a file or a hub may have another tokenizer by now.
    """
    for version in range(snapshot.version, 0, -1):
        entry = read_manifest(store.path, version).indexes.get(name)
        if entry is not None and entry.parts:
            return open_tokenizer(store.snapshot(version), name)
    config = snapshot.index(name).config
    if config["tokenizer"] == DEFAULT_TOKENIZER:
        bundled = Tokenizer.load()
        if bundled.fingerprint == config["fingerprint"]:
            return bundled
    raise FailedPreconditionError(
        f"token stream {name!r} has no part to take its tokenizer from: build it again with --tokenizer"
    )
