"""Verbs about a store: info and verify."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import JsonFlag, app, plural, print_json, print_table, say
from lodex.cli.progress import terminal_progress
from lodex.cli.target import AddressOption, ApiKeyFile, StoreOption, connect
from lodex.errors import DataLossError, InvalidArgumentError, NotFoundError
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
    if path is not None:
        for option, other in (("address", address), ("store", store)):
            # What stands in the environment is a default, and gives way.
            if other and getattr(context.get_parameter_source(option), "name", "") == "COMMANDLINE":
                raise InvalidArgumentError(f"say either PATH or --{option}, not both", option)
        address = store = ""
    everything = bool(address) and not store
    with connect(address, "*" if everything else str(path or store), api_key_file) as (client, name):
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
    version: Annotated[int | None, typer.Option(help="A version; the newest unless given.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Prove a store: check every byte of a version against its checksums."""
    from lodex.index.verify import verify_store

    if not newest_version(path):
        raise NotFoundError(f"no store at {path}")
    with terminal_progress() as progress:
        report = verify_store(path, version, progress)
    if as_json:
        print_json(report)
    else:
        for sentence in report.damaged:
            print(f"damaged: {sentence}", file=sys.stderr)
    if report.damaged:
        raise DataLossError(f"{len(report.damaged)} of {report.folders} folders of {path} are damaged")
    if not as_json:
        say(f"version {report.version} is sound: {plural(report.folders, 'folder')}, {report.bytes / 1e6:,.1f} MB")


# What tells one index from another; fingerprints and types are for programs, which read --json.
_SHOWN = ("stream", "tokenizer", "vocabulary_size", "model", "dimension", "chunking", "truncated")


def _details(index: IndexInfo) -> str:
    facts = {**index.config, **index.details}
    return ", ".join(f"{name} {facts[name]}" for name in _SHOWN if name in facts and facts[name] != index.name)
