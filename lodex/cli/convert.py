"""`lodex convert`: models of other forms as the folders that Lodex opens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import app, say
from lodex.errors import MissingExtraError

convert_app = typer.Typer(no_args_is_help=True, help="Make folders that Lodex opens from models of other forms.")
app.add_typer(convert_app, name="convert")

OutOption = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write; it must not be there.")]


@convert_app.command()
def llama2c(
    model: Annotated[Path, typer.Argument(metavar="MODEL.bin", exists=True, dir_okay=False, help="A llama2.c model.")],
    tokenizer: Annotated[
        Path,
        typer.Option(
            "--tokenizer",
            exists=True,
            dir_okay=False,
            help="Its tokenizer: llama2.c's .bin, or SentencePiece's .model or .vocab.",
        ),
    ],
    out: OutOption,
) -> None:
    """Convert a llama2.c model (version 0, float32) to a folder of transformers."""
    try:
        from lodex.embed.formats.llama2c import convert_llama2c
    except ModuleNotFoundError as error:
        raise MissingExtraError("converting a model", "minilm") from error
    convert_llama2c(model, tokenizer, out)
    say(f"{out}: a language model; make an embedder of it with lodex convert embedder {out} --out FOLDER")


@convert_app.command()
def embedder(
    decoder: Annotated[str, typer.Argument(metavar="DECODER", help="Folder or hub name of a Llama-family decoder.")],
    out: OutOption,
    bidirectional: Annotated[
        bool, typer.Option("--bidirectional", help="Let every token see the whole text, not only what is before it.")
    ] = False,
    pooling: Annotated[
        str,
        typer.Option(
            "--pooling", help="mean, weighted_mean: later tokens weigh more, cls, or last: the end of the text."
        ),
    ] = "mean",
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Length that texts are cut to; default: the decoder's.")
    ] = None,
    query_prompt: Annotated[
        str,
        typer.Option(
            "--query-prompt", help="Put before every query; {task} in it is an instruction, {text} the query."
        ),
    ] = "",
    passage_prompt: Annotated[str, typer.Option("--passage-prompt", help="Put before every passage.")] = "",
    task: Annotated[str, typer.Option("--task", help="The instruction where a request brings none.")] = "",
    instruction_mask: Annotated[
        str,
        typer.Option(
            "--instruction-mask",
            help="Tokens of the prompt left out of the pool: none, exact, nvembed or sentence-transformers.",
        ),
    ] = "none",
    echo: Annotated[
        bool, typer.Option("--echo", help="Let the model read a text twice; pool the second copy.")
    ] = False,
) -> None:
    """Make an embedder of a decoder, for lodex index dense --model FOLDER."""
    try:
        from lodex.embed.formats.embedder_folder import make_embedder
        from lodex.embed.formats.hub import decoder_folder
    except ModuleNotFoundError as error:
        raise MissingExtraError("converting a model", "minilm") from error
    info = make_embedder(
        decoder_folder(decoder),
        out,
        bidirectional=bidirectional,
        pooling=pooling,
        max_tokens=max_tokens,
        query_prompt=query_prompt,
        passage_prompt=passage_prompt,
        task=task,
        instruction_mask=instruction_mask,  # type: ignore[arg-type]  # checked when the folder is opened
        echo=echo,
    )
    say(f"{out}: an embedder of {info.dimension} dimensions, {info.max_tokens} tokens, {info.fingerprint}")
