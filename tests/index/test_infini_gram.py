"""infini-gram's folders and methods: its answers where it is right, and right ones where it is not."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lodex
from lodex.errors import InvalidArgumentError, LodexError, NotFoundError
from lodex.index.build import build_index
from lodex.index.infini_gram import cnf as infini_gram_cnf
from lodex.index.infini_gram.engine import InfiniGramEngine
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import DEFAULT_TOKENIZER, Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.types import Document
from tests.index.infini_gram_corpora import (
    DTYPES,
    count_conjunctions,
    index_with_infini_gram,
    real_documents,
    write_folder,
)

infini_gram = pytest.importorskip("infini_gram.engine")

SEPARATOR = 65535
WORD_STARTS = range(0, 255, 3)
UNDERFLOW = 1 << 60


def open_both(folder: Path, dtype: str, eos: int = 5, **options: Any) -> tuple[InfiniGramEngine, Any]:
    """The same folder opened by Lodex and by infini-gram at its best settings."""
    vocab_size = {"u8": 255, "u16": 65535, "u32": 400000}[dtype]
    ours = InfiniGramEngine(folder, eos, vocab_size, **options)
    prefetch = {"ds_prefetch_depth": 0, "sa_prefetch_depth": 0, "od_prefetch_depth": 0}
    theirs = infini_gram.InfiniGramEngine(str(folder), eos, vocab_size, token_dtype=dtype, **prefetch, **options)
    return ours, theirs


class Queries:
    """Pieces of the corpus and of held-out documents, half and half."""

    def __init__(self, engine: InfiniGramEngine, held_out: list[list[int]], seed: int) -> None:
        self.random = random.Random(seed)
        self._streams = [shard.tokens.tolist() for shard in engine.get_new_shards_by_index_dir().popitem()[1]]
        self._held_out = held_out

    def piece(self, length: int) -> list[int]:
        """A run of tokens of one of them."""
        stream = self.random.choice(self._streams if self.random.random() < 0.5 else self._held_out)
        begin = self.random.randrange(max(1, len(stream) - length))
        return stream[begin : begin + length]

    def ngram(self) -> list[int]:
        """A run of any of several lengths."""
        return self.piece(self.random.choice([0, 1, 1, 2, 2, 3, 4, 5, 8, 12, 40]))

    def at_an_end(self, prompt: list[int]) -> bool:
        """Whether a stream ends with the prompt: infini-gram may then be wrong about what follows, see below."""
        return any(stream[len(stream) - len(prompt) :] == prompt for stream in self._streams)


def agree_on_ngrams(ours: InfiniGramEngine, theirs: Any, queries: Queries, count: int) -> None:
    for _ in range(count):
        prompt, token = queries.ngram(), queries.piece(1)[0]
        assert ours.find(prompt) == theirs.find(prompt), prompt
        assert ours.count(prompt) == theirs.count(prompt), prompt
        assert ours.prob(prompt, token) == theirs.prob(prompt, token), (prompt, token)
        assert ours.infgram_prob(prompt, token) == theirs.infgram_prob(prompt, token), (prompt, token)
        for mine, other in [(ours.ntd, theirs.ntd), (ours.infgram_ntd, theirs.infgram_ntd)]:
            expected = other(prompt)
            suffix = prompt[len(prompt) - expected.get("suffix_len", len(prompt)) :]
            if not expected["approx"] and not queries.at_an_end(suffix):
                assert mine(prompt) == expected, prompt


def agree_on_documents(ours: InfiniGramEngine, theirs: Any, queries: Queries, count: int, width: int) -> None:
    choose = queries.random
    for _ in range(count):
        segments = ours.find(queries.ngram())["segment_by_shard"]
        for s, (begin, end) in enumerate(segments):
            if begin == end:
                continue
            rank, shown, needle = choose.randrange(begin, end), choose.choice([1, 2, 9, 1000]), choose.randrange(9)
            expected = theirs.get_doc_by_rank(s, rank, shown)
            if expected["needle_offset"] > UNDERFLOW:  # at a separator, see below
                continue
            assert ours.get_doc_by_rank(s, rank, shown) == expected
            assert ours.get_docs_by_ranks([(s, rank)], shown) == [expected]
            around = theirs.get_doc_by_rank_2(s, rank, needle, shown)
            assert ours.get_doc_by_rank_2(s, rank, needle, shown) == around
            assert ours.get_docs_by_ranks_2([(s, rank, needle, shown)]) == [around]
            (ptr,) = ours._shards[s].positions(np.array([rank])).tolist()
            assert ours.get_doc_by_ptr(s, ptr * width, shown) == expected
            assert ours.get_docs_by_ptrs([(s, ptr * width)], shown) == [expected]
            assert ours.get_doc_by_ptr_2(s, ptr * width, needle, shown) == around
            assert ours.get_docs_by_ptrs_2([(s, ptr * width, needle, shown)]) == [around]
    for ix in range(ours.get_total_doc_cnt()):
        assert ours.get_doc_by_ix(ix, 20) == theirs.get_doc_by_ix(ix, 20)
        assert ours.get_doc_by_ix_2(ix, 20) == theirs.get_doc_by_ix_2(ix, 20)
    assert ours.get_docs_by_ixs([1, 0], 7) == theirs.get_docs_by_ixs([1, 0], 7)
    assert ours.get_docs_by_ixs_2([(1, 7)]) == theirs.get_docs_by_ixs_2([(1, 7)])
    assert ours.get_total_doc_cnt() == theirs.get_total_doc_cnt()


def agree_on_texts(ours: InfiniGramEngine, theirs: Any, queries: Queries, count: int, same_unigrams: bool) -> None:
    for _ in range(count):
        text = queries.piece(queries.random.choice([1, 30, 256]))
        mine, expected = ours.creativity(text)["rs"], theirs.creativity(text)["rs"]
        for begin, (end, other) in enumerate(zip(mine, expected, strict=True)):
            # infini-gram never looks at rank 0, see below.
            at_rank_0 = any(first == 0 for first, _ in ours.find(text[begin:end])["segment_by_shard"])
            assert end == other or (end > other and at_rank_0)
        for enforce_bow in (False, True):
            arguments = ([*text[::50]], queries.random.choice([1, 2, 4]), queries.random.choice([1, 10, 999]))
            spans = ours.attribute(text, *arguments, enforce_bow)["spans"]
            others = theirs.attribute(text, *arguments, enforce_bow)["spans"]
            sums = [[span.pop("unigram_logprob_sum") for span in found] for found in (spans, others)]
            if mine == expected:
                assert spans == others
                assert not same_unigrams or sums[0] == pytest.approx(sums[1])


def agree_on_conjunctions(ours: InfiniGramEngine, theirs: Any, queries: Queries, count: int) -> None:
    """Never less than infini-gram, which drops what stands beside another document; the same where it drops nothing."""
    choose, same = queries.random, 0
    for _ in range(count):
        clauses = [[queries.piece(choose.choice([1, 2])) for _ in range(choose.choice([1, 1, 3]))] for _ in range(2)]
        reach = choose.choice([1, 5, 100])
        mine = ours.find_cnf(clauses, max_diff_tokens=reach)
        expected = theirs.find_cnf(clauses, max_clause_freq=10**9, max_diff_tokens=reach)
        assert not mine["approx"]
        assert mine["cnt"] >= expected["cnt"]
        assert ours.count_cnf(clauses, max_diff_tokens=reach) == {"count": mine["cnt"], "approx": False}
        same += mine["cnt"] == expected["cnt"]
    assert same > count / 2


def agree(folder: Path, held_out: list[list[int]], dtype: str, count: int, tmp_path: Path) -> None:
    words = tmp_path / "bow.txt"
    words.write_text("\n".join(map(str, WORD_STARTS if dtype != "u32" else range(70000, 400000, 21))))
    ours, theirs = open_both(folder, dtype, 70035 if dtype == "u32" else 5, bow_ids_path=str(words),
                             precompute_unigram_logprobs=True)  # fmt: skip
    queries = Queries(ours, held_out, seed=7)
    agree_on_ngrams(ours, theirs, queries, count)
    agree_on_documents(ours, theirs, queries, count // 10, DTYPES[dtype].itemsize)
    # infini-gram reads the ids of u8 unigram files as characters, see below.
    agree_on_texts(ours, theirs, queries, max(5, count // 50), same_unigrams=dtype != "u8")
    agree_on_conjunctions(ours, theirs, queries, count // 10)


# ------------------------------------------------------------------------------------ the same answers


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[int]]]:
    """An index of three shards that infini-gram wrote, and held-out documents."""
    documents, held_out = real_documents("u16", 1_000_000)
    return index_with_infini_gram(tmp_path_factory.mktemp("built") / "index", documents, "u16", 3), held_out


def test_answers_are_infini_grams(indexed: tuple[Path, list[list[int]]], tmp_path: Path) -> None:
    """On an index that infini-gram wrote, queries of every kind have its answers wherever those are exact."""
    agree(*indexed, "u16", 80, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("dtype", ["u8", "u16", "u32"])
def test_two_thousand_answers_are_infini_grams(dtype: str, shards: int, tmp_path: Path) -> None:
    """The same for every width of tokens and several shards, half of the queries from held-out documents."""
    documents, held_out = real_documents(dtype, 4_000_000 if dtype != "u8" else 2_000_000)
    folder = tmp_path / "index"
    if dtype == "u32":
        write_folder(folder, [documents[s::shards] for s in range(shards)], dtype, metadata=True)
    else:
        index_with_infini_gram(folder, documents, dtype, shards)
    agree(folder, held_out, dtype, 2000, tmp_path)
    ours, theirs = open_both(folder, dtype)
    for s in range(shards):
        assert ours.compute_unigram_counts(s) == theirs.compute_unigram_counts(s)  # a thread for each id


def test_tables_are_infini_grams(indexed: tuple[Path, list[list[int]]], tmp_path: Path) -> None:
    """Lodex sorts infini-gram's streams into its very tables."""
    (shards,) = InfiniGramEngine(indexed[0]).get_new_shards_by_index_dir().values()
    for shard in shards:
        documents = [shard.tokens[slice(*shard.document(i))].tolist() for i in range(shard.num_documents)]
        folder = write_folder(tmp_path / str(shard.files.number), [documents])
        np.testing.assert_array_equal(np.fromfile(folder / "table.0", np.uint8), shard.entries)


