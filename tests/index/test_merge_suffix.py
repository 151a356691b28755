"""Merging suffix tables: by whichever way, the bytes of sorting the merged stream."""

import os
from collections.abc import Callable, Iterable
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lodex.index import merge_suffix as module
from lodex.index.build import build_index
from lodex.index.compaction import compact
from lodex.index.receipt import Artefact
from lodex.index.store import Store
from lodex.index.suffix import TABLE, SuffixBuilder
from lodex.index.suffix_blocks import BlockMerger, SortedBlock, balanced_split, merging_ns
from lodex.index.tokenizer import Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_merge import MERGE_NS, SORT_NS
from lodex.types import Document, Silent


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


@pytest.fixture
def make(tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Store]:
    """Stores of one segment for each batch of texts, with a token stream and a suffix index."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # these stores need not survive
    numbers = count()

    def made(batches: Iterable[list[str]], gone: Iterable[str] = ()) -> Store:
        store = Store.create(tmp_path / f"store-{next(numbers)}")
        for i, batch in enumerate(batches):
            store.add(Document(f"{i}.{j}", text) for j, text in enumerate(batch) if f"{i}.{j}" not in gone)
        build_index(store, "tokens", TokensBuilder(tokenizer))
        build_index(store, "suffix", SuffixBuilder("tokens"))
        return store

    return made


def table_of(store: Store) -> Artefact:
    ((_, artefact),) = store.snapshot().parts("suffix")
    assert artefact is not None
    return artefact


texts = st.lists(st.sampled_from(["la", " la", "\n", "times", "é"]), max_size=8).map("".join)


@pytest.mark.parametrize("sort_ns", [0, 1 << 40])
@given(batches=st.lists(st.lists(texts, min_size=1, max_size=4), min_size=2, max_size=6), data=st.data())
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_merged_table_is_the_one_that_is_built(
    make: Callable[..., Store],
    monkeypatch: pytest.MonkeyPatch,
    sort_ns: int,
    batches: list[list[str]],
    data: st.DataObject,
) -> None:
    """Of several segments, some with deletions, sorted again or merged: the receipt and the bytes are the same."""
    monkeypatch.setattr(module, "SORT_NS", sort_ns)
    everything = [f"{i}.{j}" for i, batch in enumerate(batches) for j in range(len(batch))]
    gone = data.draw(st.lists(st.sampled_from(everything), unique=True, max_size=len(everything) - 1))
    store = make(batches)
    store.delete(gone)
    compact(store, full=True)
    whole = [[text for i, batch in enumerate(batches) for j, text in enumerate(batch) if f"{i}.{j}" not in gone]]
    merged, built = table_of(store), table_of(make(whole))
    assert merged.receipt.files[TABLE] == built.receipt.files[TABLE]
    assert (merged.receipt.rows, merged.receipt.details) == (built.receipt.rows, built.receipt.details)
    assert sorted(merged.receipt.files) == sorted(built.receipt.files)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@given(sizes=st.lists(st.integers(0, 9), max_size=9), data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_sorted_or_not_merge_into_one_table(
    tmp_path: Path, dtype: Any, sizes: list[int], data: st.DataObject
) -> None:
    """Empty blocks too; nothing but the table is left in the folder, and what was given is not removed."""
    ids = data.draw(st.lists(st.sampled_from([0, 1, 7]), min_size=sum(sizes), max_size=sum(sizes)))
    tokens = np.array(ids, dtype)
    ends = np.cumsum([0, *sizes]).tolist()
    blocks = [SortedBlock(begin, end) for begin, end in pairwise(ends)]
    merger = BlockMerger(tokens, tmp_path)
    blocks = [merger.sorted_block(block) if len(block) % 2 else block for block in blocks]
    merger.merge_all(blocks, tmp_path / "out", Silent())
    expected = (suffix_array(tokens) * dtype().itemsize).astype(np.uint8)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "out", np.uint8), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def blocks_of(*sizes: int, sorted_ones: bool = True) -> list[SortedBlock]:
    ends = np.cumsum([0, *sizes]).tolist()
    path = Path("table") if sorted_ones else None
    return [SortedBlock(begin, end, path) for begin, end in pairwise(ends)]


def test_the_cost_of_merging_counts_every_level() -> None:
    """A token costs a merge for each table that it goes through, and being sorted where it is not."""
    assert merging_ns(blocks_of(50, 50)) == 100 * MERGE_NS
    assert merging_ns(blocks_of(25, 25, 25, 25)) == 200 * MERGE_NS
    assert merging_ns(blocks_of(1000, 1, 1)) == 1002 * MERGE_NS + 2 * MERGE_NS
    assert merging_ns([]) == merging_ns(blocks_of(7)) == 0
    assert merging_ns(blocks_of(50, 50, sorted_ones=False)) == 100 * (MERGE_NS + SORT_NS)


def test_two_tables_are_merged_and_eight_are_sorted_again() -> None:
    """Where the rule stands: up to four sorted tables of like size are merged."""
    for tables, is_merged in ((2, True), (4, True), (8, False)):
        assert (merging_ns(blocks_of(*[100] * tables)) < SORT_NS * 100 * tables) == is_merged


def test_blocks_are_split_where_the_larger_part_is_smallest() -> None:
    """The split is before a block that is not the first."""
    assert balanced_split(blocks_of(1, 1, 1, 9)) == 3
    assert balanced_split(blocks_of(9, 1, 1)) == 1
    assert balanced_split(blocks_of(5, 5)) == 1
