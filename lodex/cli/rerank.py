"""`lodex rerank`: texts, or what a search finds, put in order by a model that reads them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodex.cli.app import JsonFlag, app, say
from lodex.cli.queries import IndexOption, report, update_command
from lodex.cli.target import AddressOption, ApiKeyFile, ModelFolders, StoreOption, connect, named_folders
from lodex.errors import InvalidArgumentError
from lodex.types import Hit, Ranking

if TYPE_CHECKING:
    from lodex.client import Client

RerankerFolders = Annotated[
    list[str] | None,
    typer.Option(
        "--reranker-folder",
        metavar="NAME=PATH",
        help="Folder of a further reranker, by the name it is asked for with --model; repeatable.",
    ),
]


@app.command()
def rerank(
    query: Annotated[str, typer.Argument(help="What the texts should answer.")],
    text: Annotated[list[str] | None, typer.Argument(help="Texts to put in order.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="File with one text a line, - for standard input.")
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="Passages to search for, where no texts are given.")] = 20,
    top: Annotated[int | None, typer.Option("--top", min=1, help="How many to show. Default: all.")] = None,
    model: Annotated[str, typer.Option("--model", help="Name of the reranker.")] = "",
    window: Annotated[int | None, typer.Option(min=1, max=26, help="Candidates read at once.")] = None,
    stride: Annotated[int | None, typer.Option(min=1, help="Candidates between the starts of two windows.")] = None,
    index: IndexOption = None,
    address: AddressOption = "",
    store: StoreOption = "",
    api_key_file: ApiKeyFile = None,
    model_folder: ModelFolders = None,
    reranker_folder: RerankerFolders = None,
    as_json: JsonFlag = False,
) -> None:
    """Put texts in order for a query, or without texts what a search of the store finds for it."""
    given = [*(text or ()), *(_lines(file) if file else ())]
    if not given and not store and not address:
        raise InvalidArgumentError("say what to put in order: texts, --file, or --store to search first", "candidates")
    with _connected(address, store, api_key_file, model_folder, reranker_folder, bool(given)) as (client, name):
        candidates: Sequence[str] | Sequence[Hit] = given
        if not given:
            (candidates,) = client.search(name, query, k=k, index=index)
        answers = client.rerank(
            query, candidates, model=model or None, top_n=top, window=window, stride=stride, texts=True
        )

        def show(good: Sequence[tuple[int, Ranking]]) -> None:
            for _, ranking in good:
                _show(ranking)

        report(answers, show, as_json, update_command(address, store))


def _show(ranking: Ranking) -> None:
    for place, candidate in enumerate(ranking.candidates, 1):
        was = f"was {candidate.index + 1}"
        name = f"  {candidate.id}" if candidate.id else ""
        say(f"{place:3}  {candidate.score:8.3f}  ", (was, "cyan"), name)
        say("        " + " ".join(candidate.text.split())[:200])
    cost = f"{ranking.windows} windows, {ranking.forwards} forward passes, {ranking.prompt_tokens:,} tokens"
    say(cost + (", stopped by the deadline" if ranking.partial else ""))


def _lines(file: Path) -> list[str]:
    content = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    return [line for line in content.splitlines() if line.strip()]


@contextmanager
def _connected(
    address: str,
    store: str,
    api_key_file: Path | None,
    model_folders: Sequence[str] | None,
    reranker_folders: Sequence[str] | None,
    has_texts: bool,
) -> Iterator[tuple[Client, str]]:
    """A client, and the store to search; texts alone need no store."""
    rerankers = named_folders(reranker_folders, "--reranker-folder", "rerankers")
    if address:
        if rerankers:
            raise InvalidArgumentError(
                f"{address} has rerankers of its own: name their folders to lodex serve there", "rerankers"
            )
        if has_texts and not store:
            from lodex.client import Client

            key = api_key_file.read_text().strip() if api_key_file else None
            with Client(address, api_key=key) as client:
                yield client, ""
            return
        with connect(address, store, api_key_file, model_folders) as connected:
            yield connected
        return
    if store:
        import lodex

        with lodex.open(store, models=named_folders(model_folders), rerankers=rerankers) as opened:
            yield opened.client, opened.name
        return
    from lodex.service.embedded import client_without_store

    with client_without_store(rerankers) as client:
        yield client, ""
