"""Progress on a terminal, and silence elsewhere."""

import io

import pytest

from lodex.cli import progress as progress_module
from lodex.cli.progress import terminal_progress
from lodex.index.job_report import tell_tasks, tell_tokens
from lodex.types import Silent


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It does."""
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in the place of stderr. Not a fixture: pytest sets stderr anew between set-up and test."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    return stream


def test_nothing_is_drawn_outside_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe or a log the progress is silent."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with terminal_progress() as progress:
        assert isinstance(progress, Silent)
        progress.start("work", 10, "bytes")
        progress.advance(10)
        progress.finish()
    assert stream.getvalue() == ""


def test_a_terminal_shows_amount_rate_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes have units, other things are counted; each phase has its own bar."""
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr(progress_module, "_REPORT_INTERVAL_S", 0.0)
    with terminal_progress() as progress:
        progress.start("read", 4_000_000, "bytes")
        for _ in range(4):
            progress.advance(1_000_000)
        progress.finish()
        progress.start("count", None, "documents")
        progress.advance(1234)
        progress.finish()
    last = terminal.getvalue()
    assert "4.0 MB of 4.0 MB" in last
    assert "B/s" in last
    assert "1,234 documents" in last


def test_small_steps_are_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a phase reports, the last bar shows all of it."""
    terminal = open_terminal(monkeypatch)
    with terminal_progress() as progress:
        progress.start("step", 100_000, "rows")
        for _ in range(100_000):
            progress.advance(1)
        progress.finish()
    assert "100,000 of 100,000 rows" in terminal.getvalue()


def test_phases_of_one_label_share_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of many segments does not fill the screen."""
    terminal = open_terminal(monkeypatch)
    with terminal_progress() as progress:
        for segment in range(3):
            progress.start("build", segment + 1, "rows")
            progress.advance(segment + 1)
            progress.finish()
    assert terminal.getvalue().rsplit("\x1b[2K", 1)[-1].count("rows") == 1
    assert "3 of 3 rows" in terminal.getvalue()


def test_the_tasks_of_a_phase_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are several, or it is not known how many."""
    terminal = open_terminal(monkeypatch)
    with terminal_progress() as progress:
        progress.start("build", 100, "bytes")
        for done in range(4):
            tell_tasks(progress, done, 3)
        progress.finish()
        progress.start("ingest", None, "bytes")
        tell_tasks(progress, 2, None)
        progress.finish()
        progress.start("one", 1, "bytes")
        tell_tasks(progress, 1, 1)
        progress.finish()
    shown = terminal.getvalue()
    assert "3 of 3 tasks" in shown
    assert "2 tasks" in shown
    assert "1 of 1 tasks" not in shown


def test_tokens_are_shown_as_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a model reads some; a phase without has no such figure, and a silent progress takes none."""
    terminal = open_terminal(monkeypatch)
    with terminal_progress() as progress:
        progress.start("read", 10, "rows")
        progress.advance(10)
        progress.finish()
        assert "tokens/s" not in terminal.getvalue()
        progress.start("embedding", 10, "rows")
        for _ in range(2):
            tell_tokens(progress, 500)
            progress.advance(5)
        progress.finish()
    assert "tokens/s" in terminal.getvalue()
    tell_tokens(Silent(), 500)
