"""Embedding files: what is in the table, what is refused, and what an interruption costs."""

import gzip
import json
import multiprocessing
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lodex.embed.encoder import TextEncoder
from lodex.embed.tokens.framing import TokenRow
from lodex.embed.vectors.quantization import Int8Ranges, fit_int8
from lodex.errors import (
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    InputError,
    InvalidArgumentError,
    LodexError,
)
from lodex.index.job_report import JobReport
from lodex.index.sources.fields import Fields
from lodex.service import embedding_folder
from lodex.service.embedding_folder import EmbeddingFolder
from lodex.service.embedding_job import EmbeddedFile, EmbedOptions, embed_file
from lodex.service.vector_table import read_facts
from lodex.types import EncoderInfo, Silent, TextKind

D = 12
ROWS = 8
TEXTS = [f"text {i}" + " more" * (i % 5) for i in range(30)]


class Interrupted(BaseException):
    """What ends a job in the middle of it, as a signal does."""


class Hashed:
    """An embedder of hashed vectors that counts what it embeds, and breaks off where it is told."""

    precision = "float32"

    def __init__(self, until: int | None = None, fingerprint: str = "sha256:1") -> None:
        self.info = EncoderInfo("hashed", fingerprint, D, 4, normalized=True, matryoshka=(D, 9, 4))
        self.texts: list[str] = []
        self.kinds: set[TextKind] = set()
        self._until = until
        self._known: list[tuple[str, TextKind]] = []

    def tokenize(
        self, texts: Sequence[str], kind: TextKind, *, instruction: str | None = None
    ) -> list[TokenRow | LodexError]:
        """As many ids as words, each the number of the text; texts of over 4 words count as cut."""
        if instruction is not None:
            raise InvalidArgumentError("no instruction", "instruction")
        return [self._row(text, kind) for text in texts]

    def _row(self, text: str, kind: TextKind) -> TokenRow | LodexError:
        if text == "refused":
            return InvalidArgumentError("the text is refused")
        self.kinds.add(kind)
        self._known.append((text, kind))
        words = len(text.split())
        return TokenRow([len(self._known) - 1] * words, 0, words, truncated=words > 4)

    def embed_rows(self, rows: Sequence[TokenRow], advance: Callable[[int], None]) -> npt.NDArray[np.float32]:
        """A vector for each text."""
        vectors = np.empty((len(rows), D), np.float32)
        for i, row in enumerate(rows):
            if len(self.texts) == self._until:
                raise Interrupted
            text, kind = self._known[row.ids[0]]
            vectors[i] = np.nan if text == "broken" else vector_of(text, kind)
            self.texts.append(text)
            advance(1)
        return vectors


def vector_of(text: str, kind: TextKind = TextKind.PASSAGE) -> npt.NDArray[np.float32]:
    vector = np.random.default_rng(zlib.crc32(f"{kind} {text}".encode())).normal(size=D)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def options(**changes: Any) -> EmbedOptions:
    return EmbedOptions(**({"shard_rows": ROWS} | changes))


def embed(source: Path, output: Path, encoder: Hashed | None = None, **how: Any) -> EmbeddedFile:
    opened = cast("TextEncoder", encoder or Hashed())
    return embed_file(str(source), output, lambda precision: opened, how.pop("options", options()), **how)


