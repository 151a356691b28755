"""Verbs about a store: info, verify and repair."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import JsonFlag, app, plural, print_json, print_table, say
from lodex.cli.progress import terminal_progress
from lodex.cli.target import (
    AddressOption,
    ApiKeyFile,
    LanguageModelFolders,
    ModelFolders,
    StoreOption,
    connect,
    named_folders,
    named_language_models,
    path_or_named,
)
from lodex.errors import DataLossError, NotFoundError
from lodex.index.manifest import newest_version
from lodex.types import IndexInfo


@app.command()
def info(
    context: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="Path of a store; the same as --store.")] = None,
    address: AddressOption = "",
    store: StoreOption = "",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Describe a store, or all the stores of a server."""
    address, store = path_or_named(context, path, address, store)
    everything = bool(address) and not store
    with connect(address, "*" if everything else store, api_key_file) as (client, name):
        stores = client.stores() if everything else (client.store(name),)
        if as_json:
            print_json({"stores": stores})
            return
        for item in stores:
            say(
                (item.name, "bold"),
                f"  version {item.version}, {plural(item.documents, 'document')}, "
                f"{item.text_bytes / 1e6:,.1f} MB of text in {plural(item.segments, 'segment')}",
            )
            rows = [
                (index.name, index.kind, index.entries, f"{index.segments_ok}/{index.segments_total}", _details(index))
                for index in item.indexes
            ]
            if rows:
                print_table(("index", "kind", "entries", "segments", "details"), rows)


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="Path of a store.")],
    version: Annotated[int | None, typer.Option(help="A version alone; all of them unless given.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that read; one a core unless given.")] = None,
    quarantine: Annotated[
        bool, typer.Option(help="Record what is damaged, so that no process reads it any more.")
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Prove a store: check every byte of every version against its checksums."""
    from lodex.index.verify import verify_store

    if not newest_version(path):
        raise NotFoundError(f"no store at {path}")
    with terminal_progress() as progress:
        started = time.perf_counter()
        report = verify_store(path, version, progress, workers=workers, quarantine=quarantine)
        seconds = time.perf_counter() - started
    if as_json:
        print_json(report)
    else:
        for sentence in report.damaged:
            print(f"damaged: {sentence}", file=sys.stderr)
    if report.damaged:
        raise DataLossError(f"{path} is damaged in {plural(len(report.damaged), 'place')}; run: lodex repair {path}")
    if not as_json:
        size = f"{report.bytes / 1e6:,.1f} MB, {report.bytes / 1e9 / seconds:.1f} GB/s"
        say(f"version {report.version} is sound: {plural(report.folders, 'folder')}, {size}")


@app.command()
def repair(
    path: Annotated[Path, typer.Argument(help="Path of a store.")],
    model_folder: ModelFolders = None,
    language_model_folder: LanguageModelFolders = None,
    drop: Annotated[
        bool, typer.Option("--drop-lost", help="Take segments whose text is lost out of the store, documents and all.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Build again what reads or `verify` found damaged; name the documents of text that is lost.

    What is lost stays quarantined and answers DATA_LOSS: restore its folder from a backup and repair again, or give it
    up with --drop-lost.
    """
    from lodex.index.repair import drop_lost
    from lodex.index.store import Store
    from lodex.service.language_models import LanguageModels
    from lodex.service.models import Models
    from lodex.service.repair import repair as repair_store

    models = Models(named_folders(model_folder))
    language_models = LanguageModels(named_language_models(language_model_folder))
    with terminal_progress() as progress:
        store = Store.open(path)
        repairs = repair_store(store, progress, models, language_models)
    dropped = drop_lost(store, repairs) if drop else ()
    lost = [each for each in repairs if each.outcome == "lost"]
    if as_json:
        print_json({"repairs": repairs, "dropped": dropped})
    else:
        for each in repairs:
            say(f"{each.kind} {each.id}: {each.outcome}" + (f", {each.why}" if each.why else ""))
            for doc_id in each.doc_ids:
                say(f"  document {doc_id}")
        if not repairs:
            say("nothing is damaged that a read or `lodex verify` has met")
    if dropped:
        say(f"version {store.version} goes on without {plural(len(dropped), 'segment')}")
    elif lost:
        raise DataLossError(f"{len(lost)} of {plural(len(repairs), 'damaged folder')} of {path} cannot be repaired")


# What tells one index from another; fingerprints and types are for programs, which read --json.
_SHOWN = ("stream", "tokenizer", "vocabulary_size", "model", "dimension", "chunking", "truncated")


def _details(index: IndexInfo) -> str:
    facts = {**index.config, **index.details}
    return ", ".join(f"{name} {facts[name]}" for name in _SHOWN if name in facts and facts[name] != index.name)
