"""Shards of a larger task: made once, found again, made anew where they are damaged, forgotten at the end."""

from pathlib import Path

import pytest

from lodex.errors import DataLossError
from lodex.index.jobs import Task, TaskResult, artefact_path
from lodex.index.receipt import Artefact
from lodex.index.shards import Shards

TASK = Task("embed", ("some texts",), {"first": 0})


class Work:
    """Writes a file, and counts how often it had to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, out: Path) -> TaskResult:
        """Write it."""
        self.calls += 1
        (out / "data").write_bytes(b"0123456789")
        return TaskResult(1)


def read(shard: Artefact) -> bytes:
    return shard.file("data", whole=True).read_bytes()


def test_a_shard_is_made_once(tmp_path: Path) -> None:
    """A second taker finds what the first one wrote."""
    work = Work()
    assert [Shards(tmp_path).take(TASK, work, read) for _ in range(2)] == [b"0123456789"] * 2
    assert work.calls == 1


@pytest.mark.parametrize("data", [b"0123456780", b"012", None])
def test_a_damaged_shard_is_made_anew(tmp_path: Path, data: bytes | None) -> None:
    """A byte, the length or the whole file: nothing was lost that cannot be made again."""
    work = Work()
    Shards(tmp_path).take(TASK, work, read)
    file = artefact_path(tmp_path, TASK.kind, TASK.id) / "data"
    file.unlink()
    if data is not None:
        file.write_bytes(data)
    assert Shards(tmp_path).take(TASK, work, read) == b"0123456789"
    assert work.calls == 2


def test_a_shard_that_stays_damaged_is_an_error(tmp_path: Path) -> None:
    """It is made anew once, and no more: then the fault is the device's, or ours."""
    work = Work()

    def refuse(shard: Artefact) -> bytes:
        raise DataLossError("never right")

    with pytest.raises(DataLossError, match="never right"):
        Shards(tmp_path).take(TASK, work, refuse)
    assert work.calls == 2


def test_what_work_raises_is_not_tried_again(tmp_path: Path) -> None:
    """An input that is damaged stays damaged."""
    calls = []

    def fail(out: Path) -> TaskResult:
        calls.append(out)
        raise DataLossError("the input is damaged")

    with pytest.raises(DataLossError, match="the input"):
        Shards(tmp_path).take(TASK, fail, read)
    assert len(calls) == 1


def test_shards_are_forgotten_together(tmp_path: Path) -> None:
    """Those that were taken, found or made, and no others."""
    other = Task("embed", ("other texts",), {})
    Shards(tmp_path).take(other, Work(), read)
    shards = Shards(tmp_path)
    shards.take(TASK, Work(), read)
    shards.forget()
    assert [path.name for path in (tmp_path / "artefacts/embed").iterdir()] == [other.id]
