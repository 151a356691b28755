"""Verbs that ask: search, count, prob, ntd, infgram, docs, embed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from lodex.cli.app import JsonFlag, app, escaped, plural, print_json, print_table, say
from lodex.cli.target import AddressOption, ApiKeyFile, ModelFolders, StoreOption, VerifyOption, connect
from lodex.errors import InvalidArgumentError, LodexError
from lodex.types import (
    Answers,
    Count,
    Hit,
    InfgramProbability,
    NgramQuery,
    Occurrence,
    Occurrences,
    Probability,
    TextKind,
    TokenDistribution,
)

T = TypeVar("T")

LiteralFlag = Annotated[
    bool, typer.Option("--literal", help="Count the text as written, not its variants of leading space and case.")
]
TokensFlag = Annotated[bool, typer.Option("--tokens", help="Queries are token ids, separated by commas.")]
IndexOption = Annotated[
    str | None, typer.Option("--index", help="Name of the index, where the store has several of a kind.")
]
TopOption = Annotated[int, typer.Option("--top", min=1, help="How many of the most frequent tokens to show.")]


def read_query(text: str, tokens: bool, field: str) -> NgramQuery:
    """A query as it is, or with `tokens` as ids separated by commas."""
    if not tokens:
        return text
    try:
        return [int(part) for part in text.split(",")] if text.strip() else []
    except ValueError as error:
        raise InvalidArgumentError(f"--tokens expects ids separated by commas, got {text!r}", field) from error


def report(answers: Answers[T], show: Callable[[Sequence[tuple[int, T]]], None], as_json: bool, update: str) -> None:
    """Print answers: `show` receives the good ones with their positions.

    What failed goes to stderr, and makes the exit code 1; so does what the index does not cover, with `update` to run.
    """
    if as_json:
        print_json({"results": list(answers.items), "provenance": answers.provenance})
    else:
        show([(i, item) for i, item in enumerate(answers.items) if not isinstance(item, LodexError)])
    covered, total = answers.provenance.segments_ok, answers.provenance.segments_total
    if covered < total:
        print(f"the index covers {covered} of {plural(total, 'segment')}; run: {update}", file=sys.stderr)
    if len(answers) == 1:
        answers[0]  # a lone failure ends the command as what it is
    for i, error in answers.errors.items():
        place = "" if f"[{i}]" in str(error) else f"queries[{i}]: "
        print(f"lodex: {place}{error}", file=sys.stderr)
    if answers.errors:
        raise typer.Exit(1)


def update_command(address: str, store: str) -> str:
    """The command that brings the indexes of a store up to date."""
    return f"lodex index update {'STORE' if address else store}"


@app.command()
def search(
    query: Annotated[list[str], typer.Argument(help="What to look for, in words; several queries are one batch.")],
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="Passages for each query.")] = 5,
    index: IndexOption = None,
    nprobe: Annotated[int | None, typer.Option(min=1, help="Lists to probe, for an IVF index.")] = None,
    exact: Annotated[bool, typer.Option(help="Search every vector.")] = False,
    address: AddressOption = "",
    store: StoreOption = "",
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    model_folder: ModelFolders = None,
    as_json: JsonFlag = False,
) -> None:
    """Find passages by meaning."""
    with connect(address, store, api_key_file, model_folder, verify=verify) as (client, name):
        answers = client.search(name, query, k=k, index=index, nprobe=nprobe, exact=exact)

        def show(good: Sequence[tuple[int, Sequence[Hit]]]) -> None:
            for i, hits in good:
                say((query[i], "bold"))
                for hit in hits:
                    passage = hit.passage
                    say(f"\n{hit.score:.4f}  ", (passage.id, "cyan"), f"  {escaped(passage.title)}")
                    say("        " + escaped(" ".join(passage.text.split())[:400]))

        report(answers, show, as_json, update_command(address, store))


@app.command()
def count(
    query: Annotated[list[str], typer.Argument(help="N-grams; several are one batch.")],
    literal: LiteralFlag = False,
    tokens: TokensFlag = False,
    index: IndexOption = None,
    address: AddressOption = "",
    store: StoreOption = "",
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Count how often an n-gram occurs."""
    with connect(address, store, api_key_file, verify=verify) as (client, name):
        queries = [read_query(text, tokens, "query") for text in query]
        answers = client.count(name, queries, literal=literal, index=index)

        def show(good: Sequence[tuple[int, Count]]) -> None:
            if good:
                print_table(("n-gram", "count"), [(query[i], answer.count) for i, answer in good])

        report(answers, show, as_json, update_command(address, store))


