"""Stores by name, pinned views, and the indexes that are open."""

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lodex.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from lodex.index.manifest import IndexEntry
from lodex.index.snapshot import Snapshot
from lodex.index.store import Store
from lodex.service.catalog import Catalog, check_name
from lodex.types import Document
from lodex.v1 import common_pb2


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.create(tmp_path / "store")


@pytest.fixture
def catalog(store: Store) -> Catalog:
    """It, under the name `docs`."""
    return Catalog({"docs": store})


class Opened:
    """Stands for an index that is open."""

    def __init__(self, snapshot: Snapshot, name: str) -> None:
        self.version = snapshot.version
        self.name = name


def docs(version: int | None = None) -> common_pb2.IndexRef:
    return common_pb2.IndexRef(store="docs", version=version)


def add_indexes(store: Store, **kinds: str) -> None:
    """Write indexes into the manifest, without any part."""
    entries = {name.replace("_", "-"): IndexEntry(kind, {}) for name, kind in kinds.items()}
    store.commit(lambda latest: replace(latest, indexes=dict(latest.indexes) | entries), "build")


@pytest.mark.parametrize("name", ["a", "docs", "a-1", "a" * 63])
def test_names_have_one_form(name: str) -> None:
    """A letter, then letters, digits and hyphens."""
    check_name(name, "target.store")


@pytest.mark.parametrize("name", ["", "A", "1a", "-a", "a_b", "a/b", "../a", "a\n", "a" * 64, "é"])
def test_what_is_no_name_is_refused(name: str) -> None:
    """Before it meets any path."""
    with pytest.raises(InvalidArgumentError) as caught:
        check_name(name, "target.store")
    assert caught.value.field == "target.store"


def test_a_catalog_is_of_names(store: Store) -> None:
    """The operator is told too."""
    with pytest.raises(InvalidArgumentError):
        Catalog({"Docs": store})


def test_a_view_stays_as_it_is(catalog: Catalog, store: Store) -> None:
    """What is published afterwards is for the next request; an old version can be asked for."""
    before = catalog.view(docs())
    store.add([Document("a", "text")])
    assert len(before.snapshot) == 0
    assert len(catalog.view(docs()).snapshot) == 1
    assert len(catalog.view(docs(version=1)).snapshot) == 0
    with pytest.raises(NotFoundError):
        catalog.view(docs(version=7))


class TestChoosing:
    """Which index a request means that names none, or one."""

    def test_the_only_one_of_its_kind(self, catalog: Catalog, store: Store) -> None:
        """Whatever it is called."""
        add_indexes(store, words="suffix", meaning="dense")
        assert catalog.view(docs()).choose("suffix", "") == "words"

    def test_else_the_one_named_after_its_kind(self, catalog: Catalog, store: Store) -> None:
        """The name that an index has by default."""
        add_indexes(store, words="suffix", suffix="suffix")
        assert catalog.view(docs()).choose("suffix", "") == "suffix"

    def test_else_one_has_to_be_named(self, catalog: Catalog, store: Store) -> None:
        """The error lists those there are."""
        add_indexes(store, words="suffix", more_words="suffix")
        with pytest.raises(InvalidArgumentError, match="more-words, words") as caught:
            catalog.view(docs()).choose("suffix", "")
        assert caught.value.field == "target.index"

    def test_one_of_another_kind_is_refused(self, catalog: Catalog, store: Store) -> None:
        """With both kinds."""
        add_indexes(store, words="suffix")
        with pytest.raises(InvalidArgumentError, match=r"'suffix'.*'dense'"):
            catalog.view(docs()).choose("dense", "words")

    def test_one_that_is_not_there_is_not_found(self, catalog: Catalog, store: Store) -> None:
        """The error lists those there are."""
        add_indexes(store, words="suffix")
        with pytest.raises(NotFoundError, match=r"docs.*nothing.*words"):
            catalog.view(docs()).choose("suffix", "nothing")

    def test_none_of_the_kind_is_not_built_yet(self, catalog: Catalog) -> None:
        """The error says how to build one."""
        with pytest.raises(FailedPreconditionError, match="lodex index dense"):
            catalog.view(docs()).choose("dense", "")


class TestOpenIndexes:
    """Each version of an index is opened once, and let go when a newer one is."""

    def test_an_index_is_opened_once(self, catalog: Catalog) -> None:
        """However many requests come for it at the same time."""
        view = catalog.view(docs())
        opened: list[int] = []
        barrier = threading.Barrier(4)

        def open_slowly(snapshot: Snapshot, name: str) -> Opened:
            opened.append(snapshot.version)
            return Opened(snapshot, name)

        def ask(_: int) -> Opened:
            barrier.wait()
            return catalog.open(view, "suffix", open_slowly)

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(ask, range(4)))
        assert len(set(map(id, answers))) == 1
        assert opened == [1]

    def test_a_newer_version_takes_the_place_of_the_older(self, catalog: Catalog, store: Store) -> None:
        """The older one lives as long as a request still reads it."""
        old = catalog.open(catalog.view(docs()), "suffix", Opened)
        gone = weakref.ref(old)
        add_indexes(store, words="suffix")
        new = catalog.open(catalog.view(docs()), "suffix", Opened)
        assert (old.version, new.version) == (1, 2)
        del old
        assert gone() is None

    def test_one_old_version_stays_open_for_those_who_pin_it(self, catalog: Catalog, store: Store) -> None:
        """A listing page by page opens its version once; a second one takes its place."""
        for i in range(3):
            add_indexes(store, **{f"words_{i}": "suffix"})
        newest = catalog.open(catalog.view(docs()), "suffix", Opened)
        first = catalog.open(catalog.view(docs(1)), "suffix", Opened)
        assert catalog.open(catalog.view(docs(1)), "suffix", Opened) is first
        second = catalog.open(catalog.view(docs(2)), "suffix", Opened)
        assert catalog.open(catalog.view(docs(1)), "suffix", Opened) is not first
        assert second.version == 2
        assert catalog.open(catalog.view(docs()), "suffix", Opened) is newest

    def test_a_failure_to_open_is_not_remembered(self, catalog: Catalog) -> None:
        """The next request tries again."""

        def fail(snapshot: Snapshot, name: str) -> Opened:
            raise FailedPreconditionError("not built")

        view = catalog.view(docs())
        with pytest.raises(FailedPreconditionError):
            catalog.open(view, "suffix", fail)
        assert catalog.open(view, "suffix", Opened).version == 1