def test_a_suffix_artefact_opens_in_both(tmp_path: Path) -> None:
    """A store's suffix folder is an infini-gram folder to Lodex and to infini-gram."""
    store = Store.create(tmp_path / "store")
    store.add([Document("a", "to be or not to be"), Document("b", ""), Document("c", "that is the question to be")])
    tokenizer = Tokenizer.load()
    build_index(store, DEFAULT_TOKENIZER, TokensBuilder(tokenizer))
    build_index(store, "suffix", SuffixBuilder())
    ((_, artefact),) = store.snapshot().parts("suffix")
    assert artefact is not None
    ours, theirs = open_both(artefact.path, "u16")
    held_out = [list(map(int, tokenizer.encode(text))) for text in ("not to be that", " question")]
    queries = Queries(ours, held_out, seed=2)
    agree_on_ngrams(ours, theirs, queries, 50)
    agree_on_documents(ours, theirs, queries, 10, 2)
    assert ours.get_total_doc_cnt() == 3


def test_unigrams_are_counted(indexed: tuple[Path, list[list[int]]]) -> None:
    """Every id below the vocabulary's size and the separator have their count, 0 included, and so has any other id."""
    engine = InfiniGramEngine(indexed[0], vocab_size=100)
    for s, shard in enumerate(engine._shards):
        counted = np.bincount(shard.tokens, minlength=SEPARATOR + 1)
        expected = {i: int(n) for i, n in enumerate(counted) if n or i < 100 or i == SEPARATOR}
        assert engine.compute_unigram_counts(s) == expected