def jsonl(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Thirty texts, so that the fourth shard of eight is not full."""
    return jsonl(tmp_path / "texts.jsonl", ({"id": f"id-{i}", "text": text} for i, text in enumerate(TEXTS)))


def leftovers(output: Path) -> list[str]:
    """What stands beside a table."""
    return sorted(path.name for path in output.parent.iterdir() if path.name.startswith((output.name, ".tmp")))


def test_the_table_holds_every_text_in_order(source: Path, tmp_path: Path) -> None:
    """Id, vector, tokens and whether it was cut; what made it stands in its metadata; a row group is a shard."""
    output = tmp_path / "out.parquet"
    done = embed(source, output)
    table = pq.read_table(output)
    assert table.column("id").to_pylist() == [f"id-{i}" for i in range(30)]
    np.testing.assert_array_equal(np.array(table.column("vector").to_pylist(), np.float32), list(map(vector_of, TEXTS)))
    assert table.column("tokens").to_pylist() == [len(text.split()) for text in TEXTS]
    assert table.column("truncated").to_pylist() == [len(text.split()) > 4 for text in TEXTS]
    assert table.schema.field("vector").type == pa.list_(pa.float32(), D)
    groups = pq.ParquetFile(output).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [8, 8, 8, 6]
    assert read_facts(output) == {
        "model": "hashed",
        "fingerprint": "sha256:1",
        "dimension": D,
        "normalized": True,
        "kind": "passage",
        "data_type": "float32",
        "precision": "float32",
    }
    assert (done.rows, done.dimension, done.shards_done, done.shards_found) == (30, D, 4, 0)
    assert (done.tokens, done.truncated) == (sum(len(text.split()) for text in TEXTS), 12)
    assert leftovers(output) == ["out.parquet"]


@pytest.mark.parametrize(
    ("data_type", "kind"),
    [("float16", pa.list_(pa.float16(), D)), ("bits", pa.binary(2)), ("float32", pa.list_(pa.float32(), D))],
)
def test_vectors_stand_in_the_type_that_was_asked_for(source: Path, tmp_path: Path, data_type: str, kind: Any) -> None:
    """Half floats as numpy rounds, bits as bytes of the signs."""
    output = tmp_path / "out.parquet"
    embed(source, output, options=options(data_type=data_type))
    column = pq.read_table(output).column("vector")
    assert column.type == kind
    expected = np.array(list(map(vector_of, TEXTS)))
    if data_type == "bits":
        assert column.to_pylist() == [np.packbits(row > 0).tobytes() for row in expected]
    else:
        np.testing.assert_array_equal(np.array(column.to_pylist()), expected.astype(data_type))


def ranges_of(dimension: int) -> Int8Ranges:
    return fit_int8(np.random.default_rng(3).normal(size=(500, dimension)).astype(np.float32) / 3)


def test_int8_is_measured_by_ranges_that_stand_in_the_table(source: Path, tmp_path: Path) -> None:
    """Codes are those of the ranges, and can be read back without any other file."""
    ranges = ranges_of(D)
    embed(source, tmp_path / "out", options=options(data_type="int8"), ranges=ranges)
    column = pq.read_table(tmp_path / "out").column("vector")
    assert column.type == pa.list_(pa.int8(), D)
    codes = np.array(column.to_pylist(), np.int8)
    vectors = np.array(list(map(vector_of, TEXTS)))
    np.testing.assert_array_equal(codes, ranges.encode(vectors))
    facts = read_facts(tmp_path / "out")
    kept = Int8Ranges(*(np.array(facts[name], np.float32) for name in ("minimum", "step")))
    np.testing.assert_array_equal(kept.decode(codes), ranges.decode(codes))


def test_int8_without_its_ranges_is_refused(source: Path, tmp_path: Path) -> None:
    """And with those of vectors of another size, or others than the job began with."""
    asked = options(data_type="int8")
    for ranges in (None, ranges_of(D - 1)):
        with pytest.raises(FailedPreconditionError, match="ranges"):
            embed(source, tmp_path / "out", options=asked, ranges=ranges)
    with pytest.raises(Interrupted):
        embed(source, tmp_path / "out", Hashed(20), options=asked, ranges=ranges_of(D))
    other = Int8Ranges(ranges_of(D).minimum, ranges_of(D).step * 2)
    with pytest.raises(FailedPreconditionError, match="other int8 ranges"):
        embed(source, tmp_path / "out", options=asked, ranges=other)
    assert embed(source, tmp_path / "out", options=asked, ranges=ranges_of(D)).shards_found == 2


@pytest.mark.parametrize(("data_type", "width"), [("float32", 9), ("bits", 2), ("int8", 9)])
def test_fewer_dimensions_are_the_first_ones_with_length_one_again(
    source: Path, tmp_path: Path, data_type: str, width: int
) -> None:
    """Before they are put in another type; the summary and the table say how many there are."""
    asked = options(data_type=data_type, dimensions=9)
    done = embed(source, tmp_path / "out", options=asked, ranges=ranges_of(9))
    cut = np.array(list(map(vector_of, TEXTS)))[:, :9]
    expected = (cut / np.linalg.norm(cut.astype(np.float64), axis=1, keepdims=True)).astype(np.float32)
    assert (done.dimension, read_facts(tmp_path / "out")["dimensions"]) == (9, 9)
    column = pq.read_table(tmp_path / "out").column("vector")
    if data_type == "bits":
        found = np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(-1, width)
        np.testing.assert_array_equal(found, np.packbits(expected > 0, axis=1))
    elif data_type == "int8":
        np.testing.assert_array_equal(np.array(column.to_pylist(), np.int8), ranges_of(9).encode(expected))
    else:
        np.testing.assert_allclose(np.array(column.to_pylist(), np.float32), expected, rtol=3e-7)


def test_every_form_of_file_gives_the_same_vectors(source: Path, tmp_path: Path) -> None:
    """JSON lines, compressed ones, a Parquet table and plain lines; the last have names of their own."""
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    packed, table, lines = tmp_path / "a.jsonl.gz", tmp_path / "b.parquet", tmp_path / "c.txt"
    packed.write_bytes(gzip.compress(source.read_bytes()))
    pq.write_table(pa.Table.from_pylist(rows), table)
    lines.write_text("\n".join(TEXTS))
    embed(source, tmp_path / "plain")
    expected = (tmp_path / "plain").read_bytes()
    for file in (packed, table):
        output = tmp_path / f"{file.name}.out"
        embed(file, output)
        assert output.read_bytes() == expected
    embed(lines, tmp_path / "lines")
    found = pq.read_table(tmp_path / "lines")
    assert found.column("vector").equals(pq.read_table(tmp_path / "plain").column("vector"))
    assert found.column("id").to_pylist() == [f"c.txt:{i}" for i in range(1, 31)]


def test_ids_are_kept_as_they_are(tmp_path: Path) -> None:
    """Numbers as text, equal ones twice, any Unicode; rows without one are called by file and line."""
    rows = [{"_id": 7, "text": "a"}, {"_id": 7, "text": "b"}, {"_id": "é\n", "text": "c"}, {"text": "d"}]
    embed(jsonl(tmp_path / "t.jsonl", rows), tmp_path / "out")
    assert pq.read_table(tmp_path / "out").column("id").to_pylist() == ["7", "7", "é\n", "t.jsonl:4"]


def test_passages_have_their_titles_before_them_and_queries_do_not(tmp_path: Path) -> None:
    """As in a dense index, unless they are to be left out; fields go by the names that are given."""
    path = jsonl(tmp_path / "t.jsonl", [{"name": "T", "say": "one"}, {"name": "", "say": "two"}])
    fields = Fields(text="say", title="name", metadata=())
    for number, (changes, expected) in enumerate(
        [
            ({}, ["T one", "two"]),
            ({"title": False}, ["one", "two"]),
            ({"kind": TextKind.QUERY}, ["one", "two"]),
        ]
    ):
        encoder = Hashed()
        embed(path, tmp_path / f"out{number}", encoder, options=options(fields=fields, **changes))
        assert encoder.texts == expected
        assert encoder.kinds == {changes.get("kind", TextKind.PASSAGE)}


@pytest.mark.parametrize("until", [0, 1, 7, 8, 20, 24, 29])
def test_an_interrupted_job_goes_on_and_ends_in_the_same_bytes(source: Path, tmp_path: Path, until: int) -> None:
    """It loses the shard at work and no other; the table is not there before."""
    embed(source, tmp_path / "whole")
    output = tmp_path / "out.parquet"
    with pytest.raises(Interrupted):
        embed(source, output, Hashed(until))
    assert not output.exists()
    again = Hashed()
    done = embed(source, output, again)
    assert again.texts == TEXTS[until // ROWS * ROWS :]
    assert (done.shards_found, done.shards_done) == (until // ROWS, 4 - until // ROWS)
    assert output.read_bytes() == (tmp_path / "whole").read_bytes()
    assert leftovers(output) == ["out.parquet"]


STEPS = ("plan written", "table written", "done written", "table moved", "shards removed")


@pytest.mark.parametrize("step", STEPS)
def test_a_job_may_be_killed_between_any_two_steps(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whatever was done, the same call does the rest, embeds nothing again and leaves nothing behind."""
    embed(source, tmp_path / "whole")
    output = tmp_path / "out.parquet"
    with monkeypatch.context() as patched:
        break_after(patched, step)
        with pytest.raises(Interrupted):
            embed(source, output)
    again = Hashed()
    done = embed(source, output, again)
    assert len(again.texts) == (len(TEXTS) if step == "plan written" else 0)
    assert (done.rows, done.shards_done + done.shards_found) == (30, 4)
    assert output.read_bytes() == (tmp_path / "whole").read_bytes()
    assert leftovers(output) == ["out.parquet"]


def break_after(patched: pytest.MonkeyPatch, step: str) -> None:
    """Break off right after a step of a job."""

    def stop(*arguments: object, **named: object) -> None:
        raise Interrupted

    def then_stop(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> None:
            function(*arguments, **named)
            raise Interrupted

        return call

    if step == "plan written":
        patched.setattr(EmbeddingFolder, "begin", then_stop(EmbeddingFolder.begin))
    elif step == "table written":
        patched.setattr(EmbeddingFolder, "finish", stop)
    elif step == "done written":
        patched.setattr(EmbeddingFolder, "complete", stop)
    elif step == "table moved":
        patched.setattr(embedding_folder, "sync_directory", stop)
    else:
        patched.setattr(embedding_folder.shutil, "rmtree", then_stop(embedding_folder.shutil.rmtree))


def test_a_shard_is_known_by_its_texts_whatever_became_of_the_file(source: Path, tmp_path: Path) -> None:
    """A text that changed after the interruption costs its shard, and the table is that of the file as it is."""
    output = tmp_path / "out.parquet"
    with pytest.raises(Interrupted):
        embed(source, output, Hashed(24))
    changed = ["new" if i == 3 else text for i, text in enumerate(TEXTS)] + ["one more"]
    jsonl(source, ({"id": f"id-{i}", "text": text} for i, text in enumerate(changed)))
    again = Hashed()
    embed(source, output, again)
    assert again.texts == changed[:8] + changed[24:]
    embed(source, tmp_path / "whole")
    assert output.read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_shard_is_known_by_its_ids_too(source: Path, tmp_path: Path) -> None:
    """And by where one ends and the text begins."""
    output = tmp_path / "out.parquet"
    rows = [{"id": f"id-{i}", "text": text} for i, text in enumerate(TEXTS)]
    with pytest.raises(Interrupted):
        embed(source, output, Hashed(24))
    rows[3]["id"] = "another"
    rows[9] = {"id": "id-9t", "text": TEXTS[9][1:]}
    jsonl(source, rows)
    embed(source, output)
    assert pq.read_table(output).column("id").to_pylist() == [row["id"] for row in rows]


def test_a_damaged_shard_is_named_and_embedded_anew(source: Path, tmp_path: Path) -> None:
    """No byte of it reaches the table."""
    output = tmp_path / "out.parquet"
    with pytest.raises(Interrupted):
        embed(source, output, Hashed(29))
    shards = tmp_path / "out.parquet.parts/artefacts/embed"
    file = sorted(shards.glob("[0-9a-f]*/vectors.f32"))[0]
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(DataLossError, match="run again"):
        embed(source, output)
    assert not output.exists()
    again = Hashed()
    embed(source, output, again)
    assert len(again.texts) == ROWS
    embed(source, tmp_path / "whole")
    assert output.read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_table_that_is_there_is_not_replaced_unasked(source: Path, tmp_path: Path) -> None:
    """Nothing is embedded for it, nothing is left beside it; asked, it is replaced in the end and not before."""
    output = tmp_path / "out.parquet"
    output.write_bytes(b"mine")
    encoder = Hashed()
    with pytest.raises(AlreadyExistsError, match="--overwrite"):
        embed(source, output, encoder)
    assert encoder.texts == []
    assert leftovers(output) == ["out.parquet"]
    with pytest.raises(Interrupted):
        embed(source, output, Hashed(20), overwrite=True)
    assert output.read_bytes() == b"mine"
    with pytest.raises(AlreadyExistsError):
        embed(source, output)
    assert embed(source, output, overwrite=True).shards_found == 2
    assert pq.read_table(output).num_rows == 30


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"options": options(data_type="bits")}, "data_type 'float32'"),
        ({"options": options(kind=TextKind.QUERY)}, "kind 'passage'"),
        ({"encoder": Hashed(fingerprint="sha256:2")}, "another embedder"),
    ],
)
def test_an_unfinished_job_is_not_mixed_with_another(
    source: Path, tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    """The plan says what it was, and the first one can still be finished."""
    output = tmp_path / "out.parquet"
    with pytest.raises(Interrupted):
        embed(source, output, Hashed(20))
    with pytest.raises(FailedPreconditionError, match=complaint):
        embed(source, output, **changes)
    assert embed(source, output).shards_found == 2


def test_a_finished_job_does_not_stand_in_for_another(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was killed at its very end is completed; what is asked for then is judged by itself."""
    output = tmp_path / "out.parquet"
    with monkeypatch.context() as patched:
        break_after(patched, "done written")
        with pytest.raises(Interrupted):
            embed(source, output)
    with pytest.raises(AlreadyExistsError):
        embed(source, output, options=options(data_type="bits"))
    assert pq.read_table(output).schema.field("vector").type == pa.list_(pa.float32(), D)


def test_a_table_that_came_meanwhile_is_not_replaced(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished table that was not moved yet stays where it is until --overwrite says so."""
    output = tmp_path / "out.parquet"
    with monkeypatch.context() as patched:
        break_after(patched, "done written")
        with pytest.raises(Interrupted):
            embed(source, output)
    output.write_text("mine")
    with pytest.raises(AlreadyExistsError):
        embed(source, output)
    assert output.read_text() == "mine"
    embed(source, output, overwrite=True)
    assert pq.read_table(output).num_rows == 30


def test_a_folder_of_somebody_else_is_left_alone(source: Path, tmp_path: Path) -> None:
    """One that has the name of the job's folder and was not made by a job."""
    output = tmp_path / "out.parquet"
    notes = tmp_path / "out.parquet.parts" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("mine")
    with pytest.raises(FailedPreconditionError, match=r"no folder of an embedding job: it holds notes\.txt"):
        embed(source, output)
    assert [path.name for path in notes.parent.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format":"other","minimum_reader":1}'])
def test_a_plan_that_cannot_be_read_is_data_loss(source: Path, tmp_path: Path, damage: bytes) -> None:
    """It is named; nothing is guessed."""
    output = tmp_path / "out.parquet"
    with pytest.raises(Interrupted):
        embed(source, output, Hashed(20))
    (tmp_path / "out.parquet.parts/plan.json").write_bytes(damage)
    with pytest.raises(DataLossError, match=r"plan\.json"):
        embed(source, output)


def hold(output: Path, held: Any, release: Any) -> None:
    """Be at work on a table in another process."""
    with EmbeddingFolder(output):
        held.set()
        release.wait(30)


def test_two_processes_never_write_one_table(source: Path, tmp_path: Path) -> None:
    """The second one is told; it can begin when the first has ended, however that was."""
    output = tmp_path / "out.parquet"
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(output, held, release))
    other.start()
    try:
        assert held.wait(60)
        with pytest.raises(FailedPreconditionError, match="another process"):
            embed(source, output)
    finally:
        other.kill()
        other.join()
    assert embed(source, output).rows == 30


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON"),
        ('{"id": "x"}', "no field 'text'"),
        ('{"id": "x", "text": 3}', "must be a string"),
        ('{"id": "x", "text": "\\ud800"}', "not valid Unicode"),
        ('{"id": "x", "text": "refused"}', "the text is refused"),
        ('{"id": "x", "text": "broken"}', "not finite"),
    ],
)
def test_wrong_input_is_named_by_file_and_line(source: Path, tmp_path: Path, line: str, complaint: str) -> None:
    """Also where the embedder is what refuses it; nothing is published, and what was finished is kept."""
    lines = source.read_text().splitlines()
    lines.insert(20, line)
    source.write_text("\n".join(lines))
    output = tmp_path / "out.parquet"
    with pytest.raises(InputError, match=complaint) as raised:
        embed(source, output)
    assert str(raised.value).startswith(f"{source}:21: ")
    assert not output.exists()
    del lines[20]
    source.write_text("\n".join(lines))
    assert embed(source, output).shards_found == 2


