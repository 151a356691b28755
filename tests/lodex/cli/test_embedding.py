"""`lodex embed`: a group whose first word is a file unless it is a verb."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lodex.cli import main
from lodex.embed.registry import encoder_folder, load_encoder
from lodex.embed.vectors.quantization import fit_int8
from tests.script_runs import run_script

Run = Callable[..., int]
TEXTS = ["a cat sat on a mat", "two fish", "", "a much longer text about a dog and a cat"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`run(*words)` runs a command in this process, in a folder of its own, and returns its exit code."""
    monkeypatch.setenv("LODEX_LOG", "off")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["lodex", *words])
        with pytest.raises(SystemExit) as exited:
            main()
        return int(exited.value.code or 0)

    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four texts, one of them empty."""
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(TEXTS)))
    return path


def test_a_file_is_embedded_as_the_model_embeds_its_texts(
    run: Run, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bit for bit, empty texts too; what was done is said."""
    assert run("embed", "texts.jsonl", "-o", "out.parquet", "--shard-rows", "3") == 0
    assert "out.parquet: 4 texts, 384 dimensions" in capsys.readouterr().out
    expected = load_encoder("minilm").embed_passages(TEXTS).vectors
    found = np.array(pq.read_table("out.parquet").column("vector").to_pylist(), np.float32)
    assert found.tobytes() == expected.tobytes()


def test_options_may_stand_before_the_file_and_the_verb_may_be_said(
    run: Run, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All these are one call; with --json its numbers are for programs."""
    for number, words in enumerate(
        [("-o", "0", "texts.jsonl"), ("texts.jsonl", "-o", "1"), ("file", "texts.jsonl", "-o", "2")]
    ):
        assert run("embed", *words, "--kind", "query", "--data-type", "bits", "--json") == 0
        done = json.loads(capsys.readouterr().out)
        assert (done["output"], done["rows"], done["dimension"]) == (str(number), 4, 384)
        assert Path(str(number)).read_bytes() == Path("0").read_bytes()


def test_a_file_called_as_a_verb_is_reached_by_its_path(
    run: Run, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`./check` is a file; so is any word behind an option."""
    assert run("embed", "./check", "-o", "out") == 1
    assert "cannot embed './check'" in capsys.readouterr().err
    assert run("embed", "-o", "out", "check") == 1
    assert "cannot embed 'check'" in capsys.readouterr().err


def test_help_is_that_of_the_group(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """And tells how the file's own is to be had."""
    assert run("embed", "--help") == 0
    assert "lodex embed FILE -o vectors.parquet" in " ".join(capsys.readouterr().out.split())
    assert run("embed", "file", "--help") == 0
    assert "--data-type" in capsys.readouterr().out


def test_what_is_wrong_is_one_line(run: Run, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With file and line; a table that is there, and what the model cannot do, by the option."""
    Path("bad.jsonl").write_text('{"text": "a"}\n{"text": 1}\n')
    assert run("embed", "bad.jsonl", "-o", "out") == 1
    assert capsys.readouterr().err == "lodex: bad.jsonl:2: field 'text' must be a string, not int\n"
    Path("there").touch()
    assert run("embed", "texts.jsonl", "-o", "there") == 1
    assert "--overwrite" in capsys.readouterr().err
    assert run("embed", "texts.jsonl", "-o", "out", "--model", "no-such") == 1
    assert "no embedder 'no-such'" in capsys.readouterr().err
    assert run("embed", "texts.jsonl", "-o", "out", "--data-type", "int7") == 2


def test_int8_takes_its_ranges_from_a_file(run: Run, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or from the model's folder; without either it is refused, and nothing is left."""
    words = ("embed", "texts.jsonl", "-o", "out", "--data-type", "int8")
    assert run(*words) == 1
    assert "--int8-ranges" in capsys.readouterr().err
    assert not Path("out.parts").exists()
    fit_int8(np.random.default_rng(1).normal(size=(50, 384)) / 10).save(Path("ranges"))
    assert run(*words, "--int8-ranges", "ranges") == 0
    assert len(pq.read_table("out").column("vector").to_pylist()[0]) == 384


def test_the_packaged_embedder_gives_what_it_is_known_to_give(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Text by text, tokens and cosine; a model without a reference is an error, one that differs an exit code."""
    assert run("embed", "check", "minilm") == 0
    assert "gives the vectors of" in capsys.readouterr().out
    assert run("embed", "check", "minilm", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is True
    assert report["worst"] > 0.99999
    shutil.copytree(encoder_folder("minilm"), tmp_path / "mine")
    assert run("embed", "check", "./mine") == 1
    assert "no reference" in capsys.readouterr().err
    known = {"text": "a cat", "kind": "passage", "token_ids": [101, 102], "vector": [1.0] + [0.0] * 383}
    stated = {"model": "mine", "made_by": "nobody", "texts": [known]}
    (tmp_path / "mine" / "lodex_reference.json").write_text(json.dumps(stated))
    assert run("embed", "check", "./mine") == 1
    printed = capsys.readouterr().out
    assert "does not give" in printed
    assert "differ" in printed


def test_standard_input_is_json_lines(source: Path, tmp_path: Path) -> None:
    """The same texts are the same table."""
    command = [sys.executable, "-m", "lodex.cli", "embed"]
    subprocess.run([*command, source, "-o", tmp_path / "file"], check=True, capture_output=True)
    with source.open() as lines:
        subprocess.run([*command, "-", "-o", tmp_path / "pipe"], check=True, capture_output=True, stdin=lines)
    assert (tmp_path / "pipe").read_bytes() == (tmp_path / "file").read_bytes()


@pytest.mark.slow
def test_an_interrupt_ends_it_and_the_next_call_goes_on(tmp_path: Path) -> None:
    """SIGINT leaves the finished shards and no table; nothing of them is embedded again."""
    source, output = tmp_path / "texts.txt", tmp_path / "out.parquet"
    source.write_text("\n".join(f"text {i} " + "of many words " * 20 for i in range(4000)))
    command = [sys.executable, "-m", "lodex.cli", "embed", str(source), "-o", str(output), "--shard-rows", "50"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"LODEX_LOG": "off"})
    shards = tmp_path / "out.parquet.parts/artefacts/embed"
    deadline = time.monotonic() + 120
    while len(list(shards.glob("[0-9a-f]*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not output.exists()
    finished = len(list(shards.glob("[0-9a-f]*")))
    assert finished >= 2
    lines = source.read_text().splitlines()[: 50 * finished]
    source.write_text("\n".join(lines))
    done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["shards_done"] == 0


@pytest.mark.slow
def test_killed_jobs_end_in_the_same_bytes(tmp_path: Path) -> None:
    """A few kills of scripts/check_embed_kills.py; run it by itself for its full size."""
    found = run_script(tmp_path, "check_embed_kills.py", "--passages", "600", "--kills", "5", "--shard-rows", "64")
    assert found["identical"]
    assert found["failures"] == []
    assert found["kills"] >= 4