# ------------------------------------------------------------------------------------ methods of our own


@pytest.fixture
def small(tmp_path: Path) -> InfiniGramEngine:
    choose = random.Random(3)
    shards = [[[choose.randrange(6) for _ in range(choose.randrange(9))] for _ in range(7)] for _ in range(3)]
    return InfiniGramEngine(write_folder(tmp_path / "small", shards, metadata=True), 2)


def prompts() -> Iterator[list[int]]:
    choose = random.Random(4)
    yield from ([], [0], [9], [2], [SEPARATOR])
    for _ in range(100):
        yield [choose.choice([0, 1, 2, 3, 4, 5, 9, SEPARATOR]) for _ in range(choose.randrange(1, 5))]


def test_a_batch_has_the_answers_of_its_queries(small: InfiniGramEngine) -> None:
    """Each batched method, over lists and over one flat array, answers as its single one does, in order."""
    queries = list(prompts())
    following = [i % 6 for i in range(len(queries))]
    flat = np.array([token for query in queries for token in query], np.uint16)
    offsets = np.cumsum([0, *map(len, queries)])
    for many, bounds in ((queries, None), (flat, offsets)):
        finds = small.find_many(many, bounds)
        counts = small.count_many(many, bounds)["count"]
        probs = small.prob_many(many, following, bounds)
        infgrams = small.infgram_prob_many(many, following, bounds)
        ntds = small.ntd_many(many, bounds)
        infgram_ntds = small.infgram_ntd_many(many, bounds)
        for i, query in enumerate(queries):
            segments = [(int(begins[i]), int(ends[i])) for begins, ends in finds["segment_by_shard"]]
            assert {"cnt": finds["cnt"][i], "segment_by_shard": segments} == small.find(query)
            assert {"count": counts[i], "approx": False} == small.count(query)
            assert {key: column[i] for key, column in probs.items()} == small.prob(query, following[i])
            assert {key: column[i] for key, column in infgrams.items()} == small.infgram_prob(query, following[i])
            assert row_of(ntds, i) == small.ntd(query)
            assert row_of(infgram_ntds, i) == small.infgram_ntd(query)


