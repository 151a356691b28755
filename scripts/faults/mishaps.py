"""What a writer may do when a file operation fails, and what must hold of the store it leaves."""

from __future__ import annotations

import errno
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from faults.child import Call, Fault, Say, disarm
from faults.recovery import require_verified
from faults.workload import Step, held, put

from lodex.errors import DataLossError, FailedPreconditionError, LodexError, ResourceExhaustedError
from lodex.index.files import SyncError
from lodex.index.manifest import newest_version
from lodex.index.store import Store

_EXPECTED = {errno.EIO: DataLossError, errno.ENOSPC: ResourceExhaustedError}
# What may fail without being noticed: the removal of something temporary.
_HARMLESS = ("unlink", "rmdir")


def attempt(step: Step, fault: Fault, root: Path, say: Say) -> None:
    """Do an operation; say "done", or the error, its kind, and what came of the operation tried again on that store.

    That is done where whatever takes room fails, once there is room again, and after a sync that failed.
    """
    store = None
    try:
        store = Store.open_or_create(root)
        step.run(store)
        say("done")
    except LodexError as error:
        say(f"{type(error).__name__}: {error}")
        kinds = [
            kind.__name__ for kind in (SyncError, ResourceExhaustedError, DataLossError) if isinstance(error, kind)
        ]
        say(kinds[0] if kinds else "another error")
        if fault.how == "full" or (isinstance(error, SyncError) and store is not None):
            disarm()
            try:
                store = store or Store.open_or_create(root)
                # Where the version was published before the sync that failed, the operation has nothing left to write.
                store.require_writable()
                step.run(store)
                say("done")
            except LodexError as again:
                say(f"{type(again).__name__}: {again}")


def misbehaviour(fault: Fault, call: Call, ended_by: int, said: Sequence[str], error: str) -> str:
    """What a writer did that it may not do, "" if nothing."""
    if ended_by == signal.SIGALRM:
        return "hung for 60 seconds"
    if fault.how in ("before", "half", "after"):
        return "" if ended_by == signal.SIGKILL else f"was not killed: {error or ended_by}"
    if ended_by or error:
        return f"ended by signal {ended_by}" if ended_by else f"raised what is no error of Lodex, {error}"
    if fault.how == "short":
        return "" if said == ("done",) else f"a write that was cut short was not continued: {said[0]}"
    if said == ("done",):
        return "" if call.name in _HARMLESS or fault.how == "full" else f"a failed {call.name} went unnoticed"
    expected = _EXPECTED[fault.error].__name__
    # A sync that fails is a loss of data whatever the reason.
    if said[1] != expected and not (call.name == "fsync" and said[1] == SyncError.__name__):
        return f"raised {said[0]}, expected {expected}"
    if fault.how == "full" and said[2:] != ("done",):
        return f"with room again: {said[2]}"
    if said[1] == SyncError.__name__ and said[2:] and not said[2].startswith(FailedPreconditionError.__name__):
        return f"after a sync that failed: {said[2]}"
    return ""


def judge(
    step: Step, was_there: bool, before: Mapping[str, str], after: Mapping[str, str], root: Path, is_done: bool
) -> None:
    """The store holds the documents before or after, and verifies, and the operation can be done; ValueError if not."""
    if newest_version(root):
        texts = held(root)
        if texts != after and (is_done or texts != before):
            raise ValueError(f"holds {sorted(texts)}, which is neither what was there before nor what should be")
        require_verified(root)
    elif was_there or is_done:
        raise ValueError("the store is gone")
    step.run(Store.open_or_create(root))
    if held(root) != after:
        raise ValueError("the same operation again does not do what it should")
    require_verified(root)
    put([50], 0).run(Store.open(root))
    left = [str(path) for folder in ("manifests", "segments") for path in (root / folder).glob(".tmp-*")]
    if left:
        raise ValueError(f"{left} are left after the next write")