def test_faults_may_be_left_out_and_counted(source: Path, tmp_path: Path) -> None:
    """The rest has the table it would have without them."""
    embed(source, tmp_path / "whole")
    lines = source.read_text().splitlines()
    lines[5:5] = ["{", '{"id": "x"}', "["]
    source.write_text("\n".join(lines))
    done = embed(source, tmp_path / "out", options=options(on_error="skip"))
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert [(skipped.fault, skipped.count) for skipped in done.skipped] == [("not JSON", 2), ("missing field", 1)]


def test_texts_that_the_embedder_refuses_are_left_out_and_counted_in_every_call(source: Path, tmp_path: Path) -> None:
    """Also by one that finds their shard finished; a shard of them alone has no rows."""
    refused = '{"id": "no", "text": "refused"}'
    lines = source.read_text().splitlines()
    source.write_text("\n".join([refused] * ROWS + lines[:3] + [refused] + lines[3:]))
    skipping = options(on_error="skip")
    with pytest.raises(Interrupted):
        embed(source, tmp_path / "out", Hashed(20), options=skipping)
    done = embed(source, tmp_path / "out", options=skipping)
    assert done.shards_found == 3
    (skipped,) = done.skipped
    assert (skipped.fault, skipped.count) == ("refused by the embedder", ROWS + 1)
    assert skipped.examples[0] == f"{source}:1: the text is refused"
    assert pq.read_table(tmp_path / "out").column("id").to_pylist() == [f"id-{i}" for i in range(30)]