def row_of(answer: Any, i: int) -> dict[str, Any]:
    """One distribution of a batch as its single method gives it."""
    part = slice(answer["offsets"][i], answer["offsets"][i + 1])
    columns = (answer[key][part].tolist() for key in ("token_ids", "cont_cnt", "prob"))
    by_token = {token: {"cont_cnt": count, "prob": share} for token, count, share in zip(*columns, strict=True)}
    row = {"prompt_cnt": answer["prompt_cnt"][i], "result_by_token_id": by_token, "approx": answer["approx"]}
    return row | ({"suffix_len": answer["suffix_len"][i]} if "suffix_len" in answer else {})


def test_a_text_is_scored_as_its_tokens_are(small: InfiniGramEngine) -> None:
    """`score` is `infgram_prob` at every token, `longest_matches` is `count` of each run and none longer occurs."""
    text = [0, 1, 2, 3, 0, 9, 1, 1, 2, SEPARATOR, 4, 4, 0]
    scores, matches = small.score(text), small.longest_matches(text)
    for i in range(len(text)):
        assert {key: column[i] for key, column in scores.items()} == small.infgram_prob(text[:i], text[i])
        end = i + int(matches["length"][i])
        assert matches["count"][i] == (small.count(text[i:end])["count"] if end > i else 0)
        assert end == len(text) or small.count(text[i : end + 1])["count"] == 0
    assert small.creativity(text)["rs"] == (matches["length"] + np.arange(len(text))).tolist()


def test_ntd_at_the_end_of_a_stream_is_eos(tmp_path: Path) -> None:
    """What follows the last token of a shard is EOS, as what follows that of any other document."""
    engine = InfiniGramEngine(write_folder(tmp_path / "x", [[[1, 7], [1]], [[3, 1]]]), 9)
    assert {t: r["cont_cnt"] for t, r in engine.ntd([1])["result_by_token_id"].items()} == {7: 1, 9: 2}
    assert InfiniGramEngine(tmp_path / "x").ntd([3, 1])["result_by_token_id"][SEPARATOR]["cont_cnt"] == 1


def test_eos_in_the_stream_is_added_to_the_ends(tmp_path: Path) -> None:
    """A token that is EOS by itself, and the end of a document, are one entry."""
    engine = InfiniGramEngine(write_folder(tmp_path / "x", [[[1, 9], [1]], [[1, 9, 1, 4]]]), 9)
    expected = {4: 1, 9: 3}
    assert {t: r["cont_cnt"] for t, r in engine.ntd([1])["result_by_token_id"].items()} == expected
    many = engine.ntd_many([[4], [1], [9], [5]])
    assert many["offsets"].tolist() == [0, 1, 3, 5, 5]
    assert many["token_ids"].tolist()[1:3] == [4, 9]
    assert many["prompt_cnt"].tolist() == [1, 4, 2, 0]


def test_engines_share_maps(small: InfiniGramEngine, tmp_path: Path) -> None:
    """What one engine has opened another one takes, beside folders of its own."""
    opened = small.get_new_shards_by_index_dir()
    (folder,) = opened
    other = write_folder(tmp_path / "other", [[[0, 1]]])
    both = InfiniGramEngine([folder, str(other)], 2, prev_shards_by_index_dir=opened)
    assert list(both.get_new_shards_by_index_dir()) == [str(other)]
    assert both._shards[0] is small._shards[0]
    assert both.count([0, 1])["count"] == small.count([0, 1])["count"] + 1
    assert InfiniGramEngine([folder, str(other)], 2).count([0, 1]) == both.count([0, 1])


# ------------------------------------------------------------------------------------ where infini-gram is wrong


@pytest.mark.parametrize("name", ["tables", "my offset", "tokenized.0", "unigram metadata metaoff"])
def test_a_folder_may_be_called_anything(name: str, tmp_path: Path) -> None:
    """Files are told apart by their base names alone; other files are passed over."""
    folder = write_folder(tmp_path / name / "sub table", [[[1, 2, 3]]])
    (folder / "table.0.bak").write_text("x")
    (folder / "my_tokenized.0").write_text("x")
    assert InfiniGramEngine(folder).count([2])["count"] == 1


@pytest.mark.parametrize("version", [5, 6, "4"])
def test_other_versions_are_refused(version: Any, tmp_path: Path) -> None:
    """A version that Lodex does not read is an error and never wrong counts."""
    folder = write_folder(tmp_path / "x", [[[1]]])
    with pytest.raises(InvalidArgumentError, match="version") as caught:
        InfiniGramEngine(folder, version=version)
    assert caught.value.field == "version"


def test_shards_are_ordered_by_number(tmp_path: Path) -> None:
    """Shard 10 comes after shard 2, and documents are numbered in that order."""
    engine = InfiniGramEngine(write_folder(tmp_path / "x", [[[shard]] for shard in range(12)]))
    assert [engine.get_doc_by_ix(i)["token_ids"] for i in range(12)] == [[i] for i in range(12)]
    assert engine.find([10])["segment_by_shard"][10] == (0, 1)


