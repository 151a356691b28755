"""Verbs that ask: search, count, prob, ntd, infgram, docs, embed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import JsonFlag, app, console, print_json, print_table
from lodex.cli.target import AddressOption, ApiKeyFile, StoreOption, connect
from lodex.errors import InvalidArgumentError
from lodex.types import NgramQuery, TextKind, TokenDistribution

LiteralFlag = Annotated[
    bool, typer.Option("--literal", help="Count the text as written, not its variants of leading space and case.")
]
TokensFlag = Annotated[bool, typer.Option("--tokens", help="Queries are token ids, separated by commas.")]
IndexOption = Annotated[
    str | None, typer.Option("--index", help="Name of the index, where the store has several of a kind.")
]
TopOption = Annotated[int, typer.Option("--top", min=1, help="How many of the most frequent tokens to show.")]


def _query(text: str, tokens: bool, field: str) -> NgramQuery:
    if not tokens:
        return text
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InvalidArgumentError(f"--tokens expects ids separated by commas, got {text!r}", field) from error


@app.command()
def search(
    query: Annotated[list[str], typer.Argument(help="What to look for, in words; several queries are one batch.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Passages for each query.")] = 5,
    index: IndexOption = None,
    nprobe: Annotated[int | None, typer.Option(min=1, help="Lists to probe, for an IVF index.")] = None,
    exact: Annotated[bool, typer.Option(help="Search every vector.")] = False,
    address: AddressOption = "",
    store: StoreOption = "",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Find passages by meaning."""
    with connect(address, store, api_key_file) as (client, name):
        answers = client.search(name, query, k=k, index=index, nprobe=nprobe, exact=exact)
        if as_json:
            print_json({"results": list(answers), "provenance": answers.provenance})
            return
        for text, hits in zip(query, answers, strict=True):
            console.print(f"[bold]{text}[/bold]", highlight=False)
            for hit in hits:
                passage = hit.passage
                console.print(f"\n{hit.score:.4f}  [cyan]{passage.id}[/cyan]  {passage.title}", highlight=False)
                console.print("        " + " ".join(passage.text.split())[:400], markup=False, highlight=False)


