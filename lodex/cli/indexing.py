"""`lodex index`: passages, suffix, dense, knn, and update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import JsonFlag, app, plural, print_json, say
from lodex.cli.job import LogJsonFlag, WorkersOption, job_progress, print_tasks, workers_of
from lodex.cli.memory import MemoryOption, memory_of
from lodex.cli.target import LanguageModelFolders, ModelFolders, named_folders, named_language_models
from lodex.index.job_report import JobReport, KindSummary
from lodex.index.store import Store

index_app = typer.Typer(
    no_args_is_help=True, help="Build indexes; what an interrupted build finished is not built again."
)
app.add_typer(index_app, name="index")

StorePath = Annotated[Path, typer.Argument(metavar="STORE", help="Path of a store.")]
NameOption = Annotated[str, typer.Option("--name", help="What to call the index.")]
ChunkingOption = Annotated[str, typer.Option("--chunking", "--passages", help="180w, 256w or document.")]
TokenizerOption = Annotated[
    str, typer.Option("--tokenizer", help="The bundled tokenizer, or a tokenizer.json by path or hub name.")
]


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index after a build, and over how many segments it stands."""

    name: str
    kind: str
    segments_ok: int
    segments_total: int


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """What a build did, for programs."""

    version: int
    indexes: tuple[BuiltIndex, ...]
    tasks: tuple[KindSummary, ...]


def _report(store: Store, names: Sequence[str], report: JobReport, as_json: bool) -> None:
    """Say what was built, and by how many tasks."""
    manifest = store.snapshot().manifest
    built = tuple(
        BuiltIndex(name, manifest.indexes[name].kind, len(manifest.indexes[name].parts), len(manifest.segments))
        for name in names
    )
    if as_json:
        print_json(BuildSummary(manifest.version, built, report.summary()))
        return
    for index in built:
        say(f"{index.name}: {index.kind} over {plural(index.segments_ok, 'segment')}, version {manifest.version}")
    print_tasks(report.summary())


@index_app.command()
def passages(
    store: StorePath,
    chunking: ChunkingOption = "180w",
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
    log_json: LogJsonFlag = False,
) -> None:
    """Cut the documents into passages."""
    from lodex.service.indexing import build_passages

    opened = Store.open(store)
    report = JobReport()
    with job_progress(log_json) as progress:
        build_passages(opened, chunking, progress, workers=workers_of(workers), report=report)
    _report(opened, [chunking], report, as_json)


@index_app.command()
def suffix(
    store: StorePath,
    tokenizer: TokenizerOption = "",
    name: NameOption = "suffix",
    memory: MemoryOption = None,
    page_keys: Annotated[
        bool, typer.Option("--page-keys", help="Also write keys by which searches of cold files read few pages.")
    ] = False,
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
    log_json: LogJsonFlag = False,
) -> None:
    """Build a suffix array over the tokens: counts, probabilities, ∞-gram queries, documents.

    With --memory a segment that cannot be sorted whole within it is sorted in blocks that are merged; several workers
    share it, and each has its part. What cannot be done within it is refused with what it takes.
    """
    from lodex.service.indexing import DEFAULT_TOKENIZER, build_suffix_index

    limit = memory_of(memory, workers_of(workers))
    opened = Store.open(store)
    report = JobReport()
    with job_progress(log_json) as progress:
        build_suffix_index(
            opened,
            tokenizer or DEFAULT_TOKENIZER,
            name,
            progress,
            page_keys=page_keys,
            workers=workers_of(workers),
            report=report,
            memory_bytes=limit,
        )
    _report(opened, [name], report, as_json)


@index_app.command()
def dense(
    store: StorePath,
    model: Annotated[str, typer.Option("--model", help="minilm, or the folder of an embedder.")] = "minilm",
    chunking: ChunkingOption = "180w",
    name: NameOption = "dense",
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
    log_json: LogJsonFlag = False,
) -> None:
    """Embed the passages and build a FAISS index over them."""
    from lodex.embed.registry import PACKAGED
    from lodex.index.dense_build import read_encoder
    from lodex.service.indexing import build_dense_index

    opened = Store.open(store)
    report = JobReport()
    with job_progress(log_json) as progress:
        build_dense_index(opened, model, chunking, name, progress, workers=workers_of(workers), report=report)
    _report(opened, [name], report, as_json)
    if as_json:
        return
    parts = [part for _, part in opened.snapshot().parts(name) if part is not None]
    total = sum(part.receipt.rows for part in parts)
    truncated = sum(part.receipt.details["truncated"] for part in parts)
    say(f"{truncated:,} of {total:,} passages were truncated by the encoder ({truncated / max(total, 1):.2%})")
    if model not in PACKAGED:
        recorded = read_encoder(opened.snapshot().index(name).config).name
        say(f"the embedder is recorded as {recorded}: ask and update with --model-folder {recorded}={model}")


@index_app.command()
def knn(
    store: StorePath,
    model: Annotated[
        str, typer.Option("--model", help="lodex-mini-lm, or the folder of a language model.")
    ] = "lodex-mini-lm",
    name: NameOption = "knn",
    window: Annotated[
        int | None, typer.Option("--window", help="Tokens that are read together. Default: the model's limit.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option("--stride", help="Tokens from one window to the next. Default: half a window.")
    ] = None,
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
    log_json: LogJsonFlag = False,
) -> None:
    """Keep a language model's state after every token: nearest neighbours for score, generate and ask."""
    from lodex.index.knn import KnnIndex
    from lodex.lm.registry import PACKAGED
    from lodex.service.indexing import build_knn_index

    opened = Store.open(store)
    report = JobReport()
    with job_progress(log_json) as progress:
        snapshot = build_knn_index(
            opened, model, name, window, stride, progress, workers=workers_of(workers), report=report
        )
    _report(opened, [name], report, as_json)
    if as_json or not snapshot.segments:
        return
    index = KnnIndex(snapshot, name)
    say(
        f"{plural(index.num_entries, 'key')} of {index.dimension} numbers, "
        f"windows of {index.window_tokens} tokens every {index.stride_tokens}"
    )
    if model not in PACKAGED:
        recorded = index.model
        say(f"the model is recorded as {recorded}: ask and update with --language-model-folder {recorded}={model}")


@index_app.command()
def update(
    store: StorePath,
    model_folder: ModelFolders = None,
    language_model_folder: LanguageModelFolders = None,
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
    log_json: LogJsonFlag = False,
) -> None:
    """Bring every index of the store up to date with its documents."""
    from lodex.service.indexing import update_indexes
    from lodex.service.language_models import LanguageModels
    from lodex.service.models import Models

    models = Models(named_folders(model_folder))
    language_models = LanguageModels(named_language_models(language_model_folder))
    opened = Store.open(store)
    report = JobReport()
    with job_progress(log_json) as progress:
        names = update_indexes(opened, progress, models, language_models, workers=workers_of(workers), report=report)
    _report(opened, names, report, as_json)
    if not names and not as_json:
        say("every index covers every segment")