@pytest.mark.parametrize("changes", [{"instruction": "find"}, {"dimensions": 5}])
def test_what_the_embedder_cannot_do_leaves_nothing_behind(
    source: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """It is refused before anything is planned, so that the next call is free to ask for less."""
    with pytest.raises(InvalidArgumentError) as raised:
        embed(source, tmp_path / "out", options=options(**changes))
    assert raised.value.field == next(iter(changes))
    assert leftovers(tmp_path / "out") == []


def test_a_plan_of_which_nothing_was_done_binds_nobody(source: Path, tmp_path: Path) -> None:
    """It is written anew."""
    with pytest.raises(Interrupted):
        embed(source, tmp_path / "out", Hashed(3))
    embed(source, tmp_path / "out", options=options(data_type="bits"))
    assert pq.read_table(tmp_path / "out").schema.field("vector").type == pa.binary(2)


def test_what_is_no_file_of_texts_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """An unknown ending, no file, a folder for an output."""
    (tmp_path / "a.pdf").touch()
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "folder").mkdir()
    for source, output, error in (
        ("a.pdf", "out", InvalidArgumentError),
        ("none.jsonl", "out", InvalidArgumentError),
        ("folder", "out", InvalidArgumentError),
        ("empty.jsonl", "folder", InvalidArgumentError),
        ("empty.jsonl", "no/such/out", FileNotFoundError),
    ):
        with pytest.raises(error):
            embed(tmp_path / source, tmp_path / output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "empty.jsonl", "folder"]
    with pytest.raises(InputError, match="the file is empty"):
        embed(tmp_path / "empty.jsonl", tmp_path / "out")


