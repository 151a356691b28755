"""Building indexes: from names and configurations to builders, dependencies first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lodex.embed.registry import DEFAULT_ENCODER
from lodex.errors import FailedPreconditionError, FingerprintMismatchError
from lodex.index.build import Builder, build_indexes
from lodex.index.dense_build import IVF_FROM, DenseBuilder, read_encoder
from lodex.index.dependencies import dependencies_first
from lodex.index.job_report import JobReport
from lodex.index.knn_build import LISTS_FROM, KnnBuilder, read_source
from lodex.index.knn_files import KeySource
from lodex.index.manifest import is_removed, read_manifest, versions
from lodex.index.passages import DEFAULT_CHUNKING, PassagesBuilder
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import DEFAULT_TOKENIZER, Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.index.worker_pool import WorkerPool
from lodex.lm.registry import DEFAULT_LANGUAGE_MODEL, load_language_model
from lodex.service.language_models import LanguageModels
from lodex.service.models import Models
from lodex.service.token_streams import open_tokenizer
from lodex.types import Progress

if TYPE_CHECKING:
    from lodex.lm.model import LanguageModel

__all__ = [
    "DEFAULT_LANGUAGE_MODEL",
    "DEFAULT_TOKENIZER",
    "IndexStatus",
    "build_dense_index",
    "build_knn_index",
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


def build_passages(
    store: Store,
    chunking: str = DEFAULT_CHUNKING,
    progress: Progress | None = None,
    *,
    workers: int = 1,
    report: JobReport | None = None,
) -> Snapshot:
    """Cut every document into passages; the index is called after the chunking."""
    build_with(store, {chunking: PassagesBuilder(chunking)}, progress, workers=workers, report=report)
    return store.snapshot()


def build_suffix_index(
    store: Store,
    tokenizer: str = DEFAULT_TOKENIZER,
    name: str = "suffix",
    progress: Progress | None = None,
    *,
    page_keys: bool = False,
    workers: int = 1,
    report: JobReport | None = None,
    memory_bytes: int | None = None,
) -> Snapshot:
    """Encode every document as tokens, and sort the suffixes; the stream is called after the tokenizer.

    With `page_keys` searches of files that are not in memory read few pages. Each process sorts within `memory_bytes`,
    see `SuffixBuilder`; ResourceExhaustedError where it cannot.
    """
    loaded = Tokenizer.load(tokenizer)
    suffixes = SuffixBuilder(loaded.name, page_keys=page_keys, memory_bytes=memory_bytes)
    builders: dict[str, Builder] = {loaded.name: TokensBuilder(loaded), name: suffixes}
    build_with(store, builders, progress, workers=workers, report=report)
    return store.snapshot()


def build_dense_index(
    store: Store,
    model: str = DEFAULT_ENCODER,
    chunking: str = DEFAULT_CHUNKING,
    name: str = "dense",
    progress: Progress | None = None,
    *,
    ivf_from: int = IVF_FROM,
    workers: int = 1,
    report: JobReport | None = None,
    models: Models | None = None,
) -> Snapshot:
    """Cut every document into passages and embed them. `model` is a packaged embedder, or the folder of one.

    A name that `models` has is taken from there, so that no process loads an embedder twice. A segment of `ivf_from`
    passages or more gets inverted lists. A build that is killed loses no more than a shard of passages.
    """
    from lodex.embed.registry import load_encoder  # torch is imported only where something is embedded

    encoder = models.load(model) if models is not None and model in models.names else load_encoder(model)
    dense = DenseBuilder(chunking, encoder.info, encoder.embed_passages, ivf_from=ivf_from)
    build_with(store, {chunking: PassagesBuilder(chunking), name: dense}, progress, workers=workers, report=report)
    return store.snapshot()


def build_knn_index(
    store: Store,
    model: str | Path = DEFAULT_LANGUAGE_MODEL,
    name: str = "knn",
    window_tokens: int | None = None,
    stride_tokens: int | None = None,
    progress: Progress | None = None,
    *,
    lists_from: int = LISTS_FROM,
    workers: int = 1,
    report: JobReport | None = None,
) -> Snapshot:
    """Keep the states of a language model over the token stream of its own tokenizer, which is built if missing.

    `model` is a packaged language model, or the folder of one; long documents are read in windows, by default of the
    model's limit and half of it. A segment of `lists_from` tokens or more gets inverted lists.
    FingerprintMismatchError where the stream of that name is of another tokenizer.
    """
    from lodex.lm.states import KeyMaker  # torch is imported only where something is computed

    loaded = load_language_model(model)
    stream, tokens = stream_for(store, loaded)
    keys = KeyMaker(loaded.decoder, window_tokens, stride_tokens)
    knn = KnnBuilder(stream, keys.source, keys, lists_from=lists_from)
    build_with(store, {stream: tokens, name: knn}, progress, workers=workers, report=report)
    return store.snapshot()


def index_status(snapshot: Snapshot) -> list[IndexStatus]:
    """Every index of a version, in the order in which they can be built."""
    manifest = snapshot.manifest
    return [
        IndexStatus(name, manifest.indexes[name].kind, len(manifest.indexes[name].parts), len(manifest.segments))
        for name in dependencies_first(manifest.indexes)
    ]


def update_indexes(
    store: Store,
    progress: Progress | None = None,
    models: Models | None = None,
    language_models: LanguageModels | None = None,
    *,
    workers: int = 1,
    report: JobReport | None = None,
) -> tuple[str, ...]:
    """Build what any index lacks, with the configuration it has; returns the names of those that lacked something.

    An index whose tokenizer or model is no more there as it was raises FailedPreconditionError before anything is
    built. Segments that others publish meanwhile are built too.
    """
    lacking = [status.name for status in index_status(store.snapshot()) if not status.is_complete]
    if not lacking:
        return ()
    builders = index_builders(store, models, language_models)
    return build_with(store, builders, progress, workers=workers, report=report)


def index_builders(
    store: Store, models: Models | None = None, language_models: LanguageModels | None = None
) -> dict[str, Builder]:
    """What builds each index of the store, dependencies first; FailedPreconditionError where something is not there."""
    known = models or Models(), language_models or LanguageModels()
    names = dependencies_first(store.snapshot().manifest.indexes)
    return {name: index_builder(store, name, *known) for name in names}


def index_builder(store: Store, name: str, models: Models, language_models: LanguageModels) -> Builder:
    """What builds one index of the store; FailedPreconditionError where something is not there."""
    return _builder_of(store, store.snapshot(), name, models, language_models)


def build_with(
    store: Store,
    builders: Mapping[str, Builder],
    progress: Progress | None = None,
    *,
    workers: int = 1,
    report: JobReport | None = None,
) -> tuple[str, ...]:
    """Build indexes, and again what other writers publish meanwhile; the names of those that lacked something.

    `workers` processes share the segments where a builder needs no model; `report` is told of every task.
    """
    lacking = _lacking(store.snapshot(), builders)
    with WorkerPool(workers) as pool:
        for _ in range(_MAX_ROUNDS):
            version = store.version
            build_indexes(store, builders, progress, pool=pool, report=report)
            if store.version == version or not _lacking(store.snapshot(), builders):
                break
    return lacking


# Against a writer that publishes faster than indexes are built; the rest is for the next update.
_MAX_ROUNDS = 10


def _lacking(snapshot: Snapshot, builders: Mapping[str, Builder]) -> tuple[str, ...]:
    complete = {status.name for status in index_status(snapshot) if status.is_complete}
    return tuple(name for name in builders if name not in complete)


def _builder_of(
    store: Store, snapshot: Snapshot, name: str, models: Models, language_models: LanguageModels
) -> Builder:
    """The builder that made an index, from its configuration in the manifest."""
    entry = snapshot.index(name)
    config = entry.config
    if entry.kind == "passages":
        return PassagesBuilder(config["chunking"])
    if entry.kind == "tokens":
        return TokensBuilder(_tokenizer_of(store, snapshot, name))
    if entry.kind == "suffix":
        return SuffixBuilder.of(config)
    if entry.kind == "knn":
        from lodex.lm.states import KeyMaker

        source = read_source(config)
        decoder = _load_same(source, language_models).decoder
        keys = KeyMaker(decoder, source.window_tokens, source.stride_tokens)
        return KnnBuilder(config["stream"], source, keys, lists_from=config["lists_from"])
    encoder = models.load_same(read_encoder(config))
    return DenseBuilder(config["chunking"], encoder.info, encoder.embed_passages, ivf_from=config["ivf_from"])


def _load_same(wanted: KeySource, language_models: LanguageModels) -> LanguageModel:
    """The very language model that an index was built with; FailedPreconditionError where this is not to be had."""
    if wanted.model not in language_models.names:
        raise FailedPreconditionError(
            f"the index was built with language model {wanted.model!r}, and here are only "
            f"{', '.join(language_models.names)}: name its folder, as --language-model-folder {wanted.model}=PATH "
            f"or language_models.{wanted.model} in the settings"
        )
    model = language_models.load(wanted.model)
    if model.info.fingerprint != wanted.fingerprint:
        raise FailedPreconditionError(
            f"the index was built with another {wanted.model!r} ({wanted.fingerprint}) than the one here "
            f"({model.info.fingerprint}): build it again"
        )
    return model


def stream_for(store: Store, model: LanguageModel) -> tuple[str, Builder]:
    """The token stream that a language model reads, by its fingerprint, and what builds it."""
    snapshot = store.snapshot()
    info = model.info
    for name, entry in sorted(snapshot.manifest.indexes.items()):
        if entry.kind == "tokens" and entry.config["fingerprint"] == info.tokenizer_fingerprint:
            return name, TokensBuilder(_tokenizer_of(store, snapshot, name))
    bundled = Tokenizer.load()
    tokenizer = bundled if bundled.fingerprint == info.tokenizer_fingerprint else model.tokenizer
    taken = snapshot.manifest.indexes.get(tokenizer.name)
    if taken is not None and taken.kind == "tokens":
        raise FingerprintMismatchError(
            f"stream {tokenizer.name!r} is of tokenizer {taken.config['fingerprint']}, "
            f"model {info.name!r} reads tokens of {info.tokenizer_fingerprint}"
        )
    return tokenizer.name, TokensBuilder(tokenizer)


def _tokenizer_of(store: Store, snapshot: Snapshot, name: str) -> Tokenizer:
    """The tokenizer of a stream: the copy in its newest part, in an older version if need be, or the bundled one.

    The name in the configuration is not looked for: a file or a hub may have another tokenizer by now.
    """
    for version in reversed(versions(store.path)):
        if is_removed(store.path, version):
            continue
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
