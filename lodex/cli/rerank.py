"""`lodex rerank`: texts, or what a search finds, put in order by a model that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import JsonFlag, app, escaped, read_text, say
from lodex.cli.queries import IndexOption, report, update_command
from lodex.cli.target import (
    AddressOption,
    ApiKeyFile,
    ModelFolders,
    RerankerFolders,
    StoreOption,
    VerifyOption,
    connect,
)
from lodex.errors import InvalidArgumentError
from lodex.types import Hit, Ranking


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
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    model_folder: ModelFolders = None,
    reranker_folder: RerankerFolders = None,
    as_json: JsonFlag = False,
) -> None:
    """Put texts in order for a query, or without texts what a search of the store finds for it."""
    given = [*(text or ()), *(_lines(file) if file else ())]
    if not given and not store and not address:
        raise InvalidArgumentError("say what to put in order: texts, --file, or --store to search first", "candidates")
    with connect(
        address, store, api_key_file, model_folder, None, reranker_folder, needs_store=not given, verify=verify
    ) as (
        client,
        name,
    ):
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
        name = f"  {escaped(candidate.id)}" if candidate.id else ""
        say(f"{place:3}  {candidate.score:8.3f}  ", (was, "cyan"), name)
        say("        " + escaped(" ".join(candidate.text.split())[:200]))
    cost = f"{ranking.windows} windows, {ranking.forwards} forward passes, {ranking.prompt_tokens:,} tokens"
    say(cost + (", stopped by the deadline" if ranking.partial else ""))


def _lines(file: Path) -> list[str]:
    lines = [line for line in read_text(file).splitlines() if line.strip()]
    if not lines:
        raise InvalidArgumentError(f"{file} has no text to put in order", "file")
    return lines