@app.command()
def prob(
    prompt: Annotated[str, typer.Argument(help="What came before.")],
    continuation: Annotated[str, typer.Argument(help="What may come next.")],
    literal: LiteralFlag = False,
    tokens: TokensFlag = False,
    index: IndexOption = None,
    address: AddressOption = "",
    store: StoreOption = "",
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Give the probability of a continuation after exactly this prompt."""
    with connect(address, store, api_key_file, verify=verify) as (client, name):
        before, after = read_query(prompt, tokens, "prompt"), read_query(continuation, tokens, "continuation")
        answers = client.prob(name, [before], [after], literal=literal, index=index)

        def show(good: Sequence[tuple[int, Probability]]) -> None:
            for _, answer in good:
                say(
                    f"{_share(answer.probability)}  ({answer.continuation_count:,} of "
                    f"{plural(answer.prompt_count, 'occurrence')} of the prompt)"
                )

        report(answers, show, as_json, update_command(address, store))


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
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Show which tokens follow exactly this prompt."""
    with connect(address, store, api_key_file, verify=verify) as (client, name):
        answers = client.ntd(
            name,
            [read_query(prompt, tokens, "prompt")],
            top_k=None if complete else top,
            literal=literal,
            index=index,
            texts=True,
        )

        def show(good: Sequence[tuple[int, TokenDistribution]]) -> None:
            for _, answer in good:
                _print_distribution(answer, f"{plural(answer.prompt_count, 'occurrence')} of the prompt")

        report(answers, show, as_json, update_command(address, store))


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
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask what follows the longest suffix of the prompt that occurs."""
    with connect(address, store, api_key_file, verify=verify) as (client, name):
        before = read_query(prompt, tokens, "prompt")
        if continuation is None:
            distributions = client.infgram_ntd(name, [before], top_k=top, literal=literal, index=index, texts=True)

            def show_all(good: Sequence[tuple[int, TokenDistribution]]) -> None:
                for _, answer in good:
                    _print_distribution(
                        answer,
                        f"{plural(answer.prompt_count, 'occurrence')} of the last "
                        f"{plural(answer.suffix_length, 'token')}",
                    )

            report(distributions, show_all, as_json, update_command(address, store))
            return
        after = read_query(continuation, tokens, "continuation")
        answers = client.infgram_prob(name, [before], [after], literal=literal, index=index)

        def show(good: Sequence[tuple[int, InfgramProbability]]) -> None:
            for _, answer in good:
                say(
                    f"{_share(answer.probability)}  (the last {plural(answer.suffix_length, 'token')} of the prompt "
                    f"occur {plural(answer.prompt_count, 'time')}, {answer.continuation_count:,} of them so continued)"
                )

        report(answers, show, as_json, update_command(address, store))


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
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the documents that hold an n-gram."""
    with connect(address, store, api_key_file, verify=verify) as (client, name):
        answers = client.search_docs(
            name,
            [read_query(query, tokens, "query")],
            page_size=page_size,
            page_token=page_token,
            context_tokens=context,
            literal=literal,
            index=index,
        )

        def show(good: Sequence[tuple[int, Occurrences]]) -> None:
            for _, answer in good:
                say(plural(answer.count, "occurrence"))
                for place in answer.occurrences:
                    before, match, after = map(escaped, _one_line(place))
                    say("\n", (place.doc_id, "cyan"), f"  bytes {place.begin:,}-{place.end:,}")
                    say(before, (match, "bold"), after)
                if answer.next_page_token:
                    say(f"\nmore: --page-token {answer.next_page_token}")

        report(answers, show, as_json, update_command(address, store))


@app.command()
def embed(
    text: Annotated[list[str], typer.Argument(help="Texts; several are one batch.")],
    kind: Annotated[TextKind, typer.Option(help="What the texts are to the model.")] = TextKind.QUERY,
    model: Annotated[str | None, typer.Option(help="The embedder, where there are several.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the vectors to an .npy file, float32.")] = None,
    address: AddressOption = "",
    store: StoreOption = "",
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    model_folder: ModelFolders = None,
    as_json: JsonFlag = False,
) -> None:
    """Embed texts with the default embedder of the server, minilm for a store on this machine, or with --model."""
    with connect(address, store, api_key_file, model_folder, verify=verify) as (client, _):
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
            say(f"[{shown}, ...]  d={len(vector)}  {line[:60]}{note}")


def _share(probability: float | None) -> str:
    return "undefined" if probability is None else f"{probability:.6g}"


def _one_line(place: Occurrence) -> tuple[str, str, str]:
    """The text before, of and after a match with every run of white space as one blank, also where they meet."""
    before, match, after = (re.sub(r"\s+", " ", text) for text in (place.before, place.match, place.after))
    if before.endswith(" "):
        match = match.removeprefix(" ")
    if (before + match).endswith(" "):
        after = after.removeprefix(" ")
    return before.lstrip(), match, after.rstrip()


def _print_distribution(answer: TokenDistribution, basis: str) -> None:
    say(f"{basis}; {plural(answer.distinct, 'distinct continuation')}")
    rows = [
        (repr(text), int(token), int(times), f"{probability:.4f}")
        for text, token, times, probability in zip(
            answer.texts, answer.token_ids, answer.counts, answer.probabilities, strict=True
        )
    ]
    print_table(("token", "id", "count", "probability"), rows)
