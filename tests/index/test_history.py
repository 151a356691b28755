"""The history of a store, its tags, and aliases and indexes that come and go."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from lodex.errors import (
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from lodex.index.aliases import drop_index, set_alias
from lodex.index.build import build_index
from lodex.index.history import tag, tags, untag, version_of_tag, versions
from lodex.index.passages import PassagesBuilder
from lodex.index.removed_versions import remove_versions
from lodex.index.store import Store
from lodex.types import Document


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Version 1 is empty, 2 has two documents, 3 one of them, 4 has passages."""
    store = Store.create(tmp_path / "store")
    store.add([Document("a", "text"), Document("b", "more text")])
    store.delete(["a"])
    build_index(store, "180w", PassagesBuilder())
    return store


def test_versions_come_newest_first(store: Store) -> None:
    """Each with what made it, when, and what it holds."""
    found = list(versions(store.path))
    assert [(v.version, v.parent, v.change) for v in found] == [
        (4, 3, "build"), (3, 2, "delete"), (2, 1, "ingest"), (1, 0, "create")
    ]  # fmt: skip
    assert [(v.documents, v.text_bytes, v.segments, v.deleted_documents) for v in found] == [
        (1, 9, 1, 1), (1, 9, 1, 1), (2, 13, 1, 0), (0, 0, 0, 0)
    ]  # fmt: skip
    assert all(later.time_ns >= earlier.time_ns > 0 for later, earlier in pairwise(found))
    assert [v.version for v in versions(store.path, before=3)] == [2, 1]


def test_history_is_read_as_it_is_asked_for(store: Store) -> None:
    """A damaged version stops no one: it is listed with its number alone."""
    path = store.path / "manifests" / f"{2:020d}.json"
    path.write_bytes(path.read_bytes().replace(b'"ingest"', b'"INGEST"'))
    history = versions(store.path)
    assert [next(history).version, next(history).version] == [4, 3]
    damaged = next(history)
    assert (damaged.version, damaged.change, damaged.documents) == (2, "damaged", 0)
    assert next(history).version == 1


def test_a_tag_names_a_version(store: Store) -> None:
    """Of several tags each stands in the history; a version is opened by the number that a tag names."""
    assert tag(store.path, "before-delete", 2) == 2
    assert tag(store.path, "first") == 4
    assert tag(store.path, "also", 2) == 2
    assert tag(store.path, "also", 2) == 2
    assert tags(store.path) == {"also": 2, "before-delete": 2, "first": 4}
    assert [(v.version, v.tags) for v in versions(store.path)][:3] == [
        (4, ("first",)), (3, ()), (2, ("also", "before-delete"))
    ]  # fmt: skip
    assert "a" in Store.open(store.path, version_of_tag(store.path, "before-delete"))
    untag(store.path, "also")
    assert tags(store.path) == {"before-delete": 2, "first": 4}


def test_a_tag_does_not_move(store: Store) -> None:
    """One that is of another version has to be removed first, and no version is named that is not there."""
    tag(store.path, "kept", 2)
    with pytest.raises(AlreadyExistsError, match="version 2"):
        tag(store.path, "kept", 3)
    with pytest.raises(NotFoundError, match="no version 9"):
        tag(store.path, "kept-too", 9)
    with pytest.raises(NotFoundError, match="kept"):
        untag(store.path, "other")
    with pytest.raises(NotFoundError, match="kept"):
        version_of_tag(store.path, "other")


@pytest.mark.parametrize("name", ["", "A", "1st", "a b", "../x", "a" * 64, "a/b", "ä", "a\n"])
def test_names_of_tags_are_plain(store: Store, name: str) -> None:
    """They are names of files too."""
    with pytest.raises(InvalidArgumentError):
        tag(store.path, name)


@pytest.mark.parametrize("change", ["flip", "truncate", "rename", "newer"])
def test_a_damaged_tag_is_data_loss(store: Store, change: str) -> None:
    """Flipped, cut short, under the name of another, or of a later format: no version is guessed."""
    tag(store.path, "kept", 2)
    path = store.path / "tags" / "kept.json"
    data = path.read_bytes()
    if change == "flip":
        path.write_bytes(data.replace(b'"version":2', b'"version":3'))
    elif change == "truncate":
        path.write_bytes(data[:-1])
    elif change == "rename":
        path.rename(path.with_name("other.json"))
    else:
        path.write_bytes(json.dumps(json.loads(data) | {"minimum_reader": 99}).encode())
    with pytest.raises(DataLossError):
        tags(store.path)


def test_the_number_of_a_removed_version_is_taken(store: Store) -> None:
    """It is not in the history, nobody opens it, and nothing else gets its number."""
    remove_versions(store.path, [2, 3])
    assert [v.version for v in versions(store.path)] == [4, 1]
    with pytest.raises(NotFoundError, match="version 2"):
        Store.open(store.path, 2)
    with pytest.raises(NotFoundError, match="version 3"):
        tag(store.path, "late", 3)
    assert len(list((store.path / "manifests").iterdir())) == 4


def test_a_reader_comes_past_versions_that_were_removed(store: Store) -> None:
    """A handle that last looked at an old version finds the newest one, with nothing of the way between left."""
    old = Store.open(store.path)
    store.add([Document("c", "x")])
    store.add([Document("d", "y")])
    store.add([Document("e", "z")])
    remove_versions(store.path, [4, 5, 6])
    assert old.version == 7
    assert "e" in old


def test_an_alias_moves_from_one_index_to_another(store: Store) -> None:
    """From the next version on, in one step; it is listed nowhere once it is dropped."""
    build_index(store, "256w", PassagesBuilder("256w"))
    set_alias(store, "cut", "180w")
    before = set_alias(store, "cut", "256w")
    assert before.resolve("cut") == "256w"
    assert set_alias(store, "cut", "256w").version == before.version
    assert set_alias(store, "cut", None).manifest.aliases == {}
    assert before.index("cut").config == {"chunking": "256w"}


def test_an_alias_is_of_an_index_and_is_not_one(store: Store) -> None:
    """Names that are taken, unknown or unfit are refused."""
    set_alias(store, "cut", "180w")
    for alias, index, error in (
        ("180w", "180w", AlreadyExistsError),
        ("x", "nothing", NotFoundError),
        ("x", None, NotFoundError),
        ("x", "cut", NotFoundError),
        ("", "180w", InvalidArgumentError),
        ("a/b", "180w", InvalidArgumentError),
    ):
        with pytest.raises(error):
            set_alias(store, alias, index)


def test_an_index_is_dropped_unless_something_stands_on_it(store: Store) -> None:
    """The error says what does; an older version still has the index."""
    set_alias(store, "cut", "180w")
    with pytest.raises(FailedPreconditionError, match="cut"):
        drop_index(store, "180w")
    with pytest.raises(NotFoundError, match="alias of '180w'"):
        drop_index(store, "cut")
    before = set_alias(store, "cut", None)
    assert drop_index(store, "180w").manifest.indexes == {}
    assert "180w" in store.snapshot(before.version).manifest.indexes
    with pytest.raises(NotFoundError):
        drop_index(store, "180w")
