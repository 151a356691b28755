"""Embedding a file: its texts, shard by shard, into a Parquet table of vectors. What is killed goes on where it was."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodex.embed.embedding_task import (
    DataType,
    EmbedRecipe,
    ShardVectors,
    check_recipe,
    embed_shard,
    ranges_digest,
    tokenize_shard,
)
from lodex.embed.runtime.pipeline import run_pipeline
from lodex.embed.tokens.framing import TokenRow
from lodex.embed.vectors.quantization import Int8Ranges
from lodex.errors import DataLossError, FailedPreconditionError, InputError, InvalidArgumentError, LodexError
from lodex.index.ingest_task import OnError, Skipped, SkippedFaults
from lodex.index.job_report import JobReport, TaskReport, run_measured, tell_tasks, tell_tokens
from lodex.index.jobs import Task, TaskResult, artefact_path, forget_task
from lodex.index.receipt import RECEIPT, Artefact, Receipt, read_receipt
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

_SAME = "give the same, or remove it to begin again"
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
    ranges: Int8Ranges | None = None,
    overwrite: bool = False,
    report: JobReport | None = None,
) -> EmbeddedFile:
    """Embed every text of `source` and publish the table `output`, whole or not at all.

    `source` is a `.jsonl` (plain, gzip or zstd), `.parquet` or `.txt` file, of which every line is a text, or `-` for
    JSON lines from standard input. Ids are kept as they are, in their order; none is compared with another. Memory is
    bounded by a few shards of texts and vectors. `ranges` are what int8 is measured by.

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
            job = _Job(folder, options, ranges, progress or Silent(), report or JobReport())
            return job.run(source, read, open_encoder, overwrite=overwrite)
        if folder.table.exists() and not overwrite:
            folder.require_free()
        folder.complete()
    # What is moved to its place now was finished before, for these very arguments or for others.
    if done["source"] == source and done["options"] == options.to_json():
        return _finished(output, done)
    return embed_file(
        source, output, open_encoder, options, progress, ranges=ranges, overwrite=overwrite, report=report
    )


def _finished(output: Path, done: Mapping[str, Any]) -> EmbeddedFile:
    facts = {name: done[name] for name in ("rows", "dimension", "tokens", "truncated")}
    return EmbeddedFile(
        str(output), **facts, shards_done=0, shards_found=done["shards"], seconds=0, tokens_per_second=0
    )


@dataclass(frozen=True, slots=True)
class _Shard:
    """A run of texts on its way: its task, its tokens unless the shard is there, and how far in the file it reaches."""

    texts: list[TextRow]
    task: Task
    tokens: list[TokenRow | LodexError] | None
    read_bytes: int


