"""`serve_stores` in a process of its own: what a person or an orchestrator starts and stops."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lodex.client import Client
from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.index.store import Store
from lodex.service.indexing import build_suffix_index
from lodex.service.server import serve_stores
from lodex.types import Document

PROGRAM = """
import sys
from lodex.errors import LodexError
from lodex.service.server import serve_stores
try:
    serve_stores([sys.argv[1]], lambda address: print(address, flush=True), port=int(sys.argv[2]))
except LodexError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def store_path(tmp_path: Path, byte_tokenizer: Path) -> Path:
    """A store of one document with a suffix index."""
    store = Store.create(tmp_path / "store")
    store.add([Document("a", "one fish two fish")])
    build_suffix_index(store, str(byte_tokenizer))
    return store.path


@contextmanager
def server(store_path: Path, port: int = 0) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, f"docs={store_path}", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_serves_until_it_is_told_to_stop(store_path: Path, number: int) -> None:
    """The address is announced once it answers; a signal drains it and it ends well, saying nothing on stderr.

    A second server on the port does not start, and names the port.
    """
    with server(store_path) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with Client(address) as client:
            assert client.count("docs", "fish")[0].count == 2
        if number == signal.SIGTERM:
            port = int(address.rpartition(":")[2])
            with server(store_path, port) as second:
                _, complaint = second.communicate(timeout=60)
                assert second.returncode == 1
                assert f"AlreadyExistsError: cannot listen on 127.0.0.1:{port}" in complaint
        process.send_signal(number)
        _, complaint = process.communicate(timeout=60)
        assert (process.returncode, complaint) == (0, "")


@pytest.mark.parametrize(
    ("stores", "field"), [([], "stores"), (["docs"], "stores"), (["docs="], "stores"), (["a=x", "a=y"], "stores")]
)
def test_stores_are_named(stores: list[str], field: str) -> None:
    """NAME=FOLDER, at least one, and no name twice."""
    with pytest.raises(InvalidArgumentError) as caught:
        serve_stores(stores)
    assert caught.value.field == field


def test_a_store_must_be_there(tmp_path: Path) -> None:
    """Serving makes none."""
    with pytest.raises(NotFoundError):
        serve_stores({"docs": tmp_path / "nothing"})
    assert not (tmp_path / "nothing").exists()
