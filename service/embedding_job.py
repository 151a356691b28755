"""Embedding a file: its texts, shard by shard, into a Parquet table of vectors. What is killed goes on where it was."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodex.embed.embedding_task import DataType, EmbedRecipe, ShardVectors, embed_shard
from lodex.errors import DataLossError, FailedPreconditionError, InputError, InvalidArgumentError
from lodex.index.ingest_task import OnError, Skipped, SkippedFaults
from lodex.index.job_report import JobReport, run_measured, tell_tasks, tell_tokens
from lodex.index.jobs import Task, TaskResult, artefact_path, forget_task
from lodex.index.receipt import Artefact, read_receipt
from lodex.index.sources.fault import Fault
from lodex.index.sources.fields import Fields
from lodex.index.sources.reading import Reading
from lodex.index.vector_shard import EMBED, SHARD_ROWS
from lodex.service.embedding_folder import EmbeddingFolder
from lodex.service.embedding_input import ReadItems, TextRow, digest_of, reader_of, runs_of, size_of, texts_of
from lodex.service.vector_table import VectorTable, write_shard
from lodex.types import Progress, Silent, TextKind

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder

_TEXT_FIELD = re.compile(r"texts\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """How the texts of a file are read and embedded. A job that was killed goes on with the same ones alone.

    Passages are embedded with their title before them, as in a dense index, unless `title` is False; queries never.
    `instruction` is for queries of models that take one; `dimensions` for models whose vectors may be cut.
    `precision` "auto" is settled when the job begins.
    """

    kind: TextKind = TextKind.PASSAGE
    instruction: str | None = None
    dimensions: int | None = None
    data_type: DataType = "float32"
    precision: str = "float32"
    fields: Fields = field(default_factory=lambda: Fields(metadata=()))
    title: bool = True
    on_error: OnError = "fail"
    shard_rows: int = SHARD_ROWS

    def to_json(self) -> dict[str, Any]:
        """For the plan."""
        return {**asdict(self), "kind": self.kind.value, "fields": {**asdict(self.fields), "metadata": []}}


@dataclass(frozen=True, slots=True)
class EmbeddedFile:
    """What a job did. `tokens` and `truncated` are of the whole table; `seconds` and the rate of this call alone.

    `shards_found` were finished by calls before. `skipped` are the faults that `on_error="skip"` left out.
    """

    output: str
    rows: int
    dimension: int
    tokens: int
    truncated: int
    shards_done: int
    shards_found: int
    seconds: float
    tokens_per_second: float
    skipped: tuple[Skipped, ...] = ()


OpenEncoder = Callable[[str], "TextEncoder"]
"""Opens the embedder in a precision, by its name; "auto" chooses."""


def embed_file(
    source: str,
    output: Path,
    open_encoder: OpenEncoder,
    options: EmbedOptions | None = None,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
    report: JobReport | None = None,
) -> EmbeddedFile:
    """Embed every text of `source` and publish the table `output`, whole or not at all.

    `source` is a `.jsonl` (plain, gzip or zstd), `.parquet` or `.txt` file, of which every line is a text, or `-` for
    JSON lines from standard input. Ids are kept as they are, in their order; none is compared with another. Memory is
    bounded by one shard of texts and vectors.

    A shard is known by its texts and ids, so a killed call that is repeated embeds those shards that are not finished,
    whatever has become of the file, and the table has the bytes that it would have had. Raises InputError naming file
    and line; AlreadyExistsError where `output` is there, unless `overwrite`; FailedPreconditionError where another
    process is at work on it, or an unfinished job had another embedder or other options.
    """
    options = options or EmbedOptions()
    read = reader_of(source)
    if output.is_dir():
        raise InvalidArgumentError(f"{output} is a folder, expected the name of a Parquet file", "output")
    with EmbeddingFolder(output) as folder:
        done = folder.done()
        if done is None:
            job = _Job(folder, options, progress or Silent(), report or JobReport())
            return job.run(source, read, open_encoder, overwrite=overwrite)
        folder.complete()
    # What is moved to its place now was finished before, for these very arguments or for others.
    if done["source"] == source and done["options"] == options.to_json():
        return _finished(output, done)
    return embed_file(source, output, open_encoder, options, progress, overwrite=overwrite, report=report)


def _finished(output: Path, done: Mapping[str, Any]) -> EmbeddedFile:
    facts = {name: done[name] for name in ("rows", "dimension", "tokens", "truncated")}
    return EmbeddedFile(
        str(output), **facts, shards_done=0, shards_found=done["shards"], seconds=0, tokens_per_second=0
    )


class _Job:
    """One run of a job, in its locked folder."""

    def __init__(self, folder: EmbeddingFolder, options: EmbedOptions, progress: Progress, report: JobReport) -> None:
        self._folder = folder
        self._options = options
        self._progress = progress
        self._report = report
        self._skipped = SkippedFaults()
        self._read_bytes = 0
        self._shards: list[str] = []
        self._found = 0
        self._rows = self._tokens = self._truncated = 0
        self._new_tokens = 0

    def run(self, source: str, read: ReadItems, open_encoder: OpenEncoder, *, overwrite: bool) -> EmbeddedFile:
        """Embed, join, publish."""
        started = time.perf_counter()
        plan = self._folder.plan()
        if not overwrite:
            self._folder.require_free()
        self._require_same(plan)
        encoder = open_encoder(self._options.precision if plan is None else plan["recipe"]["precision"])
        recipe = self._recipe(encoder, plan)
        if plan is None:
            self._folder.begin({"options": self._options.to_json(), "recipe": recipe.config()})
        self._progress.start("embedding", size_of(source), "bytes")
        for rows in runs_of(self._texts(read), self._options.shard_rows):
            self._embed(encoder, recipe, rows)
        self._progress.finish()
        VectorTable(recipe, encoder.info).write(self._folder.table, map(self._shard, self._shards))
        dimension = recipe.dimensions or encoder.info.dimension
        facts = {"rows": self._rows, "dimension": dimension, "tokens": self._tokens, "truncated": self._truncated}
        whole = facts | {"shards": len(self._shards), "source": source, "options": self._options.to_json()}
        self._folder.finish(whole)
        seconds = time.perf_counter() - started
        return EmbeddedFile(
            output=str(self._folder.output),
            **facts,
            shards_done=len(self._shards) - self._found,
            shards_found=self._found,
            seconds=seconds,
            tokens_per_second=self._new_tokens / max(seconds, 1e-9),
            skipped=self._skipped.summary(),
        )

    def _require_same(self, plan: Mapping[str, Any] | None) -> None:
        """FailedPreconditionError where an unfinished job was asked for something else."""
        wanted = self._options.to_json()
        if plan is None or plan["options"] == wanted:
            return
        had = plan["options"]
        differing = ", ".join(f"{name} {had.get(name)!r}" for name in wanted if had.get(name) != wanted[name])
        raise FailedPreconditionError(
            f"{self._folder.path} holds an unfinished job with {differing}: give the same, or remove it to begin again"
        )

    def _recipe(self, encoder: TextEncoder, plan: Mapping[str, Any] | None) -> EmbedRecipe:
        """What the plan says, or what the options come to with this embedder."""
        if plan is not None:
            recipe = EmbedRecipe.read(plan["recipe"])
            if recipe.fingerprint != encoder.info.fingerprint:
                raise FailedPreconditionError(
                    f"{self._folder.path} holds an unfinished job with another embedder ({recipe.fingerprint}) than "
                    f"{encoder.info.name!r} ({encoder.info.fingerprint}): give the same, or remove it to begin again"
                )
            return recipe
        options = self._options
        return EmbedRecipe(
            fingerprint=encoder.info.fingerprint,
            kind=options.kind,
            instruction=options.instruction,
            dimensions=options.dimensions,
            data_type=options.data_type,
            precision=_precision(encoder),
        )

    def _texts(self, read: ReadItems) -> Iterator[TextRow]:
        """The rows that can be embedded; the first fault is raised, unless faults are to be skipped."""
        with_title = self._options.title and self._options.kind is TextKind.PASSAGE
        reading = Reading(self._options.fields, advance=self._count_bytes)
        for row in texts_of(read(reading), with_title=with_title):
            if isinstance(row, TextRow):
                yield row
            elif self._options.on_error == "fail":
                raise row
            else:
                self._skipped.add(row)

    def _count_bytes(self, amount: int) -> None:
        self._read_bytes += amount

    def _embed(self, encoder: TextEncoder, recipe: EmbedRecipe, rows: list[TextRow]) -> None:
        """Make one shard, or find it; either way it is part of the table."""
        share = _Share(self._progress, self._read_bytes, len(rows))
        self._read_bytes = 0
        task = Task(EMBED, (digest_of(rows),), recipe.config())

        def work(out: Path) -> TaskResult:
            made = _embedded(encoder, recipe, rows, share.advance)
            tell_tokens(self._progress, made.tokens)
            self._new_tokens += made.tokens
            return write_shard(out, [row.id for row in rows], made)

        artefact, report = run_measured(self._folder.path, task, work)
        share.complete()
        self._report.add(report)
        self._shards.append(task.id)
        self._found += report.is_skipped
        self._rows += len(rows)
        self._tokens += artefact.receipt.details["tokens"]
        self._truncated += artefact.receipt.details["truncated"]
        tell_tasks(self._progress, len(self._shards), None)

    def _shard(self, id: str) -> Artefact:
        """A shard to be joined, every byte of it proven; a damaged one is thrown away, to be made again."""
        path = artefact_path(self._folder.path, EMBED, id)
        try:
            artefact = Artefact(path, read_receipt(path))
            artefact.prove_all()
        except DataLossError as error:
            forget_task(self._folder.path, EMBED, id)
            raise DataLossError(f"{error}; the shard is removed: run again to embed it anew") from error
        return artefact


class _Share:
    """Tells progress in bytes of the file while the texts that stood in them are embedded."""

    def __init__(self, progress: Progress, total: int, texts: int) -> None:
        self._progress = progress
        self._total = total
        self._texts = texts
        self._done = self._told = 0

    def advance(self, texts: int) -> None:
        """So many more texts are done."""
        self._done += texts
        self._tell(self._total * min(self._done, self._texts) // self._texts)

    def complete(self) -> None:
        """All are, also where they were found done."""
        self._tell(self._total)

    def _tell(self, so_far: int) -> None:
        self._progress.advance(so_far - self._told)
        self._told = so_far


def _embedded(
    encoder: TextEncoder, recipe: EmbedRecipe, rows: list[TextRow], advance: Callable[[int], None]
) -> ShardVectors:
    """The vectors of a shard; what is wrong with a text is said by file and line."""
    try:
        return embed_shard(encoder, recipe, [row.text for row in rows], advance)
    except InvalidArgumentError as error:
        place = _TEXT_FIELD.match(error.field)
        if place is None:
            raise
        row = rows[int(place[1])]
        raise InputError(str(error), row.place, row.line, Fault.WRONG_TYPE) from error


def _precision(encoder: TextEncoder) -> str:
    """In which the embedder computes."""
    return str(getattr(encoder, "precision", "float32"))
