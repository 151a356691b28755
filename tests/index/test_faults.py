"""File operations that fail, and writers that race: bounded runs of the scripts that do it at length."""

from pathlib import Path

import pytest

from tests.script_runs import run_script


def test_making_a_store_survives_whatever_fails(tmp_path: Path) -> None:
    """Every fourth call that publishes the first version fails, fills the disk, is cut short or kills the process."""
    report = run_script(tmp_path, "check_faults.py", "--only", "create", "--every", "4", "--workers", "1")
    assert report["trials"] > 15
    assert report["failed"] == 0
    assert report["unsynced"] == []


@pytest.mark.slow
def test_every_operation_survives_whatever_fails(tmp_path: Path) -> None:
    """The same of ingest, replacement, deletion and the builds of every index, at every eleventh call of them."""
    report = run_script(tmp_path, "check_faults.py", "--every", "11")
    assert set(report["calls"]) >= {"create", "add", "replace", "delete", "suffix", "dense", "knn"}
    assert report["failed"] == 0
    assert report["unsynced"] == []


@pytest.mark.slow
def test_two_writers_that_race_make_one_history(tmp_path: Path) -> None:
    """Each version is what one acknowledged change makes of the version before."""
    report = run_script(tmp_path, "check_races.py", "--rounds", "30")
    assert report["races_lost_and_rebased"] > 0
    assert report["failed"] == 0
