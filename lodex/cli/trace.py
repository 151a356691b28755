"""The verb that shows where the words of a text come from: trace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import JsonFlag, app
from lodex.cli.documents import WhereOption
from lodex.cli.infgram_score import read_texts
from lodex.cli.queries import IndexOption, report, update_command
from lodex.cli.target import AddressOption, ApiKeyFile, StoreOption, VerifyOption, connect
from lodex.cli.traced import print_trace
from lodex.errors import InvalidArgumentError
from lodex.types import SpanRanking, Trace

_PATIENCE_S = 600.0


@app.command()
def trace(
    text: Annotated[str | None, typer.Argument(help="The text; - is read from standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="File of the text, UTF-8.")] = None,
    min_length: Annotated[int, typer.Option(min=1, help="Shortest span, in tokens.")] = 1,
    max_count: Annotated[
        int, typer.Option(min=0, help="Leave out spans that occur more often; 0 leaves out none.")
    ] = 10,
    density: Annotated[
        float, typer.Option(min=0, max=1, help="Spans to keep, as a share of the text's tokens; 1 keeps all.")
    ] = 0.05,
    ranking: Annotated[SpanRanking, typer.Option(help="Keep the rarest words first, or the longest spans.")] = (
        SpanRanking.UNIGRAM
    ),
    documents: Annotated[int, typer.Option("-n", "--documents", min=0, help="Documents to show for each span.")] = 3,
    context: Annotated[int, typer.Option(min=0, help="Tokens of context on each side.")] = 12,
    delimiter: Annotated[
        list[str] | None,
        typer.Option(help="Text that ends a span; repeatable.  [default: line ends and full stops]"),
    ] = None,
    undelimited: Annotated[
        bool, typer.Option("--undelimited", help="Let spans go on over lines and sentences.")
    ] = False,
    partial_words: Annotated[
        bool, typer.Option("--partial-words", help="Let spans begin and end within words.")
    ] = False,
    where: WhereOption = None,
    index: IndexOption = None,
    address: AddressOption = "",
    store: StoreOption = "",
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Show which spans of a text stand in a store word by word, how often, and in which documents."""
    if text is not None and file is not None:
        raise InvalidArgumentError("say either a TEXT or --file, not both", "text")
    if undelimited and delimiter:
        raise InvalidArgumentError("say either --delimiter or --undelimited, not both", "delimiter")
    (read,) = read_texts([text] if text is not None else [], [file] if file is not None else [])
    with connect(address, store, api_key_file, verify=verify) as (client, name):
        answers = client.trace(
            name,
            [read],
            min_length=min_length,
            max_count=max_count or None,
            max_density=density,
            ranking=ranking,
            max_documents=documents,
            context_tokens=context,
            delimiters=() if undelimited else delimiter or None,
            partial_words=partial_words,
            where=where,
            index=index,
            timeout_s=_PATIENCE_S,
        )

        def show(good: Sequence[tuple[int, Trace]]) -> None:
            for _, found in good:
                print_trace(str(read), found)

        report(answers, show, as_json, update_command(address, store))
