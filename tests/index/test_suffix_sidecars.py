"""Sidecars of a suffix table: written by builds, taken by readers, and damage in them noticed."""

from pathlib import Path

import numpy as np
import pytest

from lodex.errors import DataLossError, InvalidArgumentError
from lodex.index import suffix_sidecars
from lodex.index.build import build_index
from lodex.index.infini_gram.engine import InfiniGramEngine
from lodex.index.ngrams import NgramIndex
from lodex.index.receipt import Artefact
from lodex.index.store import Store
from lodex.index.suffix import TABLE, SuffixBuilder
from lodex.index.suffix_sidecars import PAGES, TOP, open_table, sidecars_beside, sidecars_of, write_sidecars
from lodex.index.tokenizer import DEFAULT_TOKENIZER, Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.kernels._suffix import CorruptTableError, SuffixTable
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import encode_offsets
from lodex.types import Document

RNG = np.random.default_rng(3)
STREAM = RNG.integers(0, 30, 4_000).astype(np.uint16)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table with both sidecars."""
    monkeypatch.setattr(suffix_sidecars, "TOP_FROM", 1_000)
    encode_offsets(suffix_array(STREAM), 2, 2).tofile(tmp_path / TABLE)
    write_sidecars(tmp_path, STREAM, tmp_path / TABLE, page_keys=True)
    return tmp_path


def opened(folder: Path, *names: str, advice: str = "normal") -> SuffixTable:
    table = np.fromfile(folder / TABLE, np.uint8)
    return open_table(STREAM, table, "t", {name: folder / name for name in names}, advice)


@pytest.mark.parametrize("advice", ["normal", "random"])
@pytest.mark.parametrize("names", [(), (TOP,), (PAGES,), (TOP, PAGES)])
def test_sidecars_change_no_answer(folder: Path, names: tuple[str, ...], advice: str) -> None:
    """Whichever are there, and however files are read, single queries and batches have the same ranks."""
    queries = [STREAM[i : i + 1 + i % 9] for i in range(0, 3_000, 7)]
    offsets = np.cumsum([0, *map(len, queries)], dtype=np.int64)
    table, plain = opened(folder, *names, advice=advice), opened(folder)
    np.testing.assert_array_equal(
        table.find(np.concatenate(queries), offsets), plain.find(np.concatenate(queries), offsets)
    )
    for query in queries[:50]:
        ends = np.array([0, len(query)])
        np.testing.assert_array_equal(table.find(query, ends), plain.find(query, ends))


def test_a_top_level_that_is_there_is_taken(folder: Path) -> None:
    """The file is read, not made again: what it says differs here from what the table would give."""
    file = bytearray((folder / TOP).read_bytes())
    file[-8:] = b"\xff" * 8
    (folder / TOP).write_bytes(file)
    assert opened(folder, TOP).top[1][-1] == 2**64 - 1
    assert opened(folder).top[1][-1] < 2**64 - 1


@pytest.mark.parametrize("name", [TOP, PAGES])
@pytest.mark.parametrize("size", [0, 40, 600, 5_000])
def test_sidecars_of_another_size_are_named(folder: Path, name: str, size: int) -> None:
    """A file cut short, or longer, raises CorruptTableError with its path."""
    file = (folder / name).read_bytes()
    (folder / name).write_bytes(file.ljust(size, b"\0")[:size])
    with pytest.raises(CorruptTableError, match=name):
        opened(folder, name)


def test_small_tables_have_no_sidecars(tmp_path: Path) -> None:
    """Their top level is made in no time; page keys are written only where they are asked for."""
    STREAM[:100].tofile(tmp_path / "stream")
    encode_offsets(suffix_array(STREAM[:100]), 2, 1).tofile(tmp_path / TABLE)
    write_sidecars(tmp_path, STREAM[:100], tmp_path / TABLE)
    assert not (tmp_path / TOP).exists()
    write_sidecars(tmp_path, STREAM[:100], tmp_path / TABLE, page_keys=True)
    assert not (tmp_path / TOP).exists()
    assert (tmp_path / PAGES).stat().st_size == 512 + 100 + 1


# ------------------------------------------------------------------------------------------ in a store


def build(path: Path, *, page_keys: bool) -> Store:
    store = Store.create(path)
    store.add(Document(f"doc-{i}", "it was the best of times, it was the worst of times " * i) for i in range(9))
    build_index(store, DEFAULT_TOKENIZER, TokensBuilder(Tokenizer.load()))
    build_index(store, "suffix", SuffixBuilder(page_keys=page_keys))
    return store


def part_of(store: Store) -> Artefact:
    ((_, part),) = store.snapshot().parts("suffix")
    assert part is not None
    return part


def test_a_build_writes_what_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page keys stand in the configuration only where they are wanted; a builder is made of it again."""
    assert sidecars_of(part_of(build(tmp_path / "plain", page_keys=False))) == {}
    monkeypatch.setattr(suffix_sidecars, "TOP_FROM", 10)
    store = build(tmp_path / "keyed", page_keys=True)
    assert sorted(sidecars_of(part_of(store))) == [PAGES, TOP]
    assert store.snapshot().index("suffix").config == {"stream": DEFAULT_TOKENIZER, "page_keys": True}
    assert SuffixBuilder("x").config == {"stream": "x"}
    for builder in (SuffixBuilder("x"), SuffixBuilder("x", page_keys=True)):
        assert SuffixBuilder.of(builder.config).config == builder.config
    Store.open(tmp_path / "keyed")
    part_of(store).prove_all()


