"""Parquet tables."""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lodex.errors import InputError
from lodex.index.sources.fault import Fault
from lodex.index.sources.fields import Fields
from lodex.index.sources.parquet import read_parquet
from lodex.index.sources.reading import Item, Reading, Record, SourceFile
from lodex.types import Document


def read(path: Path, table: Any, reading: Reading | None = None, **options: Any) -> list[Item]:
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), path, **options)
    return list(read_parquet(SourceFile(path, path.name), reading or Reading()))


def test_rows_are_documents_in_order(tmp_path: Path) -> None:
    """Over several row groups and batches, each with its row as line; missing values are no metadata of note."""
    n = 1000
    table = {"id": list(range(n)), "text": [f"text {i}" for i in range(n)], "tag": [None, "x"] * (n // 2)}
    items = read(tmp_path / "a.parquet", table, row_group_size=300)
    assert items == [
        Record(
            Document(str(i), f"text {i}", source="a.parquet", metadata={"tag": "x" if i % 2 else None}),
            str(tmp_path / "a.parquet"),
            i + 1,
        )
        for i in range(n)
    ]


def test_typed_values_become_json(tmp_path: Path) -> None:
    """Nested values are kept, moments become ISO 8601 (nanoseconds cut to microseconds), NaN null, bytes their text."""
    moment = datetime(2024, 5, 1, 12, tzinfo=UTC)
    table = pa.table(
        {
            "text": pa.array([b"bytes"], pa.binary()),
            "date": pa.array([moment], pa.timestamp("us", "UTC")),
            "nanos": pa.array([1_714_564_800_000_000_123], pa.timestamp("ns")),
            "nested": [{"a": [1, 2], "b": None}],
            "nan": [float("nan")],
            "price": [Decimal("1.50")],
            "pairs": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "kind": pa.array(["x"]).dictionary_encode(),
            "large": pa.array(["y"], pa.large_string()),
        }
    )
    [record] = read(tmp_path / "a.parquet", table)
    assert isinstance(record, Record)
    assert record.document.text == "bytes"
    assert record.document.date == "2024-05-01T12:00:00+00:00"
    assert record.document.metadata == {
        "nanos": "2024-05-01T12:00:00",
        "nested": {"a": [1, 2], "b": None},
        "nan": None,
        "price": "1.50",
        "pairs": [["k", 1]],
        "kind": "x",
        "large": "y",
    }


def test_only_the_columns_that_are_used_are_read(tmp_path: Path) -> None:
    """A column that is neither a field nor wanted as metadata costs nothing, however large."""
    reads: list[int] = []
    reading = Reading(fields=Fields(metadata=("tag",)), advance=reads.append)
    table = {"text": ["a"], "tag": ["t"], "image": [bytes(range(256)) * 40_000]}
    [record] = read(tmp_path / "a.parquet", table, reading, compression="none")
    assert isinstance(record, Record)
    assert record.document.metadata == {"tag": "t"}
    assert sum(reads) < 200_000 < (tmp_path / "a.parquet").stat().st_size


def test_a_row_that_cannot_be_read_leaves_the_others(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, a moment beyond the calendar, and a null text are faults of their rows."""
    text = pa.Array.from_buffers(
        pa.string(),
        4,
        [None, pa.py_buffer(b"".join(i.to_bytes(4, "little") for i in (0, 1, 2, 3, 4))), pa.py_buffer(b"a\xffcd")],
    )
    when = pa.array([0, 0, 2**62, 0], pa.timestamp("us"))
    first, undecodable, beyond, last = read(tmp_path / "a.parquet", {"text": text, "when": when})
    assert isinstance(first, Record)
    assert isinstance(last, Record)
    assert (first.line, last.line, last.document.text) == (1, 4, "d")
    assert isinstance(undecodable, InputError)
    assert isinstance(beyond, InputError)
    assert (undecodable.line, undecodable.kind) == (2, Fault.UNDECODABLE)
    assert (beyond.line, beyond.kind) == (3, Fault.WRONG_TYPE)
    assert str(beyond).startswith(f"{tmp_path}/a.parquet:3: ")


@pytest.mark.parametrize(
    ("table", "fields", "kind", "message"),
    [
        ({"title": ["a"]}, Fields(), Fault.MISSING_FIELD, "no field 'text' or"),
        ({"text": ["a"]}, Fields(url="link"), Fault.MISSING_FIELD, "no field 'link'; there are 'text'"),
        ({"text": ["a"]}, Fields(metadata=("x",)), Fault.MISSING_FIELD, "no field 'x'; there are 'text'"),
        ({"text": pa.array([], pa.string())}, Fields(), Fault.EMPTY_FILE, "the table has no rows"),
        (pa.table([["a"], ["b"]], names=["text", "text"]), Fields(), Fault.WRONG_TYPE, "column 'text' stands twice"),
    ],
)
def test_a_table_of_the_wrong_shape_is_one_fault(
    tmp_path: Path, table: Any, fields: Fields, kind: Fault, message: str
) -> None:
    """What the schema tells is told once, not for every row."""
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "a.parquet", table, Reading(fields=fields))
    assert caught.value.kind == kind


def test_values_of_the_wrong_type_are_faults_of_rows(tmp_path: Path) -> None:
    """A column of numbers is no text."""
    [fault] = read(tmp_path / "a.parquet", {"text": [1]})
    assert str(fault) == f"{tmp_path}/a.parquet:1: field 'text' must be a string, not int"


@pytest.mark.parametrize(
    "damage", [lambda d: b"", lambda d: b"no table" * 9, lambda d: d[:-1], lambda d: d[:9] + bytes(90) + d[99:]]
)
def test_a_damaged_table_is_a_fault(tmp_path: Path, damage: Any) -> None:
    """Bytes that are not a table, or not whole, raise InputError and nothing else."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"{i:0500}" for i in range(200)]}), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match="not a Parquet file that can be read") as caught:
        list(read_parquet(SourceFile(path, path.name), Reading()))
    assert caught.value.kind == Fault.DAMAGED


PEAK = """
import sys
from pathlib import Path
from lodex.index.sources.parquet import read_parquet
from lodex.index.sources.reading import Reading, SourceFile
def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM:")).split()[1]) >> 10
items = read_parquet(SourceFile(Path(sys.argv[1]), "a.parquet"), Reading())
next(items)
before = peak()
assert sum(1 for _ in items) == 4999
print(peak() - before)
"""


@pytest.mark.slow
def test_a_large_row_group_is_not_held(tmp_path: Path) -> None:
    """500 MB of text in one row group of small pages are read within a small part of that memory."""
    path = tmp_path / "a.parquet"
    text = "".join(chr(32 + i % 90) for i in range(100_000))
    pq.write_table(
        pa.table({"text": [f"{i}{text}" for i in range(5000)]}),
        path,
        row_group_size=5000,
        use_dictionary=False,
        write_batch_size=16,
    )
    grown = subprocess.run([sys.executable, "-c", PEAK, str(path)], check=True, stdout=subprocess.PIPE).stdout
    assert int(grown) < 100