@pytest.mark.parametrize(("dtype", "ptr", "wrong"), [("u8", 3, None), ("u16", 4, 3), ("u32", 8, 6)])
def test_pointers_are_those_of_tokens(dtype: str, ptr: int, wrong: int | None, tmp_path: Path) -> None:
    """Every byte of u8 is a token, every fourth of u32; what is none is refused."""
    engine = InfiniGramEngine(write_folder(tmp_path / "x", [[[1, 2, 3, 4, 5]]], dtype))
    assert engine.get_doc_by_ptr(0, ptr)["token_ids"] == [1, 2, 3, 4, 5]
    if wrong is not None:
        with pytest.raises(InvalidArgumentError, match="ptr is"):
            engine.get_doc_by_ptr(0, wrong)


@pytest.mark.parametrize("dtype", ["u8", "u16", "u32"])
def test_a_folder_without_numbers_opens(dtype: str, tmp_path: Path) -> None:
    """The layout of one shard a folder, and a list of such folders."""
    documents = [[[1, 2], [2]], [[2, 2, 1]]]
    folders = [
        write_folder(tmp_path / f"x{i}", [part], dtype, numbered=False, metadata=True)
        for i, part in enumerate(documents)
    ]
    engine = InfiniGramEngine([str(folder) for folder in folders])
    assert engine.token_dtype == dtype
    assert engine.count([2])["count"] == 4
    assert json.loads(engine.get_doc_by_ix(1)["metadata"])["name"] == "ü"


def test_a_corpus_may_be_tiny(tmp_path: Path) -> None:
    """One document, an empty document, a corpus of one token: all are found."""
    assert InfiniGramEngine(write_folder(tmp_path / "a", [[[1]]])).count([1])["count"] == 1
    empty = InfiniGramEngine(write_folder(tmp_path / "b", [[[]]]), 3)
    assert empty.count([])["count"] == 1
    assert empty.ntd([])["result_by_token_id"] == {3: {"cont_cnt": 1, "prob": 1.0}}
    none = InfiniGramEngine(write_folder(tmp_path / "c", [[]]), 3)
    assert (len(none), none.get_total_doc_cnt(), none.count([1])["count"]) == (0, 0, 0)
    assert none.infgram_ntd([1, 2]) == {"prompt_cnt": 0, "result_by_token_id": {}, "approx": False, "suffix_len": 0}
    assert none.search_docs([]) == {"cnt": 0, "approx": False, "idxs": [], "documents": []}


def test_conjunctions_are_exact_and_samples_say_so(indexed: tuple[Path, list[list[int]]]) -> None:
    """Without a limit the count is that of all; with one it is marked, and within six of its standard errors."""
    engine = InfiniGramEngine(indexed[0])
    common = sorted(engine.ntd([])["result_by_token_id"].items(), key=lambda item: -item[1]["cont_cnt"])[1:4]
    clauses = [[[common[1][0]]], [[common[0][0]], [common[2][0]]]]
    exact = engine.count_cnf(clauses, max_diff_tokens=2)
    assert not exact["approx"]
    assert exact["count"] > 2000
    for seed in range(5):
        sampled = engine.count_cnf(clauses, max_clause_freq=1000, max_diff_tokens=2, seed=seed)
        assert sampled["approx"]
        assert abs(sampled["count"] - exact["count"]) <= 6 * sampled["standard_error"]
        assert sampled == engine.count_cnf(clauses, max_clause_freq=1000, max_diff_tokens=2, seed=seed)
    assert engine.count_cnf(clauses, max_clause_freq=10**9, max_diff_tokens=2) == exact


