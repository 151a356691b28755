"""Verbs of meaning, search and embed, and what all verbs that ask have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from lodex.cli.app import JsonFlag, app, escaped, plural, print_json, say
from lodex.cli.target import AddressOption, ApiKeyFile, ModelFolders, StoreOption, VerifyOption, connect
from lodex.errors import InvalidArgumentError, LodexError
from lodex.types import Answers, Hit, NgramQuery, TextKind

T = TypeVar("T")

TokensFlag = Annotated[bool, typer.Option("--tokens", help="Queries are token ids, separated by commas.")]
IndexOption = Annotated[
    str | None, typer.Option("--index", help="Name of the index, where the store has several of a kind.")
]


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
