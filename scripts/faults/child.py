"""Forked children in which one file operation goes wrong, and what was seen of them."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

_SHIM = Path(__file__).with_name("shim.c")
KILLS = {"before": "b", "half": "h", "after": "a"}
"""Where in a call a kill may fall."""
_PR_SET_PDEATHSIG = 1
_WRITES = ("write", "pwrite", "writev", "fwrite", "sendfile", "copy_file_range")


def preloaded() -> None:
    """Return in a process that has the shim preloaded: this one, or else run this script again in one, and exit.

    Exits with 77 where there is no C compiler to build the shim with.
    """
    if hasattr(ctypes.CDLL(None), "lodex_fault_arm"):
        return
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        print("no C compiler: set CC, or install gcc", file=sys.stderr)
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "shim.so"
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, _SHIM, "-ldl"], check=True)
        # Forked children cannot use the threads that the parent had, so nothing here starts any.
        settings = {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        done = subprocess.run([sys.executable, *sys.argv], env=os.environ | settings, check=False)
    sys.exit(done.returncode)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, at which call: at 0 nothing, and every call is told of; at -1 nothing, and none is.

    `how` is "before", "half" or "after" for a kill, "error" for a call that fails with `error`, "full" where from then
    on whatever takes room does, "short" for a write that is cut.
    """

    at: int
    how: str = ""
    error: int = 0

    @property
    def letter(self) -> int:
        """How the shim is told."""
        return ord(KILLS.get(self.how, self.how[:1] or "n"))


NO_FAULT = Fault(-1)
COUNT = Fault(0)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the shim counted: its number from 1, its name, the phase it fell in, its path."""

    number: int
    name: str
    phase: str
    path: str
    second: str = ""

    @property
    def writes(self) -> bool:
        """Whether it writes bytes, so that half of them can be written."""
        return self.name in _WRITES


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a child: its calls (with a fault only the one that went wrong), what it said, how it ended.

    `signal` is what ended it, 0 for none; `error` is the name and message of an exception, "" for none.
    """

    calls: tuple[Call, ...]
    said: tuple[str, ...]
    signal: int
    error: str

    @property
    def is_killed(self) -> bool:
        """Whether the fault killed it."""
        return self.signal == signal.SIGKILL


Say = Callable[[str], None]


class Child:
    """A forked child that does `work` with a fault below `root`.

    `work` is handed a function by which the child says a line; what it said is known however it ends. A child that
    takes longer than `timeout_s` is ended by SIGALRM, 0 for no limit; it never outlives its parent.
    """

    def __init__(self, work: Callable[[Say], None], root: Path, fault: Fault = NO_FAULT, timeout_s: int = 120) -> None:
        self._pipe, writing = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            os.close(self._pipe)
            _be_child(work, root, fault, writing, timeout_s, parent)
        os.close(writing)

    def wait(self) -> Outcome:
        """Read what it says until its end."""
        with os.fdopen(self._pipe, encoding="utf-8", errors="replace") as lines:
            received = [line.rstrip("\n").split("\t") for line in lines]
        status = os.waitpid(self._pid, 0)[1]
        calls = tuple(Call(int(number), *rest) for _, number, *rest in _of("call", received))
        errors = [rest[0] for _, *rest in _of("error", received)]
        said = tuple(rest[0] for _, *rest in _of("say", received))
        return Outcome(calls, said, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "".join(errors[:1]))


def run_child(work: Callable[[Say], None], root: Path, fault: Fault = NO_FAULT, timeout_s: int = 120) -> Outcome:
    """Start a `Child` and wait for its end."""
    return Child(work, root, fault, timeout_s).wait()


def _of(kind: str, lines: list[list[str]]) -> list[list[str]]:
    return [fields for fields in lines if fields[0] == kind]


def _be_child(
    work: Callable[[Say], None], root: Path, fault: Fault, pipe: int, timeout_s: int, parent: int
) -> NoReturn:
    def say(line: str, kind: str = "say") -> None:
        os.write(pipe, f"{kind}\t{line}\n".encode())

    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.alarm(timeout_s)
    try:
        if _shim().lodex_fault_arm(os.fsencode(root), ctypes.c_long(fault.at), fault.letter, fault.error, pipe):
            raise RuntimeError("the shim could not be armed")
        work(say)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent judges it
        say(f"{type(error).__name__}: {error}".replace("\n", " ").replace("\t", " "), "error")
    os._exit(0)


def phase(name: str) -> None:
    """Name the calls that follow in this child."""
    _shim().lodex_fault_phase(name.encode())


def disarm() -> None:
    """Let everything pass from now on in this child."""
    _shim().lodex_fault_disarm()


def _shim() -> ctypes.CDLL:
    return ctypes.CDLL(None)