class _Job:
    """One run of a job, in its locked folder.

    The next shard is read and tokenised while one is in the model. It is published before the next one begins, so that
    a kill never costs two.
    """

    def __init__(
        self,
        folder: EmbeddingFolder,
        options: EmbedOptions,
        ranges: Int8Ranges | None,
        progress: Progress,
        report: JobReport,
    ) -> None:
        self._folder = folder
        self._options = options
        self._ranges = ranges if options.data_type == "int8" else None
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
        plan = self._planned(overwrite=overwrite)
        encoder = open_encoder(self._options.precision if plan is None else plan["recipe"]["precision"])
        recipe = self._recipe(encoder, plan)
        if plan is None:
            self._folder.begin({"options": self._options.to_json(), "recipe": recipe.config()})
        self._progress.start("embedding", size_of(source), "bytes")
        run_pipeline(
            runs_of(self._texts(read), self._options.shard_rows),
            partial(self._prepare, encoder, recipe),
            partial(self._embed, encoder, recipe),
            self._take,
            depth=1,
        )
        self._progress.finish()
        VectorTable(recipe, encoder.info, self._ranges).write(self._folder.table, map(self._shard, self._shards))
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

    def _planned(self, *, overwrite: bool) -> Mapping[str, Any] | None:
        """The plan of an unfinished job, to be obeyed; FailedPreconditionError where it was asked for something else.

        None where there is none, or none of which anything was done.
        """
        plan = self._folder.plan()
        if not overwrite:
            self._folder.require_free()
        wanted = self._options.to_json()
        if plan is None or not self._folder.has_shards():
            return None
        had = plan["options"]
        if had != wanted:
            differing = ", ".join(f"{name} {had.get(name)!r}" for name in wanted if had.get(name) != wanted[name])
            raise FailedPreconditionError(f"{self._folder.path} holds an unfinished job with {differing}: {_SAME}")
        return plan

    def _recipe(self, encoder: TextEncoder, plan: Mapping[str, Any] | None) -> EmbedRecipe:
        """What the plan says, or what the options come to with this embedder."""
        digest = ranges_digest(self._ranges) if self._ranges is not None else None
        if plan is not None:
            recipe = EmbedRecipe.read(plan["recipe"])
            if recipe.int8_ranges != digest:
                raise FailedPreconditionError(
                    f"{self._folder.path} holds an unfinished job with other int8 ranges: {_SAME}"
                )
            if recipe.fingerprint != encoder.info.fingerprint:
                raise FailedPreconditionError(
                    f"{self._folder.path} holds an unfinished job with another embedder ({recipe.fingerprint}) than "
                    f"{encoder.info.name!r} ({encoder.info.fingerprint}): {_SAME}"
                )
            return recipe
        options = self._options
        recipe = EmbedRecipe(
            fingerprint=encoder.info.fingerprint,
            kind=options.kind,
            instruction=options.instruction,
            dimensions=options.dimensions,
            data_type=options.data_type,
            precision=encoder.precision,
            int8_ranges=digest,
        )
        check_recipe(encoder, recipe, self._ranges)
        return recipe

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

    def _prepare(self, encoder: TextEncoder, recipe: EmbedRecipe, texts: list[TextRow]) -> _Shard:
        """A run of texts as tokens, unless its shard is there. In the thread that reads."""
        read_bytes, self._read_bytes = self._read_bytes, 0
        task = Task(EMBED, (digest_of(texts),), recipe.config())
        is_there = (artefact_path(self._folder.path, EMBED, task.id) / RECEIPT).exists()
        tokens = None if is_there else tokenize_shard(encoder, recipe, [row.text for row in texts])
        return _Shard(texts, task, tokens, read_bytes)

    def _embed(
        self, encoder: TextEncoder, recipe: EmbedRecipe, shard: _Shard
    ) -> tuple[_Shard, Receipt, TaskReport, _Share]:
        """Make a shard, or find it."""
        share = _Share(self._progress, shard.read_bytes, len(shard.texts))

        def work(out: Path) -> TaskResult:
            assert shard.tokens is not None, "a shard that was there is gone, though its folder is locked"
            refused = [i for i, row in enumerate(shard.tokens) if isinstance(row, LodexError)]
            if refused and self._options.on_error == "fail":
                raise _fault(shard.texts[refused[0]], str(shard.tokens[refused[0]]))
            kept = [
                (text, row) for text, row in zip(shard.texts, shard.tokens, strict=True) if isinstance(row, TokenRow)
            ]
            made = self._vectors(encoder, recipe, kept, share.advance)
            tell_tokens(self._progress, made.tokens)
            result = write_shard(out, [text.id for text, _ in kept], made)
            return replace(result, details={**result.details, "refused": [[i, str(shard.tokens[i])] for i in refused]})

        artefact, report = run_measured(self._folder.path, shard.task, work)
        return shard, artefact.receipt, report, share

    def _vectors(
        self,
        encoder: TextEncoder,
        recipe: EmbedRecipe,
        kept: Sequence[tuple[TextRow, TokenRow]],
        advance: Callable[[int], None],
    ) -> ShardVectors:
        """The vectors of a shard; a text that the model makes nothing of is said by file and line."""
        try:
            return embed_shard(encoder, recipe, [row for _, row in kept], advance, self._ranges)
        except InvalidArgumentError as error:
            place = _TEXT_FIELD.match(error.field)
            if place is None:
                raise
            raise _fault(kept[int(place[1])][0], str(error)) from error

    def _take(self, made: tuple[_Shard, Receipt, TaskReport, _Share]) -> None:
        """Count a shard in, whether it was made or found."""
        shard, receipt, report, share = made
        share.complete()
        self._report.add(report)
        self._shards.append(shard.task.id)
        self._found += report.is_skipped
        self._rows += receipt.rows
        self._tokens += receipt.details["tokens"]
        self._new_tokens += 0 if report.is_skipped else receipt.details["tokens"]
        self._truncated += receipt.details["truncated"]
        for i, message in receipt.details["refused"]:
            self._skipped.add(_fault(shard.texts[i], message))
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


def _fault(text: TextRow, message: str) -> InputError:
    return InputError(message, text.place, text.line, Fault.REFUSED)