@pytest.mark.parametrize("advise", ["normal", "random"])
def test_a_store_with_page_keys_answers_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, advise: str) -> None:
    """Counts are those of a store without, however its files are read."""
    monkeypatch.setattr(suffix_sidecars, "TOP_FROM", 10)
    build(tmp_path / "keyed", page_keys=True)
    monkeypatch.undo()
    keyed = NgramIndex(Store.open(tmp_path / "keyed", advise=advise).snapshot())
    plain = NgramIndex(build(tmp_path / "plain", page_keys=False).snapshot())
    tokenizer = Tokenizer.load()
    for words in (" was", " was the", " the worst of times it was", " of times, it was the worst", " nowhere"):
        query = [[tokenizer.encode(words)]]
        assert keyed.count(query)[0].count == plain.count(query)[0].count


@pytest.mark.parametrize("advise", ["normal", "random"])
def test_a_published_folder_takes_sidecars_that_stand_beside_it(folder: Path, advise: str) -> None:
    """Numbered as the shard is; one of another table is named."""
    np.zeros(1, "<u8").tofile(folder / "offset.0")
    stream = np.concatenate([[0xFFFF], STREAM[1:]]).astype(np.uint16)
    stream.tofile(folder / "tokenized.0")
    encode_offsets(suffix_array(stream), 2, 2).tofile(folder / TABLE)
    write_sidecars(folder, stream, folder / TABLE, page_keys=True)
    assert sorted(sidecars_beside(folder / TABLE)) == [PAGES, TOP]
    keyed = InfiniGramEngine(folder, advise=advise)
    for name in (TOP, PAGES):
        (folder / name).rename(folder / f"unused-{name}")
    plain = InfiniGramEngine(folder)
    for i in range(0, 3_000, 50):
        query = stream[i + 1 : i + 1 + i % 7].tolist()
        assert keyed.count(query) == plain.count(query)
        assert keyed.ntd(query) == plain.ntd(query)
    (folder / TOP).write_bytes((folder / "unused-pages.0").read_bytes())
    with pytest.raises(CorruptTableError, match=TOP):
        InfiniGramEngine(folder)
    with pytest.raises(InvalidArgumentError, match="advise"):
        InfiniGramEngine(folder, advise="quick")


def test_damaged_page_keys_are_noticed(tmp_path: Path) -> None:
    """A file that is not what the receipt says raises DataLossError naming it."""
    store = build(tmp_path / "keyed", page_keys=True)
    path = part_of(store).file(PAGES)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataLossError, match=PAGES):
        NgramIndex(Store.open(tmp_path / "keyed").snapshot()).count([[[1]]])
