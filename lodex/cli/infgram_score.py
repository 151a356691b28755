"""The verb that scores texts by what stands in a store: infgram-score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from lodex.cli.app import JsonFlag, app, plural, print_table, read_text, say
from lodex.cli.ngrams import MaxSuffix, MinSupport
from lodex.cli.queries import IndexOption, TokensFlag, read_query, report, update_command
from lodex.cli.target import AddressOption, ApiKeyFile, StoreOption, VerifyOption, connect
from lodex.client import Client
from lodex.errors import InvalidArgumentError
from lodex.types import InfgramScores, NgramQuery

_PATIENCE_S = 3600.0
_SEQUENCES_AT_ONCE = 256


@app.command("infgram-score")
def infgram_score(
    text: Annotated[list[str] | None, typer.Argument(help="Texts, each a document of its own; - is read.")] = None,
    file: Annotated[list[Path] | None, typer.Option("--file", help="File of a text, UTF-8; repeatable.")] = None,
    min_support: MinSupport = 1,
    max_suffix: MaxSuffix = None,
    summary: Annotated[bool, typer.Option("--summary", help="Show the bits per byte alone.")] = False,
    tokens: TokensFlag = False,
    index: IndexOption = None,
    address: AddressOption = "",
    store: StoreOption = "",
    verify: VerifyOption = "light",
    api_key_file: ApiKeyFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Give each token of a text its ∞-gram log-probability, the tokens it rests on, and the text its bits per byte."""
    texts = read_texts(text, file, tokens)
    with connect(address, store, api_key_file, verify=verify) as (client, name):
        answers = client.infgram_score(
            name,
            texts,
            min_support=min_support,
            max_suffix_length=max_suffix,
            index=index,
            timeout_s=_PATIENCE_S,
        )

        def show(good: Sequence[tuple[int, InfgramScores]]) -> None:
            for i, scores in good:
                ids = scores.token_ids.tolist()
                if ids and not summary:
                    _print_tokens(scores, _decoded(client, name, index, [[token] for token in ids]))
                asked = texts[i]
                text = asked if isinstance(asked, str) else "".join(_decoded(client, name, index, [ids]))
                say(_bits_per_byte(scores, len(text.encode())))

        report(answers, show, as_json, update_command(address, store))


def read_texts(text: Sequence[str] | None, file: Sequence[Path] | None, tokens: bool = False) -> list[NgramQuery]:
    """The texts of arguments, - for standard input, and then of files; InvalidArgumentError where there are none."""
    texts = [read_text(Path(one)) if one == "-" else read_query(one, tokens, "text") for one in text or ()]
    texts += [read_text(path) for path in file or ()]
    if not texts:
        raise InvalidArgumentError("nothing to read: give a TEXT, - for standard input, or a --file", "text")
    return texts


def _decoded(client: Client, store: str, index: str | None, sequences: Sequence[Sequence[int]]) -> list[str]:
    """The text of each sequence of tokens."""
    texts: list[str] = []
    for first in range(0, len(sequences), _SEQUENCES_AT_ONCE):
        texts += client.detokenize(store, sequences[first : first + _SEQUENCES_AT_ONCE], index=index)
    return texts


def _print_tokens(scores: InfgramScores, texts: Sequence[str]) -> None:
    columns = zip(texts, scores.log_probabilities, scores.suffix_lengths, scores.suffix_counts, strict=True)
    rows = [(repr(text), f"{value:.4f}", int(length) + 1, int(count)) for text, value, length, count in columns]
    print_table(("token", "log-probability", "effective n", "suffix occurs"), rows)


def _bits_per_byte(scores: InfgramScores, text_bytes: int) -> str:
    """The bits per byte of a text; where the corpus rules tokens out, how many they are, and those of the others."""
    size = f"{plural(len(scores.token_ids), 'token')}, {plural(text_bytes, 'byte')}"
    if not text_bytes:
        return f"no text  ({size})"
    is_given = np.isfinite(scores.log_probabilities)
    # From 0.0, so that a certain text does not have -0 bits.
    bits = (0.0 - float(scores.log_probabilities[is_given].sum())) / math.log(2)
    if is_given.all():
        return f"{bits / text_bytes:.4f} bits per byte  ({size})"
    ruled_out = plural(int((~is_given).sum()), "token")
    others = f"; the others take {bits:.1f} bits" if is_given.any() else ""
    return f"infinite bits per byte: {ruled_out} never came so{others}  ({size})"