class Meter(Silent):
    """Sums up what is told."""

    def __init__(self) -> None:
        self.total: int | None = 0
        self.done = self.read = 0

    def start(self, label: str, total: int | None, unit: str) -> None:
        """Begin."""
        assert unit == "bytes"
        self.total = total

    def advance(self, amount: int) -> None:
        """More bytes."""
        assert amount >= 0
        self.done += amount

    def tokens(self, amount: int) -> None:
        """More tokens."""
        self.read += amount


def test_progress_is_told_in_bytes_of_the_file_and_tokens(source: Path, tmp_path: Path) -> None:
    """All bytes, whether their texts are embedded now or were before; tokens only of the first."""
    with pytest.raises(Interrupted):
        embed(source, tmp_path / "out", Hashed(20))
    meter, report = Meter(), JobReport()
    done = embed(source, tmp_path / "out", progress=meter, report=report)
    assert meter.done == meter.total == source.stat().st_size
    assert meter.read == sum(len(text.split()) for text in TEXTS[16:])
    assert done.tokens == sum(len(text.split()) for text in TEXTS)
    assert [(kind.kind, kind.done, kind.skipped, kind.rows) for kind in report.summary()] == [("embed", 2, 2, 30)]


def test_a_shard_ends_at_its_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that memory is bounded however long texts are; a text above the limit has a shard to itself."""
    monkeypatch.setattr("lodex.service.embedding_input.SHARD_BYTES", 10)
    path = jsonl(tmp_path / "t.jsonl", [{"text": "x" * n} for n in (4, 4, 4, 30, 1, 9, 1)])
    embed(path, tmp_path / "out")
    groups = pq.ParquetFile(tmp_path / "out").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [2, 1, 1, 2, 1]
