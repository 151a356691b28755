"""`lodex ingest`: files, folders, globs and named sources into a store."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import JsonFlag, app, plural, print_json, say
from lodex.cli.job import LogJsonFlag, WorkersOption, job_progress, print_tasks, workers_of
from lodex.cli.memory import parse_memory
from lodex.errors import InvalidArgumentError
from lodex.index.ingest import IngestSummary, OnError
from lodex.index.ingest import ingest as ingest_inputs
from lodex.index.manifest import newest_version
from lodex.index.sources.fields import Fields
from lodex.index.sources.inputs import NAMED_SOURCES, READERS
from lodex.index.sources.reading import MAX_DOCUMENT_BYTES
from lodex.index.store import Store
from lodex.index.suffix_memory import segment_bytes_within
from lodex.index.writer import SEGMENT_BYTES

_INPUTS_HELP = (
    f"Files ({', '.join(READERS)}), folders, quoted globs, - for JSON lines from standard input, "
    f"or a named source ({', '.join(NAMED_SOURCES)})."
)


@app.command()
def ingest(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Path of a store; made if it is not there.")],
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help=_INPUTS_HELP)],
    id_field: Annotated[str, typer.Option(help="Field with the doc_id, else _id, id, doc_id or docid.")] = "",
    text_field: Annotated[str, typer.Option(help="Field with the text, else text, contents, content or body.")] = "",
    title_field: Annotated[str, typer.Option(help="Field with the title, else title.")] = "",
    source_field: Annotated[str, typer.Option(help="Field that says where the text is from, else source.")] = "",
    url_field: Annotated[str, typer.Option(help="Field with the URL, else url.")] = "",
    date_field: Annotated[str, typer.Option(help="Field with an ISO 8601 date, else date.")] = "",
    metadata_field: Annotated[
        list[str] | None, typer.Option(help="Field to keep as metadata; repeatable. All that are left, unless given.")
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="fail: stop at the first bad input, write nothing. skip: leave it out and count it.")
    ] = "fail",
    replace: Annotated[
        bool, typer.Option("--replace", help="Let new documents take the place of old doc_ids.")
    ] = False,
    max_document_bytes: Annotated[int, typer.Option(min=1, help="Refuse larger documents.")] = MAX_DOCUMENT_BYTES,
    segment_bytes: Annotated[int, typer.Option(min=1, help="Begin a new segment at this much text.")] = SEGMENT_BYTES,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="Keep segments so small that the suffixes of one can be sorted within this: 512MB, 4GB.",
        ),
    ] = None,
    workers: WorkersOption = None,
    as_json: JsonFlag = False,
    log_json: LogJsonFlag = False,
) -> None:
    """Add documents to a store as one new version: all of them, or none if one is bad.

    Run again after an interruption, it does not repeat what it had finished.
    """
    fields = Fields(
        id=id_field,
        text=text_field,
        title=title_field,
        source=source_field,
        url=url_field,
        date=date_field,
        metadata=tuple(metadata_field) if metadata_field else None,
    )
    if memory is not None:
        segment_bytes = min(segment_bytes, segment_bytes_within(parse_memory(memory)))
    with _opened(store) as opened, job_progress(log_json) as progress:
        summary = ingest_inputs(
            opened,
            inputs,
            fields=fields,
            on_error=on_error,
            replace=replace,
            max_document_bytes=max_document_bytes,
            segment_bytes=segment_bytes,
            progress=progress,
            workers=workers_of(workers),
        )
    if as_json:
        print_json(summary)
    else:
        _print(summary)
    _print_lacking(opened)


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    """The store at `path`; one that is made for this is removed again where the arguments turn out wrong."""
    if newest_version(path):
        yield Store.open(path)
        return
    had_folder = path.exists()
    store = Store.create(path)
    try:
        yield store
    except InvalidArgumentError:
        if newest_version(path) == 1 and not any((path / "segments").iterdir()):
            shutil.rmtree(path)
            if had_folder:
                path.mkdir()
        raise


def _print_lacking(store: Store) -> None:
    """Say on stderr which indexes do not cover what the store holds now."""
    manifest = store.snapshot().manifest
    total = len(manifest.segments)
    lacking = [
        f"{name} covers {len(entry.parts)} of {plural(total, 'segment')}"
        for name, entry in sorted(manifest.indexes.items())
        if len(entry.parts) < total
    ]
    if lacking:
        print(f"{', '.join(lacking)}; run: lodex index update {store.path}", file=sys.stderr)


def _print(summary: IngestSummary) -> None:
    rate = summary.text_bytes / 1e6 / max(summary.seconds, 1e-9)
    say(
        f"version {summary.version}: {plural(summary.documents, 'document')}, {summary.text_bytes / 1e6:,.1f} MB "
        f"of text from {plural(summary.files, 'input')} in {summary.seconds:,.1f} s ({rate:,.0f} MB/s)"
    )
    if summary.replaced:
        say(f"replaced {plural(summary.replaced, 'document')}")
    if sum(kind.done + kind.skipped for kind in summary.tasks) > 1:
        print_tasks(summary.tasks)
    for skipped in summary.skipped:
        print(f"skipped {skipped.count:,}: {skipped.fault}", file=sys.stderr)
        for example in skipped.examples:
            print(f"  {example}", file=sys.stderr)
    if summary.passed_over:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(summary.passed_over.items()))
        print(f"passed over: {kinds}", file=sys.stderr)
