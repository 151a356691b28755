"""The verb that lists documents."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import JsonFlag, app, print_json, print_table
from lodex.cli.target import AddressOption, ApiKeyFile, StoreOption, connect, path_or_named

WhereOption = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="FILTER",
        help='Only documents for which this is true: source = "books" and date >= "2020" and '
        'metadata.lang in ("en", "de") and not title ^= "Draft".',
    ),
]
_FIELDS = ("doc_id", "source", "title", "url", "date", "metadata")


@app.command()
def documents(
    context: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="Path of a store; the same as --store.")] = None,
    where: WhereOption = None,
    limit: Annotated[int, typer.Option(min=0, help="List at most so many; 0 lists all.")] = 100,
    version: Annotated[int | None, typer.Option(help="A version; the newest unless given.")] = None,
    address: AddressOption = "",
    store: StoreOption = "",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """List the documents of a store, without their texts."""
    with connect(*path_or_named(context, path, address, store), api_key_file) as (client, name):
        # One more than is shown tells whether there are others.
        found = client.documents(name, where=where, limit=limit + 1 if limit else None, version=version)
    shown = found[:limit] if limit else found
    if as_json:
        print_json({"documents": [{field: getattr(document, field) for field in _FIELDS} for document in shown]})
    elif shown:
        rows = [(document.doc_id, document.source, document.date, document.title) for document in shown]
        print_table(("doc_id", "source", "date", "title"), rows)
    if len(shown) < len(found):
        print(f"these are the first {limit:,}; all of them: --limit 0", file=sys.stderr)
