"""Files and their names."""

import io
import os
from pathlib import Path

import pytest

from lodex.index.sources.reading import MeteredFile, printable


def test_every_way_of_reading_is_metered(tmp_path: Path) -> None:
    """The bytes reported add up to the bytes read."""
    path = tmp_path / "a"
    path.write_bytes(bytes(100))
    reads: list[int] = []
    with MeteredFile(path, reads.append) as file:
        assert len(file.read(10)) == 10
        assert file.readinto(bytearray(20)) == 20
        assert len(file.readall()) == 70
        assert file.read() == b""
    with io.BufferedReader(MeteredFile(path, reads.append)) as stream:
        assert len(stream.read()) == 100
    assert sum(reads) == 200


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a/één.txt", "a/één.txt"),
        (os.fsdecode(b"caf\xe9.txt"), "caf\\xe9.txt"),
        ("two\nlines\x7f", "two\\nlines\\x7f"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
    ],
)
def test_paths_are_printable(path: str, text: str) -> None:
    """Names of any bytes are shown without control characters, and can be encoded."""
    assert printable(path) == text
    assert printable(path).encode()
