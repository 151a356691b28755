"""Verbs of exact words: count, prob, ntd, infgram, docs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import typer

from lodex.cli.app import JsonFlag, app, escaped, plural, print_table, say
from lodex.cli.documents import WhereOption
from lodex.cli.expressions import ExpressionFlag, SameDocumentFlag, SampleOption, WithinOption, read_search
from lodex.cli.queries import IndexOption, TokensFlag, read_query, report, update_command
from lodex.cli.target import AddressOption, ApiKeyFile, StoreOption, VerifyOption, connect
from lodex.types import Count, InfgramProbability, Occurrence, Occurrences, Probability, TokenDistribution

LiteralFlag = Annotated[
    bool, typer.Option("--literal", help="Count the text as written, not its variants of leading space and case.")
]
TopOption = Annotated[int, typer.Option("--top", min=1, help="How many of the most frequent tokens to show.")]
MinSupport = Annotated[int, typer.Option("--min-support", min=1, help="Occurrences that a suffix must have.")]
MaxSuffix = Annotated[
    int | None, typer.Option("--max-suffix", min=0, help="Longest suffix that is tried, in tokens; any unless given.")
]


@app.command()
def count(
    query: Annotated[list[str], typer.Argument(help="N-grams; several are one batch.")],
    expression: ExpressionFlag = False,
    within: WithinOption = None,
    same_document: SameDocumentFlag = False,
    sample: SampleOption = None,
    literal: LiteralFlag = False,
    tokens: TokensFlag = False,
    index: IndexOption = None,
    address: AddressOption = "",
    store: StoreOption = "",
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Count how often an n-gram occurs, or several of them near each other."""
    queries = [read_search(text, tokens, "query", expression, within, same_document, sample) for text in query]
    with connect(address, store, api_key_file, verify=verify) as (client, name):
        answers = client.count(name, queries, literal=literal, index=index)

        def show(good: Sequence[tuple[int, Count]]) -> None:
            if any(answer.approximate for _, answer in good):
                rows = [(query[i], answer.count, f"± {answer.standard_error:,.1f}") for i, answer in good]
                print_table(("n-gram", "count", "standard error"), rows)
            elif good:
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
    min_support: MinSupport = 1,
    max_suffix: MaxSuffix = None,
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
            distributions = client.infgram_ntd(
                name,
                [before],
                top_k=top,
                min_support=min_support,
                max_suffix_length=max_suffix,
                literal=literal,
                index=index,
                texts=True,
            )

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
        answers = client.infgram_prob(
            name,
            [before],
            [after],
            min_support=min_support,
            max_suffix_length=max_suffix,
            literal=literal,
            index=index,
        )

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
    expression: ExpressionFlag = False,
    within: WithinOption = None,
    same_document: SameDocumentFlag = False,
    where: WhereOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Draw the documents at random, by this seed.")] = None,
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
    """Show the documents that hold an n-gram, or several of them near each other."""
    searched = read_search(query, tokens, "query", expression, within, same_document)
    with connect(address, store, api_key_file, verify=verify) as (client, name):
        answers = client.search_docs(
            name,
            [searched],
            page_size=page_size,
            page_token=page_token,
            context_tokens=context,
            seed=seed,
            where=where,
            literal=literal,
            index=index,
        )

        def show(good: Sequence[tuple[int, Occurrences]]) -> None:
            for _, answer in good:
                say(plural(answer.count, "occurrence"), _in_documents(answer))
                for place in answer.occurrences:
                    before, match, after = map(escaped, one_line(place))
                    say("\n", (place.doc_id, "cyan"), f"  bytes {place.begin:,}-{place.end:,}")
                    say(before, (match, "bold"), after)
                if answer.next_page_token:
                    say(f"\nmore: --page-token {answer.next_page_token}")

        report(answers, show, as_json, update_command(address, store))


def _in_documents(answer: Occurrences) -> str:
    """In how many documents, of those that a filter lets through."""
    if answer.documents is None:
        return ""
    return f" in {'about ' if answer.documents_approximate else ''}{plural(answer.documents, 'document')}"


def _share(probability: float | None) -> str:
    return "undefined" if probability is None else f"{probability:.6g}"


def one_line(place: Occurrence) -> tuple[str, str, str]:
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
