"""Amounts of memory on the command line: what is read, what is refused, and what follows from it."""

from pathlib import Path

import pytest

from lodex.cli import main
from lodex.cli.memory import memory_of, parse_memory
from lodex.errors import InvalidArgumentError
from lodex.index.store import Store
from lodex.types import Document


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command in this process; returns its exit code."""
    monkeypatch.setattr("sys.argv", ["lodex", *map(str, arguments)])
    monkeypatch.setenv("LODEX_LOG", "off")
    with pytest.raises(SystemExit) as exited:
        main()
    return int(exited.value.code or 0)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MB", 512_000_000),
        ("4GB", 4_000_000_000),
        ("4g", 4_000_000_000),
        (" 1.5 GiB ", 3 << 29),
        ("64kib", 1 << 16),
        ("200kB", 200_000),
        ("1TB", 10**12),
        ("100b", 100),
    ],
)
def test_amounts_have_decimal_and_binary_units(text: str, size: int) -> None:
    """In any case, with fractions, with and without B."""
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "512", "MB", "-1GB", "1e9B", "4 gigs", "0GB", "0.1b", "٤GB", "1GBps", "nan MB"])
def test_anything_else_is_an_error_that_shows_an_example(text: str) -> None:
    """A number alone too: it might be bytes or megabytes."""
    with pytest.raises(InvalidArgumentError, match="such as 512MB or 4GB"):
        parse_memory(text)


def test_workers_share_the_memory() -> None:
    """Each has an equal part, and without the option there is no limit."""
    assert memory_of("1GB", 4) == 250_000_000
    assert memory_of(None, 4) is None


def test_segments_follow_the_memory_of_an_ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less memory there are more segments; too little is refused before a store is made."""
    source = tmp_path / "rows.jsonl"
    text = "words and words " * 20_000
    source.write_text("".join(f'{{"id": "{i}", "text": "{i} {text}"}}\n' for i in range(14)))
    assert run(monkeypatch, "ingest", tmp_path / "large", source, "--memory", "4GB", "--workers", "1") == 0
    assert run(monkeypatch, "ingest", tmp_path / "small", source, "--memory", "210MB", "--workers", "1") == 0
    segments = [len(Store.open(tmp_path / name).snapshot().segments) for name in ("large", "small")]
    assert segments[0] < segments[1]
    assert run(monkeypatch, "ingest", tmp_path / "none", source, "--memory", "1MB") == 1
    assert not (tmp_path / "none").exists()


def test_an_index_is_built_within_the_memory_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says how much it takes; with enough the index is the same, so it is found again."""
    store = Store.create(tmp_path / "store")
    store.add([Document("a", "one fish two fish")])
    command = ["index", "suffix", tmp_path / "store", "--workers", "1"]
    assert run(monkeypatch, *command, "--memory", "1MB") == 1
    assert "of memory at least" in capsys.readouterr().err
    assert run(monkeypatch, *command, "--memory", "64GB") == 0
    assert run(monkeypatch, *command, "--json") == 0
    assert '"done": 1' not in capsys.readouterr().out
    assert run(monkeypatch, *command, "--memory", "plenty") == 1
    assert "such as 512MB or 4GB" in capsys.readouterr().err
