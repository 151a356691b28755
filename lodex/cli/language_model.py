"""Verbs of language models: score, generate, ask."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from lodex.cli.app import JsonFlag, app, escaped, plural, print_json, print_table, read_text, say
from lodex.cli.queries import IndexOption, TokensFlag, read_query, report, update_command
from lodex.cli.target import (
    AddressOption,
    ApiKeyFile,
    LanguageModelFolders,
    ModelFolders,
    StoreOption,
    VerifyOption,
    connect,
)
from lodex.errors import InvalidArgumentError, LodexError
from lodex.types import (
    Citation,
    ComponentScores,
    Finished,
    GeneratedTokens,
    InfgramSource,
    KnnSource,
    NgramQuery,
    Retrieved,
    Sampling,
    StreamEvent,
    TextScore,
)

# A stream may be long, and is ended from the keyboard.
_PATIENCE_S = 86_400.0
_EVENTS: Mapping[type, str] = {
    GeneratedTokens: "tokens",
    Finished: "finished",
    Retrieved: "retrieved",
    Citation: "citation",
}

ModelOption = Annotated[str | None, typer.Option("--model", help="The language model, where there are several.")]
KnnFlag = Annotated[bool, typer.Option("--knn", help="Mix in what followed the nearest states of a kNN index.")]
KnnIndex = Annotated[str | None, typer.Option("--knn-index", help="Its name, where the store has several.")]
KnnWeight = Annotated[float | None, typer.Option("--knn-weight", help="Its share, 0 to 1.  [default: 0.25]")]
KnnNeighbors = Annotated[int | None, typer.Option("--knn-k", help="Neighbours for each token.  [default: 1024]")]
KnnTemperature = Annotated[
    float | None, typer.Option("--knn-temperature", help="Divides the squared distances.  [default: 1]")
]
InfgramFlag = Annotated[
    bool, typer.Option("--infgram", help="Mix in what followed the longest match in a suffix index.")
]
InfgramIndex = Annotated[str | None, typer.Option("--infgram-index", help="Its name, where the store has several.")]
InfgramWeight = Annotated[float | None, typer.Option("--infgram-weight", help="Its share, 0 to 1.  [default: 0.25]")]
SingleWeight = Annotated[
    float | None,
    typer.Option("--infgram-single-weight", help="Its share where the match has a single continuation."),
]
MaxTokens = Annotated[
    int | None, typer.Option("-n", "--max-tokens", min=1, help="Tokens to make at most.  [default: 128]")
]
Temperature = Annotated[float, typer.Option(help="0 takes the most probable token, more draws more freely.")]
TopP = Annotated[float, typer.Option(help="Draw from the tokens that hold this share together.")]
TopK = Annotated[int | None, typer.Option(min=1, help="Draw from so many tokens.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of the draws.")]
Stop = Annotated[list[str] | None, typer.Option(help="Text that ends what is made; repeatable.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line for each event, for programs.")]


@app.command()
def score(
    text: Annotated[list[str] | None, typer.Argument(help="Texts, each a document of its own.")] = None,
    file: Annotated[list[Path] | None, typer.Option("--file", help="File of a text, UTF-8; repeatable.")] = None,
    components: Annotated[bool, typer.Option("--components", help="Show what each part of a mixture says.")] = False,
    neighbors: Annotated[int, typer.Option(min=0, help="Show so many neighbours of each token, with --knn.")] = 0,
    window: Annotated[int | None, typer.Option(min=1, help="Tokens of a window, for texts that are longer.")] = None,
    stride: Annotated[int | None, typer.Option(min=1, help="Tokens between the starts of two windows.")] = None,
    tokens: TokensFlag = False,
    model: ModelOption = None,
    knn: KnnFlag = False,
    knn_index: KnnIndex = None,
    knn_weight: KnnWeight = None,
    knn_k: KnnNeighbors = None,
    knn_temperature: KnnTemperature = None,
    infgram: InfgramFlag = False,
    infgram_index: InfgramIndex = None,
    infgram_weight: InfgramWeight = None,
    infgram_single_weight: SingleWeight = None,
    address: AddressOption = "",
    store: StoreOption = "",
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    language_model_folder: LanguageModelFolders = None,
    as_json: JsonFlag = False,
) -> None:
    """Give the bits per byte of texts under a language model, alone or with what it reads in a store."""
    names = [*(text or ()), *map(str, file or ())]
    texts: list[NgramQuery] = [read_query(one, tokens, "text") for one in text or ()]
    texts += [read_text(path) for path in file or ()]
    if not texts:
        raise InvalidArgumentError("nothing to score: give a TEXT or a --file", "text")
    near = _knn(store, knn, knn_index, knn_weight, knn_k, knn_temperature)
    longest = _infgram(store, infgram, infgram_index, infgram_weight, infgram_single_weight)
    needs_store = bool(near or longest)
    with connect(address, store, api_key_file, None, language_model_folder, needs_store=needs_store, verify=verify) as (
        client,
        name,
    ):
        answers = client.score(
            texts,
            model=model,
            knn=near and replace(near, store=name),
            infgram=longest and replace(longest, store=name),
            components=components,
            neighbors=neighbors,
            window_tokens=window,
            stride_tokens=stride,
            timeout_s=_PATIENCE_S,
        )

        def show(good: Iterable[tuple[int, TextScore]]) -> None:
            for i, answer in good:
                say((" ".join(names[i].split())[:80], "bold"))
                _print_score(answer)

        report(answers, show, as_json, update_command(address, store))


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What comes before.")],
    max_tokens: MaxTokens = None,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    top_k: TopK = None,
    seed: Seed = None,
    stop: Stop = None,
    tokens: TokensFlag = False,
    model: ModelOption = None,
    knn: KnnFlag = False,
    knn_index: KnnIndex = None,
    knn_weight: KnnWeight = None,
    knn_k: KnnNeighbors = None,
    knn_temperature: KnnTemperature = None,
    infgram: InfgramFlag = False,
    infgram_index: InfgramIndex = None,
    infgram_weight: InfgramWeight = None,
    infgram_single_weight: SingleWeight = None,
    address: AddressOption = "",
    store: StoreOption = "",
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    language_model_folder: LanguageModelFolders = None,
    as_json: JsonLines = False,
) -> None:
    """Continue a prompt, printed as it is made."""
    near = _knn(store, knn, knn_index, knn_weight, knn_k, knn_temperature)
    longest = _infgram(store, infgram, infgram_index, infgram_weight, infgram_single_weight)
    needs_store = bool(near or longest)
    with connect(address, store, api_key_file, None, language_model_folder, needs_store=needs_store, verify=verify) as (
        client,
        name,
    ):
        events = client.generate(
            [read_query(prompt, tokens, "prompt")],
            sampling=Sampling(max_tokens, temperature, top_p, top_k, seed, tuple(stop or ())),
            model=model,
            knn=near and replace(near, store=name),
            infgram=longest and replace(longest, store=name),
            log_probabilities=as_json,
            timeout_s=_PATIENCE_S,
        )
        _print_stream(events, as_json)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What is asked of the store.")],
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="Passages to look for.")] = 5,
    context_tokens: Annotated[int | None, typer.Option(min=0, help="Tokens of passages in the prompt.")] = None,
    index: IndexOption = None,
    nprobe: Annotated[int | None, typer.Option(min=1, help="Lists to probe, for an IVF index.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Search every vector.")] = False,
    template: Annotated[str | None, typer.Option(help="Name of the prompt template.")] = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    top_k: TopK = None,
    seed: Seed = None,
    stop: Stop = None,
    model: ModelOption = None,
    knn: KnnFlag = False,
    knn_index: KnnIndex = None,
    knn_weight: KnnWeight = None,
    knn_k: KnnNeighbors = None,
    knn_temperature: KnnTemperature = None,
    infgram: InfgramFlag = False,
    infgram_index: InfgramIndex = None,
    infgram_weight: InfgramWeight = None,
    infgram_single_weight: SingleWeight = None,
    address: AddressOption = "",
    store: StoreOption = "",
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    model_folder: ModelFolders = None,
    language_model_folder: LanguageModelFolders = None,
    as_json: JsonLines = False,
) -> None:
    """Answer a question from passages of a store, printed as it is made, with its sources."""
    with connect(address, store, api_key_file, model_folder, language_model_folder, verify=verify) as (client, name):
        events = client.ask(
            name,
            [question],
            k=k,
            index=index,
            exact=exact,
            nprobe=nprobe,
            context_tokens=context_tokens,
            template=template,
            sampling=Sampling(max_tokens, temperature, top_p, top_k, seed, tuple(stop or ())),
            model=model,
            knn=_knn(name, knn, knn_index, knn_weight, knn_k, knn_temperature),
            infgram=_infgram(name, infgram, infgram_index, infgram_weight, infgram_single_weight),
            log_probabilities=as_json,
            timeout_s=_PATIENCE_S,
        )
        _print_stream(events, as_json)


def _knn(
    store: str, wanted: bool, index: str | None, weight: float | None, k: int | None, temperature: float | None
) -> KnnSource | None:
    """The source that the flags describe; each of them asks for it."""
    given = _given(index=index, weight=weight, k=k, temperature=temperature)
    return KnnSource(store, **given) if wanted or given else None


def _infgram(
    store: str, wanted: bool, index: str | None, weight: float | None, single_weight: float | None
) -> InfgramSource | None:
    given = _given(index=index, weight=weight, single_weight=single_weight)
    return InfgramSource(store, **given) if wanted or given else None


def _given(**flags: Any) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}


def _print_score(answer: TextScore) -> None:
    size = f"{plural(len(answer.token_ids), 'token')}, {plural(answer.text_bytes, 'byte')}"
    say(f"{answer.bits_per_byte:.4f} bits per byte  ({size})" if answer.text_bytes else f"no text  ({size})")
    if answer.components:
        rows = [
            (part.component, _bits_per_byte(part, answer.text_bytes), f"{part.weights.mean():.3f}", _certain(part))
            for part in answer.components
            if len(part.weights)
        ]
        print_table(("part", "bits per byte alone", "mean weight", "tokens given"), rows)
    for token, neighbors in enumerate(answer.neighbors):
        say(f"\ntoken {token}: id {answer.token_ids[token]}")
        for neighbor in neighbors:
            place = neighbor.occurrence
            around = " ".join(f"{place.before}»{place.match}«{place.after}".split())
            say(
                f"  {neighbor.weight:.4f}  id {neighbor.token_id}  ",
                (place.doc_id, "cyan"),
                f"  {escaped(around)}",
            )


def _bits_per_byte(part: ComponentScores, text_bytes: int) -> str:
    bits = -float(part.log_probabilities.sum()) / math.log(2) / max(text_bytes, 1)
    return f"{bits:.4f}" if math.isfinite(bits) else "infinite"


def _certain(part: ComponentScores) -> str:
    """How many tokens a part gives any probability."""
    return f"{np.isfinite(part.log_probabilities).sum():,}"


def _print_stream(events: Iterable[StreamEvent], as_json: bool) -> None:
    """Print the events of one item; its error ends the command."""
    passages: Retrieved | None = None
    citations: list[Citation] = []
    text = ""
    for event in events:
        value = event.event
        if as_json:
            print_json({"event": _EVENTS.get(type(value), "error"), "item": event.item, "value": value})
            sys.stdout.flush()
        if isinstance(value, LodexError):
            raise value
        if isinstance(value, GeneratedTokens):
            text += value.text
            if not as_json:
                sys.stdout.write(value.text)
                sys.stdout.flush()
        elif isinstance(value, Retrieved):
            passages = value
        elif isinstance(value, Citation):
            citations.append(value)
    if as_json:
        return
    say("")
    if passages is not None:
        _print_sources(text, passages, citations)


def _print_sources(text: str, passages: Retrieved, citations: Iterable[Citation]) -> None:
    """What the answer rests on, and the passages that the model was given, by number."""
    answer = text.encode()
    for citation in citations:
        numbers = "".join(f"[{hit + 1}]" for hit in citation.hits)
        span = " ".join(answer[citation.begin : citation.end].decode(errors="replace").split())
        say(f"\n“{span}” ", (numbers, "bold"))
    say(("\nsources", "bold"), "" if passages.hits else ": no passage fits into the prompt")
    for number, hit in enumerate(passages.hits, 1):
        say(f"[{number}]  {hit.score:.4f}  ", (hit.passage.id, "cyan"), f"  {escaped(hit.passage.title)}")
    if passages.left_out:
        say(f"{plural(passages.left_out, 'passage')} more did not fit")