@app.command()
def count(
    query: Annotated[list[str], typer.Argument(help="N-grams; several are one batch.")],
    literal: LiteralFlag = False,
    tokens: TokensFlag = False,
    index: IndexOption = None,
    address: AddressOption = "",
    store: StoreOption = "",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Count how often an n-gram occurs."""
    with connect(address, store, api_key_file) as (client, name):
        queries = [_query(text, tokens, "query") for text in query]
        answers = client.count(name, queries, literal=literal, index=index)
        if as_json:
            print_json({"results": list(answers), "provenance": answers.provenance})
        else:
            rows = [(text, answer.count) for text, answer in zip(query, answers, strict=True)]
            print_table(("n-gram", "count"), rows)


@app.command()
def prob(
    prompt: Annotated[str, typer.Argument(help="What came before.")],
    continuation: Annotated[str, typer.Argument(help="What may come next.")],
    literal: LiteralFlag = False,
    tokens: TokensFlag = False,
    index: IndexOption = None,
    address: AddressOption = "",
    store: StoreOption = "",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Give the probability of a continuation after exactly this prompt."""
    with connect(address, store, api_key_file) as (client, name):
        before, after = _query(prompt, tokens, "prompt"), _query(continuation, tokens, "continuation")
        answers = client.prob(name, [before], [after], literal=literal, index=index)
        if as_json:
            print_json({"results": list(answers), "provenance": answers.provenance})
            return
        answer = answers[0]
        share = "undefined" if answer.probability is None else f"{answer.probability:.6g}"
        console.print(
            f"{share}  ({answer.continuation_count:,} of {answer.prompt_count:,} occurrences of the prompt)",
            highlight=False,
        )


@app.command()
def ntd(
    prompt: Annotated[str, typer.Argument(help="What came before; empty for the tokens of the whole corpus.")],
    top: TopOption = 10,
    complete: Annotated[bool, typer.Option(help="The whole distribution.")] = False,
    literal: LiteralFlag = False,
    tokens: TokensFlag = False,
    index: IndexOption = None,
    address: AddressOption = "",
    store: StoreOption = "",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Show which tokens follow exactly this prompt."""
    with connect(address, store, api_key_file) as (client, name):
        answers = client.ntd(
            name,
            [_query(prompt, tokens, "prompt")],
            top_k=None if complete else top,
            literal=literal,
            index=index,
            texts=True,
        )
        if as_json:
            print_json({"results": list(answers), "provenance": answers.provenance})
        else:
            _print_distribution(answers[0])


@app.command()
def infgram(
    prompt: Annotated[str, typer.Argument(help="What came before.")],
    continuation: Annotated[str | None, typer.Argument(help="What may come next; without it, what does.")] = None,
    top: TopOption = 10,
    literal: LiteralFlag = False,
    tokens: TokensFlag = False,
    index: IndexOption = None,
    address: AddressOption = "",
    store: StoreOption = "",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask what follows the longest suffix of the prompt that occurs."""
    with connect(address, store, api_key_file) as (client, name):
        before = _query(prompt, tokens, "prompt")
        if continuation is None:
            distributions = client.infgram_ntd(name, [before], top_k=top, literal=literal, index=index, texts=True)
            if as_json:
                print_json({"results": list(distributions), "provenance": distributions.provenance})
            else:
                _print_distribution(distributions[0])
            return
        after = _query(continuation, tokens, "continuation")
        answers = client.infgram_prob(name, [before], [after], literal=literal, index=index)
        if as_json:
            print_json({"results": list(answers), "provenance": answers.provenance})
            return
        answer = answers[0]
        share = "undefined" if answer.probability is None else f"{answer.probability:.6g}"
        console.print(
            f"{share}  (the last {answer.suffix_length} tokens of the prompt occur {answer.prompt_count:,} times, "
            f"{answer.continuation_count:,} of them so continued)",
            highlight=False,
        )


@app.command()
def docs(
    query: Annotated[str, typer.Argument(help="An n-gram.")],
    page_size: Annotated[int, typer.Option("-n", "--page-size", min=1, help="Documents to show.")] = 5,
    page_token: Annotated[str, typer.Option(help="Go on where an earlier call stopped.")] = "",
    context: Annotated[int, typer.Option(min=0, help="Tokens of context on each side.")] = 16,
    literal: LiteralFlag = False,
    tokens: TokensFlag = False,
    index: IndexOption = None,
    address: AddressOption = "",
    store: StoreOption = "",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the documents that hold an n-gram."""
    with connect(address, store, api_key_file) as (client, name):
        answers = client.search_docs(
            name,
            [_query(query, tokens, "query")],
            page_size=page_size,
            page_token=page_token,
            context_tokens=context,
            literal=literal,
            index=index,
        )
        if as_json:
            print_json({"results": list(answers), "provenance": answers.provenance})
            return
        answer = answers[0]
        console.print(f"{answer.count:,} occurrences", highlight=False)
        for place in answer.occurrences:
            console.print(f"\n[cyan]{place.doc_id}[/cyan]  bytes {place.begin:,}-{place.end:,}", highlight=False)
            line = f"{place.before}\0{place.match}\0{place.after}".split()
            before, match, after = " ".join(line).split("\0")
            console.print(before, end="", markup=False, highlight=False)
            console.print(match, end="", style="bold", markup=False, highlight=False)
            console.print(after, markup=False, highlight=False)
        if answer.next_page_token:
            console.print(f"\nmore: --page-token {answer.next_page_token}", highlight=False)


@app.command()
def embed(
    text: Annotated[list[str], typer.Argument(help="Texts; several are one batch.")],
    kind: Annotated[TextKind, typer.Option(help="What the texts are to the model.")] = TextKind.QUERY,
    model: Annotated[str | None, typer.Option(help="The embedder, where there are several.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the vectors to an .npy file, float32.")] = None,
    address: AddressOption = "",
    store: StoreOption = "",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Embed texts with the model of the server or of the store's dense index."""
    with connect(address, store, api_key_file) as (client, _):
        embeddings = client.embed(text, kind, model=model)
        if out is not None:
            import numpy as np

            np.save(out, embeddings.vectors, allow_pickle=False)
        if as_json:
            print_json(embeddings)
            return
        for line, vector, cut in zip(text, embeddings.vectors, embeddings.truncated, strict=True):
            shown = ", ".join(f"{value:.4f}" for value in vector[:6])
            note = "  (truncated)" if cut else ""
            console.print(f"[{shown}, ...]  d={len(vector)}  {line[:60]}{note}", markup=False, highlight=False)


def _print_distribution(answer: TokenDistribution) -> None:
    console.print(
        f"{answer.prompt_count:,} occurrences of the last {answer.suffix_length} tokens; "
        f"{answer.distinct:,} distinct continuations",
        highlight=False,
    )
    rows = [
        (repr(text), int(token), int(times), f"{probability:.4f}")
        for text, token, times, probability in zip(
            answer.texts, answer.token_ids, answer.counts, answer.probabilities, strict=True
        )
    ]
    print_table(("token", "id", "count", "probability"), rows)