@pytest.mark.parametrize("scanned_per_place", [0, 2, 1 << 40])
def test_conjunctions_are_those_of_brute_force(
    scanned_per_place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All places by the rule, documents apart; and infini-gram's by its own, which forgets some beside an edge.

    So it is whether the places of a clause are listed and sorted or read from the stream, in pieces or at once.
    """
    monkeypatch.setattr(infini_gram_cnf, "_SCANNED_PER_PLACE", scanned_per_place)
    monkeypatch.setattr(infini_gram_cnf, "_SCANNED_AT_ONCE", 50)
    choose = random.Random(11)
    shards = [[[choose.randrange(5) for _ in range(choose.randrange(12))] for _ in range(9)] for _ in range(2)]
    ours, theirs = open_both(write_folder(tmp_path / "x", shards), "u16")
    streams = [shard.tokens.tolist() for shard in ours._shards]
    forgotten = 0
    for _ in range(150):
        clauses = [
            [[choose.randrange(5) for _ in range(choose.choice([1, 1, 2]))] for _ in range(choose.choice([1, 2]))]
            for _ in range(choose.choice([1, 2, 2, 3, 4]))
        ]
        reach = choose.choice([1, 2, 5, 100])
        found = [sorted(ptr // 2 for ptr in ptrs) for ptrs in ours.find_cnf(clauses, None, reach)["ptrs_by_shard"]]
        assert found == [count_conjunctions(stream, clauses, reach, SEPARATOR) for stream in streams]
        other = theirs.find_cnf(clauses, 10**9, reach)["ptrs_by_shard"] or [[], []]
        by_its_rule = [count_conjunctions(stream, clauses, reach, SEPARATOR, apart=False) for stream in streams]
        assert [sorted(ptr // 2 for ptr in ptrs) for ptrs in other] == by_its_rule
        forgotten += sum(map(len, found)) > sum(map(len, by_its_rule))
    assert forgotten


def test_next_tokens_are_complete(indexed: tuple[Path, list[list[int]]]) -> None:
    """Every token that follows is there with its count; a limit that is asked for bounds the error it makes."""
    ours, theirs = open_both(indexed[0], "u16")
    complete = ours.ntd([])
    counted = sum((np.bincount(shard.tokens, minlength=SEPARATOR + 1) for shard in ours._shards), np.zeros(1, int))
    counted[5] += counted[SEPARATOR]
    counted[SEPARATOR] = 0
    assert {token: r["cont_cnt"] for token, r in complete["result_by_token_id"].items()} == {
        int(token): int(counted[token]) for token in np.flatnonzero(counted)
    }
    assert theirs.ntd([])["approx"]
    assert len(theirs.ntd([])["result_by_token_id"]) < len(complete["result_by_token_id"])
    sampled = ours.ntd([], max_support=500)
    assert sampled["approx"]
    assert sampled["prompt_cnt"] == complete["prompt_cnt"]
    for token, result in complete["result_by_token_id"].items():
        estimate = sampled["result_by_token_id"].get(token, {"cont_cnt": 0})["cont_cnt"]
        assert abs(estimate - result["cont_cnt"]) <= sampled["max_error"]
    assert ours.ntd([], max_support=10**9) == complete
    assert InfiniGramEngine(indexed[0], 5, max_support=500).ntd([]) == sampled


def test_next_tokens_where_a_prompt_ends_the_stream(tmp_path: Path) -> None:
    """infini-gram takes all continuations for EOS where the first and the last of them are; Lodex looks between."""
    documents = [[7, 3], [7, 4], [7, 5], [7, 6], [7], [9, 7]]
    ours, theirs = open_both(write_folder(tmp_path / "x", [documents]), "u16", eos=2)
    counts = {token: result["cont_cnt"] for token, result in ours.ntd([7])["result_by_token_id"].items()}
    assert counts == {2: 2, 3: 1, 4: 1, 5: 1, 6: 1}
    assert theirs.ntd([7])["result_by_token_id"] == {2: {"cont_cnt": 6, "prob": 1.0}}


def test_matches_with_the_first_suffix_are_found(tmp_path: Path) -> None:
    """infini-gram never compares with rank 0; Lodex finds a longest match there as anywhere."""
    ours, theirs = open_both(write_folder(tmp_path / "x", [[[1, 1, 1, 2, 5]]]), "u16")
    assert ours.creativity([1, 1, 1, 0])["rs"] == [3, 3, 3, 3]
    assert theirs.creativity([1, 1, 1, 0])["rs"] == [0, 1, 2, 3]
    assert [(span["l"], span["r"]) for span in ours.attribute([1, 1, 1, 0], [], 1, 9, False)["spans"]] == [(0, 3)]


def test_documents_are_drawn_once_and_by_a_seed(indexed: tuple[Path, list[list[int]]]) -> None:
    """No document twice, the same ones for a seed, others for another; all of them if as many are asked for."""
    engine = InfiniGramEngine(indexed[0])
    query = [engine.get_doc_by_ix(0)["token_ids"][5]]
    total = engine.count(query)["count"]
    holding = {i for i in range(engine.get_total_doc_cnt()) if query[0] in engine.get_doc_by_ix(i, 10**9)["token_ids"]}
    found = engine.search_docs(query, 10, 20, seed=1)
    assert found["cnt"] == total
    assert len({doc["doc_ix"] for doc in found["documents"]}) == len(found["documents"]) == min(10, len(holding))
    assert all(doc["token_ids"][doc["needle_offset"]] == query[0] for doc in found["documents"])
    assert found == engine.search_docs(query, 10, 20, seed=1)
    assert found != engine.search_docs(query, 10, 20, seed=2)
    assert len(set(found["idxs"])) == len(found["idxs"])
    assert {doc["doc_ix"] for doc in engine.search_docs(query, 10**6, 1)["documents"]} == holding
    near = engine.search_docs_cnf([[query], [query]], 10**6, 1)
    assert {doc["doc_ix"] for doc in near["documents"]} == holding


def test_few_documents_with_very_many_places_are_drawn_as_all_places_are(tmp_path: Path) -> None:
    """Which documents are shown, and where, does not depend on how soon it is known that there are no more."""
    choose = random.Random(9)
    shards = [[[choose.choice([1, 1, 1, 2, 3]) for _ in range(500)] for _ in range(3)], [[1] * 2000, [2] * 9]]
    engine = InfiniGramEngine(write_folder(tmp_path / "x", shards))
    for query, wanted, seed in [([1], 10, 0), ([1], 3, 1), ([2, 3], 4, 2), ([3], 1, 3), ([2] * 3, 5, 4), ([9], 5, 5)]:
        places = [
            (s, position)
            for s, (begin, end) in enumerate(engine.find(query)["segment_by_shard"])
            for position in engine._shards[s].positions(np.arange(begin, end)).tolist()
        ]
        expected: dict[int, tuple[int, int]] = {}
        draw, drawn = random.Random(seed), set[int]()
        while len(drawn) < len(places) // 2 and len(expected) < wanted:
            number = draw.randrange(len(places))
            if number not in drawn:
                drawn.add(number)
                s, position = places[number]
                expected.setdefault(engine.get_doc_by_ptr(s, 2 * position)["doc_ix"], (number, position))
        found = engine.search_docs(query, wanted, seed=seed)
        shown = [(doc["doc_ix"], number) for doc, number in zip(found["documents"], found["idxs"], strict=True)]
        assert shown[: len(expected)] == [(doc_ix, number) for doc_ix, (number, _) in expected.items()]
        assert len(shown) == min(wanted, len({engine.get_doc_by_ptr(s, 2 * at)["doc_ix"] for s, at in places}))


def test_a_draw_is_even(tmp_path: Path) -> None:
    """Of documents that hold a token as often, each is drawn as often as another."""
    engine = InfiniGramEngine(write_folder(tmp_path / "x", [[[1, 5]] * 6, [[2, 5]] * 4]))
    drawn = [engine.search_docs([5], 1, seed=seed)["documents"][0]["doc_ix"] for seed in range(600)]
    assert np.bincount(drawn, minlength=10).min() > 25


def test_a_document_at_its_separator_begins_at_0(tmp_path: Path) -> None:
    """Where infini-gram's needle_offset falls below 0 and wraps around, the document is shown from its start."""
    engine = InfiniGramEngine(write_folder(tmp_path / "x", [[[4, 5], [6, 7]]]))
    document = engine.get_doc_by_ptr(0, 6, 10)
    assert (document["doc_ix"], document["needle_offset"], document["token_ids"]) == (1, 0, [6, 7])
    assert engine.get_doc_by_ptr_2(0, 6, 0, 0)["token_ids"] == []


def test_unigrams_of_u8_are_read_as_numbers(tmp_path: Path) -> None:
    """infini-gram reads ids of u8 as characters; Lodex has the same log-probabilities from the file and without it."""
    folder = write_folder(tmp_path / "x", [[[65, 66, 65], [66]]], "u8", metadata=True)
    arguments = ([66, 65], [], 1, 9, False)
    spans = InfiniGramEngine(folder, precompute_unigram_logprobs=True).attribute(*arguments)["spans"]
    assert spans[0]["unigram_logprob_sum"] == pytest.approx(2 * np.log(2 / 6))
    (folder / "unigram.0").unlink()
    assert InfiniGramEngine(folder, precompute_unigram_logprobs=True).attribute(*arguments)["spans"] == spans
    assert InfiniGramEngine(folder).attribute(*arguments)["spans"][0]["unigram_logprob_sum"] == -20000.0


@pytest.mark.parametrize(
    ("field", "ask"),
    [
        ("input_ids[1]", lambda e: e.count([1, 70000])),
        ("input_ids[0]", lambda e: e.find([-1])),
        ("input_ids", lambda e: e.count("text")),
        ("input_ids", lambda e: e.count([1.5])),
        ("input_ids", lambda e: e.count([[1], [2, 3]])),
        ("input_ids", lambda e: e.creativity([None])),
        ("prompt_ids[0]", lambda e: e.prob([99999], 1)),
        ("cont_id", lambda e: e.prob([1], 65536)),
        ("cont_id", lambda e: e.infgram_prob([1], "a")),
        ("prompt_ids", lambda e: e.infgram_ntd([1 << 70])),
        ("prompt_ids[0]", lambda e: e.ntd([-5])),
        ("max_support", lambda e: e.ntd([1], 0)),
        ("max_support", lambda e: e.infgram_ntd([1], True)),
        ("cnf", lambda e: e.count_cnf([])),
        ("cnf[0]", lambda e: e.count_cnf([[]])),
        ("cnf[0][0]", lambda e: e.find_cnf([[[]]])),
        ("cnf[1][0][0]", lambda e: e.find_cnf([[[1]], [[99999]]])),
        ("max_diff_tokens", lambda e: e.count_cnf([[[1]]], max_diff_tokens=0)),
        ("max_clause_freq", lambda e: e.count_cnf([[[1]]], max_clause_freq=-1)),
        ("maxnum", lambda e: e.search_docs([1], maxnum=0)),
        ("max_disp_len", lambda e: e.search_docs([1], max_disp_len=0)),
        ("s", lambda e: e.get_doc_by_rank(3, 0)),
        ("rank", lambda e: e.get_doc_by_rank(0, 10**9)),
        ("ptr", lambda e: e.get_doc_by_ptr(0, -2)),
        ("doc_ix", lambda e: e.get_doc_by_ix(10**9)),
        ("needle_len", lambda e: e.get_doc_by_rank_2(0, 0, -1, 5)),
        ("max_ctx_len", lambda e: e.get_doc_by_ptr_2(0, 0, 1, None)),
        ("requests[0]", lambda e: e.get_docs_by_ranks_2([(0, 0)])),
        ("delim_ids[0]", lambda e: e.attribute([1], [-1], 1, 1, False)),
        ("min_len", lambda e: e.attribute([1], [], -1, 1, False)),
        ("max_cnt", lambda e: e.attribute([1], [], 1, 0, False)),
        ("enforce_bow", lambda e: e.attribute([1], [], 1, 1, 1)),
        ("s", lambda e: e.compute_unigram_counts(-1)),
        ("queries[1][0]", lambda e: e.count_many([[1], [-1]])),
        ("queries", lambda e: e.count_many(5)),
        ("offsets", lambda e: e.count_many(np.array([1, 2], np.uint16), np.array([0, 3]))),
        ("cont_ids", lambda e: e.prob_many([[1], [2]], [1])),
    ],
)
def test_what_is_wrong_is_named(field: str, ask: Callable[[InfiniGramEngine], Any], small: InfiniGramEngine) -> None:
    """Errors are exceptions that name the argument, never an answer that says error."""
    with pytest.raises(InvalidArgumentError) as caught:
        ask(small)
    assert caught.value.field == field


def test_arrays_and_tuples_are_queries_too(small: InfiniGramEngine) -> None:
    """Token ids come as lists, tuples or arrays of any integers."""
    expected = small.count([0, 1])
    for query in ((0, 1), np.array([0, 1]), np.array([0, 1], np.uint16), np.array([0, 1], np.int8)):
        assert small.count(query) == expected
        assert small.infgram_ntd(query) == small.infgram_ntd([0, 1])


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("eos_token_id", {"eos_token_id": 65536}),
        ("token_dtype", {"token_dtype": "u64"}),
        ("max_support", {"max_support": 0}),
        ("max_disp_len", {"max_disp_len": 0}),
        ("vocab_size", {"vocab_size": "many"}),
    ],
)
def test_a_constructor_names_what_is_wrong(field: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Wrong options are errors of the argument."""
    with pytest.raises(InvalidArgumentError) as caught:
        InfiniGramEngine(write_folder(tmp_path / "x", [[[1]]]), **options)
    assert caught.value.field == field


def test_ids_that_begin_words_are_read_from_a_file(tmp_path: Path) -> None:
    """A file that is missing, or has something else in it, is named."""
    folder = write_folder(tmp_path / "x", [[[1]]])
    with pytest.raises(NotFoundError, match="no-such"):
        InfiniGramEngine(folder, bow_ids_path=tmp_path / "no-such")
    (tmp_path / "bow").write_text("1\nword\n")
    with pytest.raises(InvalidArgumentError, match="bow"):
        InfiniGramEngine(folder, bow_ids_path=tmp_path / "bow")


# ------------------------------------------------------------------------------------ lodex.open


def test_open_knows_an_infini_gram_folder(tmp_path: Path) -> None:
    """A folder, or several, open as an engine; options of a store are refused; a store stays a store."""
    folders = [write_folder(tmp_path / name, [[[1, 2]]]) for name in ("a", "b")]
    with lodex.open(folders[0]) as engine:
        assert isinstance(engine, lodex.InfiniGramEngine)
    assert lodex.open(folders).count([1, 2]) == {"count": 2, "approx": False}
    assert lodex.open(str(folders[0]), eos_token_id=9).ntd([2])["result_by_token_id"] == {9: {"cont_cnt": 1, "prob": 1}}
    with pytest.raises(InvalidArgumentError, match="infini-gram"):
        lodex.open(folders[0], version=3)
    Store.create(tmp_path / "store")
    with lodex.open(tmp_path / "store") as store:
        assert store.name == "store"
    with pytest.raises(InvalidArgumentError, match="infini-gram"):
        lodex.open(tmp_path / "store", eos_token_id=1)
    with pytest.raises(LodexError):
        lodex.open([tmp_path / "store"])
