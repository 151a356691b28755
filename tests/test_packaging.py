"""What is installed: one namespace, each room once, the same wheel directly and by way of the source distribution."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def build(what: str, source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "build", f"--{what}", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.iterdir()
    return built


@pytest.mark.slow
def test_the_wheel_is_the_same_directly_and_from_the_sdist(tmp_path: Path) -> None:
    """Both hold every module of every room, the kernels, the wire code and the bundled data, and nothing twice."""
    direct = zipfile.ZipFile(build("wheel", ROOT, tmp_path / "direct"))
    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as archive:
        # Python before 3.11.4 knows no filters.
        safely = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
        archive.extractall(tmp_path / "unpacked", **safely)
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    through_sdist = zipfile.ZipFile(build("wheel", unpacked, tmp_path / "wheel"))

    names = sorted(direct.namelist())
    assert names == sorted(through_sdist.namelist())
    assert len(names) == len(set(names))
    expected = {
        f"lodex/{room}/{path.relative_to(ROOT / room)}"
        for room in ("embed", "index", "kernels", "lm", "rerank", "service")
        for path in (ROOT / room).rglob("*.py")
    }
    expected |= {
        f"lodex/{package}/{path.name}"
        for package in ("v1", "tei")
        for path in (ROOT / "proto" / "lodex" / package).glob("*.py*")
        if path.is_file()
    }
    expected |= {str(path.relative_to(ROOT)) for path in (ROOT / "lodex").glob("*.py")} | {"lodex/py.typed"}
    assert expected <= set(names)
    modules = {name.split(".")[0] for name in names if name.endswith(".so")}
    assert modules == {f"lodex/kernels/{stub.stem}" for stub in (ROOT / "kernels").glob("*.pyi")}
    assert any(name.endswith("tokenizer.json") for name in names)
    assert not [name for name in names if name.endswith((".cpp", ".h", ".proto")) or "__pycache__" in name]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lodex"}
