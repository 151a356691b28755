"""Rank correlation against scipy and by hand, and the verb that prints it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lodex.cli.app import app
from lodex.errors import InputError, InvalidArgumentError, NotFoundError
from lodex.service.similarity import JudgedPair, read_pairs, spearman

DATA = Path(os.environ.get("LODEX_DATA", Path(__file__).resolve().parents[2] / "../shared/data"))


def test_equal_values_share_their_ranks() -> None:
    """By hand: ranks 1, 2.5, 2.5, 4 against 2, 1, 3, 4 have the covariance 3 and the spreads 4.5 and 5."""
    assert spearman(np.array([0.0, 7, 7, 9]), np.array([2.0, 1, 3, 4])) == pytest.approx(3 / (4.5 * 5) ** 0.5)


@pytest.mark.parametrize("seed", range(5))
def test_the_correlation_is_scipys(seed: int) -> None:
    """Random samples with many ties."""
    stats = pytest.importorskip("scipy.stats")
    x, y = np.random.default_rng(seed).integers(0, 9, (2, 200)).astype(np.float64)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0], [1.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0])])
def test_what_has_no_correlation_is_refused(x: list[float], y: list[float]) -> None:
    """Too few values, one value only, or samples of two sizes."""
    with pytest.raises(InvalidArgumentError):
        spearman(np.array(x), np.array(y))


def test_pairs_are_rows_of_a_csv_file(tmp_path: Path) -> None:
    """Commas and quotes inside a sentence are those of CSV."""
    path = tmp_path / "pairs.csv"
    path.write_text('"One, two.",Three.,2.5\nA,"He said ""b"".",0\n')
    assert read_pairs(path) == [JudgedPair("One, two.", "Three.", 2.5), JudgedPair("A", 'He said "b".', 0)]


@pytest.mark.parametrize("row", ["a,b", "a,b,c", "a,b,1,2", ""])
def test_a_row_of_another_form_is_named(tmp_path: Path, row: str) -> None:
    """Its line is told."""
    path = tmp_path / "pairs.csv"
    path.write_text(f"a,b,1\n{row}\n")
    with pytest.raises(InputError, match=r"pairs.csv:2|line 2"):
        read_pairs(path)
    with pytest.raises(NotFoundError):
        read_pairs(tmp_path / "none.csv")


def test_the_verb_prints_the_correlation(tmp_path: Path) -> None:
    """`lodex eval sts` over three pairs that MiniLM orders as people do."""
    path = tmp_path / "pairs.csv"
    path.write_text("A cat sleeps.,A cat is asleep.,5\nA cat sleeps.,A dog sleeps.,2\nA cat sleeps.,Tax law.,0\n")
    result = CliRunner().invoke(app, ["eval", "sts", str(path), "--json"], catch_exceptions=False)
    report = json.loads(result.stdout)
    assert report["results"] == [{"spearman": pytest.approx(1), "pairs": 3}]
    assert report["precision"] == "float32"
    plain = CliRunner().invoke(app, ["eval", "sts", str(path)], catch_exceptions=False)
    assert plain.stdout.split()[-2:] == ["3", "1.0000"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_minilm_reaches_its_published_score(precision: str) -> None:
    """Spearman 0.8203 on the test part of the STS Benchmark, as published for all-MiniLM-L6-v2."""
    path = DATA / "sts_benchmark_en/stsb-en-test.csv"
    if not path.exists():
        pytest.skip("no STS-B: set LODEX_DATA")
    arguments = ["eval", "sts", str(path), "--precision", precision, "--json"]
    report = json.loads(CliRunner().invoke(app, arguments, catch_exceptions=False).stdout)
    assert report["results"][0]["spearman"] == pytest.approx(0.8203, abs=5e-4)
