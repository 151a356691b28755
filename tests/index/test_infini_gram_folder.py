"""Folders of infini-gram that are damaged, incomplete or mixed up: refused by the name of the file, never a crash."""

import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lodex.errors import DataLossError, InvalidArgumentError, LodexError, NotFoundError
from lodex.index.infini_gram.engine import InfiniGramEngine
from lodex.index.infini_gram.folder import find_shards, is_infini_gram_folder, token_dtype_of
from tests.index.infini_gram_corpora import write_folder

KINDS = ("tokenized", "table", "offset", "metadata", "metaoff", "unigram")


def documents(seed: int, count: int = 40) -> list[list[int]]:
    choose = random.Random(seed)
    return [[int(choose.paretovariate(0.7)) % 200 for _ in range(choose.randrange(60))] for _ in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "index", [documents(1), documents(2)], metadata=True)


def use(folder: Path) -> None:
    """Ask for a bit of everything."""
    engine = InfiniGramEngine(folder, 3, precompute_unigram_logprobs=True)
    for query in ([], [1], [1, 2], [5, 1, 1], [65535], [199, 3]):
        engine.find(query)
        engine.infgram_prob(query, 1)
        engine.infgram_ntd(query)
        engine.ntd(query, max_support=3)
        engine.search_docs(query, 5)
    engine.count_cnf([[[1]], [[2], [3, 1]]])
    engine.attribute([1, 2, 3, 1, 1, 4, 9, 1], [9], 1, 100, False)
    for s, shard in enumerate(engine._shards):
        engine.get_docs_by_ranks([(s, rank) for rank in range(0, len(shard.tokens), 7)])
        engine.compute_unigram_counts(s)
    engine.get_docs_by_ixs(range(engine.get_total_doc_cnt()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_refused_by_name(kind: str, folder: Path) -> None:
    """A file that lacks its last bytes, its half or all of them is named."""
    path = folder / f"{kind}.1"
    whole = path.read_bytes()
    for size in (0, 1, 8, len(whole) // 2 & ~7, len(whole) - 8, len(whole) - 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        if size == len(whole) - 1 and kind == "unigram":  # a newline more or less
            continue
        with pytest.raises(DataLossError, match=rf"(tokenized|{kind})\.1"):
            use(folder)


@pytest.mark.parametrize("kind", KINDS[:5])
def test_a_missing_file_is_named(kind: str, folder: Path) -> None:
    """The message says which file of which shard is not there."""
    (folder / f"{kind}.0").unlink()
    with pytest.raises(DataLossError, match=rf"{kind}\.0 is missing"):
        InfiniGramEngine(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_swapped_files_are_refused(kind: str, folder: Path) -> None:
    """Files of the same kind with their numbers exchanged do not belong to their streams."""
    a, b = folder / f"{kind}.0", folder / f"{kind}.1"
    swapped = a.read_bytes(), b.read_bytes()
    assert swapped[0] != swapped[1]
    a.write_bytes(swapped[1])
    b.write_bytes(swapped[0])
    with pytest.raises(DataLossError, match=r"(tokenized|table|offset|metadata|metaoff|unigram)\.[01]"):
        use(folder)


def test_a_table_of_another_stream_of_the_same_size_is_refused(tmp_path: Path) -> None:
    """Sizes and offsets are right, the order is that of other text."""
    tokens = documents(1)
    shuffled = [random.Random(i).sample(document, len(document)) for i, document in enumerate(tokens)]
    folder = write_folder(tmp_path / "x", [tokens])
    other = write_folder(tmp_path / "y", [shuffled])
    shutil.copy(other / "table.0", folder / "table.0")
    with pytest.raises(DataLossError, match=r"table\.0: ranks \d+ and \d+ are not in the order"):
        InfiniGramEngine(folder)


@pytest.mark.parametrize("junk", ["zeros", "random", "tail"])
def test_a_table_of_the_right_size_with_junk_in_it_is_refused(junk: str, folder: Path) -> None:
    """What infini-gram leaves when its concat fails is no table."""
    path = folder / "table.0"
    table = np.fromfile(path, np.uint8)
    if junk == "tail":
        table[-len(table) // 4 :] = 0
    else:
        table = np.zeros_like(table) if junk == "zeros" else np.random.default_rng(1).permutation(table)
    table.tofile(path)
    with pytest.raises(DataLossError, match=r"table\.0"):
        InfiniGramEngine(folder)


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("offset", lambda values: values + 2),
        ("offset", lambda values: values[::-1]),
        ("offset", lambda values: np.append(values[:-1], 1 << 60)),
        ("offset", lambda values: np.append(values, values[-1:] + 2)),
        ("offset", lambda values: values + (np.arange(len(values)) == 3)),
        ("offset", lambda values: values + 2 * (np.arange(len(values)) == 3)),
        ("metaoff", lambda values: values + 1),
        ("metaoff", lambda values: values[:-1]),
        ("metaoff", lambda values: values + (np.arange(len(values)) == 5)),
        ("metaoff", lambda values: np.append(values[:-1], (1 << 64) - 1)),
    ],
)
def test_offsets_that_cannot_be_are_refused(kind: str, damage: Any, folder: Path) -> None:
    """Offsets ascend from 0 and lead to separators, those of metadata to lines."""
    path = folder / f"{kind}.0"
    damage(np.fromfile(path, "<u8")).astype("<u8").tofile(path)
    with pytest.raises(DataLossError, match=rf"({kind}|metadata)\.0"):
        InfiniGramEngine(folder)


@pytest.mark.parametrize("text", ["1 2 3\n", "one 2\n", "1 -2\n", "1 5\n1 5\n", "ü 1\n", "", "70000 9\n"])
def test_unigrams_that_cannot_be_are_refused(text: str, folder: Path) -> None:
    """Counts add up to the tokens of the stream, and are those of its tokens."""
    (folder / "unigram.1").write_text(text, "utf-8")
    with pytest.raises(DataLossError, match=r"unigram\.1"):
        InfiniGramEngine(folder, precompute_unigram_logprobs=True)
    InfiniGramEngine(folder)  # they are only read where they are needed


def test_metadata_that_is_no_text_is_refused(folder: Path) -> None:
    """A line that is not UTF-8 is named."""
    path = folder / "metadata.1"
    path.write_bytes(path.read_bytes().replace(b"number", b"\xff\xffmber"))
    with pytest.raises(DataLossError, match=r"metadata\.1"):
        InfiniGramEngine(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bytes_never_crash(kind: str, tmp_path: Path) -> None:
    """After any flip the folder is refused by name, or answers; nothing but errors of Lodex is raised."""
    source = write_folder(tmp_path / "index", [documents(5, 8), documents(6, 4)], metadata=True)
    path = source / f"{kind}.0"
    whole = path.read_bytes()
    choose = random.Random(8)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(choose.choice([1, 1, 8])):
            damaged[choose.randrange(len(damaged))] ^= 1 << choose.randrange(8)
        path.write_bytes(damaged)
        try:
            use(source)
        except DataLossError as error:
            assert any(f"{name}.0" in str(error) for name in KINDS), error  # noqa: PT017  # either may come
            refused += 1
        except InvalidArgumentError as error:
            raise AssertionError("a damaged file was called a wrong argument") from error
    # Of metadata and streams only some bytes are bound to others.
    assert refused >= {"tokenized": 20, "metadata": 1}.get(kind, 50)


def test_a_number_left_out_is_missed(tmp_path: Path) -> None:
    """A folder without shard 1 of 3 is not complete, unless a folder beside it has that shard."""
    folder = write_folder(tmp_path / "a", [[[1]], [[2]], [[3]]])
    beside = tmp_path / "b"
    beside.mkdir()
    for kind in KINDS[:3]:
        (folder / f"{kind}.1").rename(beside / f"{kind}.1")
    with pytest.raises(DataLossError, match=r"tokenized\.1 is missing"):
        InfiniGramEngine(folder)
    assert InfiniGramEngine([folder, beside]).count([2])["count"] == 1
    (folder / "table.99999999999").write_text("")
    with pytest.raises(DataLossError, match=r"tokenized\.3 is missing"):
        InfiniGramEngine([folder, beside])


def test_widths_of_tokens_do_not_mix(tmp_path: Path) -> None:
    """Shards of one engine have tokens of one width, and a width that is asked for is that of the files."""
    narrow = write_folder(tmp_path / "a", [[[1, 2, 3]]], "u16")
    wide = write_folder(tmp_path / "b", [[[1, 2, 3]]], "u32")
    with pytest.raises(DataLossError, match="differ in the width"):
        InfiniGramEngine([narrow, wide])
    with pytest.raises(DataLossError, match=r"table\.0 has 4 bytes, expected 8 for u8 tokens"):
        InfiniGramEngine(narrow, token_dtype="u8")
    assert token_dtype_of(find_shards([wide])) == np.uint32
    with pytest.raises(InvalidArgumentError, match="another width"):
        InfiniGramEngine(
            [narrow, wide], prev_shards_by_index_dir=InfiniGramEngine(narrow).get_new_shards_by_index_dir()
        )


def test_what_is_no_index_is_said(tmp_path: Path) -> None:
    """No folder, an empty one, a file, two layouts at once, one number twice, a folder or a pipe in place of a file."""
    with pytest.raises(NotFoundError, match="not a folder"):
        InfiniGramEngine(tmp_path / "none")
    with pytest.raises(NotFoundError, match="no infini-gram index"):
        InfiniGramEngine(tmp_path)
    assert not is_infini_gram_folder(tmp_path)
    for wrong in ([], [1], 7):
        with pytest.raises(InvalidArgumentError, match="index_dir"):
            InfiniGramEngine(wrong)  # type: ignore[arg-type]
    folder = write_folder(tmp_path / "x", [[[1, 2]]])
    with pytest.raises(InvalidArgumentError, match="twice"):
        InfiniGramEngine([folder, folder])
    shutil.copy(folder / "table.0", folder / "table.00")
    with pytest.raises(DataLossError, match=r"table\.00"):
        InfiniGramEngine(folder)
    (folder / "table.00").unlink()
    write_folder(folder, [[[1]]], numbered=False)
    with pytest.raises(DataLossError, match="with and without a shard's number"):
        InfiniGramEngine(folder)
    for name, make in (("y", Path.mkdir), ("z", os.mkfifo)):
        other = write_folder(tmp_path / name, [[[1, 2]]])
        (other / "offset.0").unlink()
        make(other / "offset.0")
        with pytest.raises(DataLossError, match=r"offset\.0 is not a file"):
            InfiniGramEngine(other)


def test_a_folder_may_be_loaded(folder: Path) -> None:
    """Loaded into memory a folder answers as it does mapped."""
    mapped, loaded = InfiniGramEngine(folder), InfiniGramEngine(folder, load_to_ram=True)
    assert isinstance(loaded._shards[0].tokens, np.ndarray)
    for query in ([1], [1, 1], [65535, 1]):
        assert mapped.find(query) == loaded.find(query)
    assert mapped.get_doc_by_ix(50) == loaded.get_doc_by_ix(50)


def test_lodex_errors_alone(folder: Path) -> None:
    """All of the above are errors of Lodex."""
    (folder / "table.0").write_bytes(b"")
    with pytest.raises(LodexError):
        InfiniGramEngine(folder)
