"""Writers that are killed at random file operations: a bounded run of the script that does it a thousand times."""

from pathlib import Path

import pytest

from tests.script_runs import run_script


@pytest.mark.slow
def test_nothing_is_lost_to_kills(tmp_path: Path) -> None:
    """Inside writes, publishes, builds and compactions; the answers afterwards are those of a rebuild."""
    report = run_script(tmp_path, "check_kills.py", "--kills", "40")
    assert report["kills"] == 40
    assert report["failed"] == 0
    assert all(report["kills_by_class"][kind]["kills"] >= 6 for kind in ("write", "publish", "build", "compaction"))
