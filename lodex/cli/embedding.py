"""`lodex embed FILE`: the texts of a file as a Parquet table of vectors; `lodex embed check MODEL`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from lodex.cli.app import JsonFlag, app, escaped, plural, print_json, print_table, say
from lodex.cli.job import LogJsonFlag, job_progress
from lodex.embed.embedding_task import DataType
from lodex.embed.vectors.quantization import Int8Ranges
from lodex.errors import FailedPreconditionError, MissingExtraError
from lodex.index.ingest_task import OnError
from lodex.index.job_report import JobReport
from lodex.index.sources.fields import Fields
from lodex.index.vector_shard import SHARD_ROWS
from lodex.service.embedding_job import EmbeddedFile, EmbedOptions, embed_file
from lodex.types import TextKind

if TYPE_CHECKING:
    from lodex.embed.conventions.check import CheckReport
    from lodex.embed.encoder import TextEncoder

_FILE = "file"
_SHOWN = 60
_RANGES = "int8_ranges.safetensors"


class _FileUnlessNamed(TyperGroup):
    """A group whose first word is a file unless it is a verb, or asks for help; a file called `check` is `./check`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put in the verb that is left out."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_FILE, *args]
        return super().parse_args(ctx, args)


embed_app = typer.Typer(
    cls=_FileUnlessNamed,
    no_args_is_help=True,
    help="Embed the texts of a file: lodex embed FILE -o vectors.parquet (lodex embed file --help for its options). "
    "Or look whether an embedder gives the vectors it should: lodex embed check MODEL.",
)
app.add_typer(embed_app, name="embed")

ModelOption = Annotated[str, typer.Option("--model", help="minilm, the folder of an embedder, or a hub name.")]


@embed_app.command(_FILE)
def embed(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help=".jsonl (also .gz, .zst), .parquet, .txt with a text on each line, or - for JSON lines.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Parquet table to write.")],
    model: ModelOption = "minilm",
    kind: Annotated[TextKind, typer.Option("--kind", help="What the texts are to the model.")] = TextKind.PASSAGE,
    instruction: Annotated[
        str | None, typer.Option("--instruction", help="What queries are for, for a model that takes it.")
    ] = None,
    dimensions: Annotated[
        int | None, typer.Option("--dimensions", min=1, help="Keep so many numbers, where the model allows it.")
    ] = None,
    data_type: Annotated[DataType, typer.Option("--data-type", help="How numbers are kept.")] = "float32",
    precision: Annotated[
        str, typer.Option("--precision", help="In which the model computes: float32, bfloat16, or auto.")
    ] = "float32",
    int8_ranges: Annotated[
        Path | None,
        typer.Option("--int8-ranges", metavar="FILE", help="Ranges for int8, unless the model's folder has them."),
    ] = None,
    id_field: Annotated[str, typer.Option(help="Field with the id, else _id, id, doc_id or docid.")] = "",
    text_field: Annotated[str, typer.Option(help="Field with the text, else text, contents, content or body.")] = "",
    title_field: Annotated[str, typer.Option(help="Field with the title, else title.")] = "",
    title: Annotated[bool, typer.Option("--title/--no-title", help="Put titles before passages.")] = True,
    on_error: Annotated[
        OnError, typer.Option(help="fail: stop at the first bad input. skip: leave it out and count it.")
    ] = "fail",
    shard_rows: Annotated[
        int, typer.Option("--shard-rows", min=1, help="Texts of a shard: what an interruption may cost.")
    ] = SHARD_ROWS,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a table that is there.")] = False,
    as_json: JsonFlag = False,
    log_json: LogJsonFlag = False,
) -> None:
    """Embed every text of a file into a Parquet table of ids and vectors.

    Run again after an interruption, it goes on where it was: one shard of texts is lost at most, and the table has the
    bytes that it would have had. Until it is there, OUTPUT.parts holds what is finished.
    """
    options = EmbedOptions(
        kind=kind,
        instruction=instruction,
        dimensions=dimensions,
        data_type=data_type,
        precision=precision,
        fields=Fields(id=id_field, text=text_field, title=title_field, metadata=()),
        title=title,
        on_error=on_error,
        shard_rows=shard_rows,
    )
    report = JobReport()
    with job_progress(log_json) as progress:
        done = embed_file(
            file,
            output,
            lambda wanted: _open(model, wanted),
            options,
            progress,
            ranges=_ranges(model, int8_ranges) if data_type == "int8" else None,
            overwrite=overwrite,
            report=report,
        )
    if as_json:
        print_json(done)
    else:
        _print(done)


def _open(model: str, precision: str) -> TextEncoder:
    """The embedder; torch is imported only here."""
    try:
        from lodex.embed.registry import load_encoder
    except ModuleNotFoundError as error:
        raise MissingExtraError("embedding", "minilm") from error
    return load_encoder(model, precision=precision)


def _ranges(model: str, given: Path | None) -> Int8Ranges:
    """The ranges that int8 is measured by, of a file or of the model's folder."""
    from lodex.embed.registry import encoder_folder

    path = given or encoder_folder(model) / _RANGES
    if not path.is_file():
        raise FailedPreconditionError(
            f"int8 needs ranges that were measured on many vectors of {model!r}, and there is no {path}: "
            "name their file, as --int8-ranges FILE"
        )
    return Int8Ranges.open(path)


def _print(done: EmbeddedFile) -> None:
    found = f", {plural(done.shards_found, 'shard')} found finished" if done.shards_found else ""
    say(
        f"{done.output}: {plural(done.rows, 'text')}, {done.dimension} dimensions, {plural(done.tokens, 'token')} "
        f"in {done.seconds:,.1f} s ({done.tokens_per_second:,.0f} tokens/s){found}"
    )
    if done.truncated:
        say(f"{done.truncated:,} of {plural(done.rows, 'text')} were cut ({done.truncated / done.rows:.2%})")
    for skipped in done.skipped:
        print(f"skipped {skipped.count:,}: {skipped.fault}", file=sys.stderr)
        for example in skipped.examples:
            print(f"  {example}", file=sys.stderr)


@embed_app.command()
def check(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="minilm, the folder of an embedder, or a hub name.")
    ] = "minilm",
    precision: Annotated[
        str, typer.Option("--precision", help="In which the model computes: float32, bfloat16, or auto.")
    ] = "float32",
    as_json: JsonFlag = False,
) -> None:
    """Compare an embedder with the vectors and tokens that it is known to give; exits with 1 where it differs."""
    try:
        from lodex.embed.conventions.check import check_model
    except ModuleNotFoundError as error:
        raise MissingExtraError("embedding", "minilm") from error
    report = check_model(model, precision=precision)
    if as_json:
        print_json({**asdict(report), "worst": report.worst, "passed": report.passed})
    else:
        _print_check(report)
    if not report.passed:
        raise typer.Exit(1)


def _print_check(report: CheckReport) -> None:
    rows = [
        [text.kind, shorten(text.text, _SHOWN), f"{text.cosine:.6f}", "same" if text.same_tokens else "differ"]
        for text in report.texts
    ]
    print_table(["kind", "text", "cosine", "tokens"], rows)
    for text in report.texts:
        if not text.same_tokens:
            say(f"known {list(text.known_ids)}, here {list(text.token_ids)}: {escaped(shorten(text.text, _SHOWN))}")
    verdict = "gives" if report.passed else "does not give"
    say(
        f"{report.model} {verdict} the vectors of {report.made_by}: least cosine {report.worst:.6f}, "
        f"wanted {report.least} ({report.fingerprint})"
    )
