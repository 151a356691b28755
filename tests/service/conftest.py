"""A small store with both indexes, and servers over it that run in one background event loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import lodex
from lodex.client import Client
from lodex.config import ServeSettings
from lodex.index.store import Store
from lodex.service.application import Application
from lodex.service.catalog import Catalog
from lodex.service.embedded import OpenStore
from lodex.service.indexing import build_dense_index, build_suffix_index
from lodex.service.language_models import LanguageModels
from lodex.service.models import Models
from lodex.service.server import Server
from lodex.service.writing import WritePolicy
from lodex.types import Document
from tests.service.tales import Tales, make_tales

TEXTS = {
    "animals": "The cat sat on the mat. A cat is a small animal, and the Cat knows it.",
    "files": "To read a file line by line, iterate over the file object in a for loop.",
    "empty": "",
    "space": "Rockets leave the ground by throwing gas downwards at great speed.",
    "cooking": "Boil the pasta in salted water, then stir the sauce and serve it hot.",
    "unicode": "Zürich liegt am See; 東京 is far away. The cat sat there too, naïvely \U0001f408.",
    "music": "A fugue is a composition in which a short melody is taken up by one voice after another.",
    "repeat": "the cat the cat the cat",
    "law": "The tenant shall pay the rent on the first day of each month.",
}


@pytest.fixture(scope="session")
def documents() -> tuple[Document, ...]:
    """The texts with every field that a document has."""
    return tuple(
        Document(name, text, "tests", name.title(), f"https://example.org/{name}", "2024-05-01", {"size": len(text)})
        for name, text in TEXTS.items()
    )


@pytest.fixture(scope="session")
def byte_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer.json whose tokens are bytes: quick to load, for stores that are written in a test."""
    words = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    path = tmp_path_factory.mktemp("bytes") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="session")
def store_path(tmp_path_factory: pytest.TempPathFactory, documents: tuple[Document, ...]) -> Path:
    """A store of three segments with a suffix index and a dense index. Tests only read it."""
    store = Store.create(tmp_path_factory.mktemp("service") / "docs")
    for i in range(3):
        store.add(documents[i::3])
    build_suffix_index(store)
    build_dense_index(store)
    return store.path


Background = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    """`background(coroutine)` runs it in the one event loop of the tests' servers and returns its result."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def _serving(background: Background) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def serve(stores: dict[str, Path], embedders: Models | None = None, **settings: Any) -> Server:
        async def start() -> Server:
            chosen = ServeSettings(**{"port": 0, "drain_grace_s": 0, "maintain": False, **settings})
            catalog = Catalog({name: Store.open(path) for name, path in stores.items()})
            language_models = LanguageModels(chosen.language_models, chosen.language_model)
            policy = WritePolicy.of(chosen)
            models = embedders or Models(
                max_queued_tokens=chosen.limits.max_queued_tokens, int8_ranges=chosen.int8_ranges
            )
            tei = chosen.tei_prompt if chosen.tei else None
            application = Application(catalog, models, chosen.limits, language_models, policy=policy, tei_prompt=tei)
            server = Server(application, chosen)
            await server.start()
            servers.append(server)
            return server

        server: Server = background(start())
        return server

    yield serve
    for server in servers:
        background(server.drain())


@pytest.fixture
def serve(background: Background) -> Iterator[Callable[..., Server]]:
    """`serve({name: path}, embedders, **settings)` starts a server, on a free port, until the end of the test."""
    yield from _serving(background)


@pytest.fixture(scope="session")
def address(background: Background, store_path: Path) -> Iterator[str]:
    """A server over the store, under the name `docs`."""
    for serve in _serving(background):
        yield serve({"docs": store_path}).address


@pytest.fixture(scope="session")
def client(address: str) -> Iterator[Client]:
    """A client of that server."""
    with Client(address) as connected:
        yield connected


@pytest.fixture(scope="session")
def embedded(store_path: Path) -> Iterator[OpenStore]:
    """The same store in this process."""
    with lodex.open(store_path, "docs") as opened:
        yield opened


@pytest.fixture(scope="session")
def tales(tmp_path_factory: pytest.TempPathFactory) -> Tales:
    """A store of four segments with deleted documents. Tests only read it."""
    return make_tales(tmp_path_factory.mktemp("tales") / "tales")


@pytest.fixture(scope="session", params=["served", "embedded"])
def ask_tales(request: pytest.FixtureRequest, background: Background, tales: Tales) -> Iterator[Client]:
    """A client of that store, which is called `tales`: over a server on loopback, and in this process."""
    if request.param == "embedded":
        with lodex.open(tales.path, "tales") as opened:
            yield opened.client
        return
    for serve in _serving(background):
        with Client(serve({"tales": tales.path}).address) as connected:
            yield connected
