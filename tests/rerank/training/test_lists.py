from dataclasses import fields

import numpy as np
import pytest

from lodex.errors import FailedPreconditionError
from lodex.index.store import Store
from lodex.index.tokenizer import Tokenizer
from lodex.rerank.prompt import PromptBuilder, answer_ids
from lodex.rerank.template import Template, load_template
from lodex.rerank.training.lists import ListMaker, Lists, ListShape, teacher_ranks
from lodex.rerank.training.pool import Pool, PooledPassage
from lodex.rerank.training.queries import MIXED, Kind, draw

SUFFIX_ONLY = Template("suffix", "", "", "[{identifier}] {passage}\n", "Query: {query}\nRanking:")
NOUNS = ["cat", "river", "letter", "engine", "tenant", "sauce", "rocket", "fugue", "lake", "court"]


def passage(i, rng):
    words = [NOUNS[j] for j in rng.integers(len(NOUNS), size=30)]
    sentences = tuple(f"Item {i} has {' '.join(words[k : k + 6])}." for k in range(0, 30, 6))
    return PooledPassage(f"Title {i}" if i % 2 else "", sentences, i // 3, i % 3)


@pytest.fixture(scope="module")
def pool():
    """120 passages of 40 documents with random vectors."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(120, 16)).astype(np.float32)
    return Pool([passage(i, rng) for i in range(120)], vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.fixture(scope="module")
def tokenizer():
    """The bundled one."""
    return Tokenizer.load()


def maker(pool, tokenizer, template, **shape):
    builder = PromptBuilder(tokenizer, template, tokenizer.eos_id)
    return ListMaker(
        pool,
        builder,
        tokenizer.eos_id,
        lambda text: answer_ids(tokenizer, builder.open_id, text),
        ListShape(**shape),
    )


def test_neighbours_are_those_of_brute_force(pool):
    """The nearest passages by inner product, never the passage itself."""
    rows = np.array([0, 7, 119])
    for row, found in zip(rows, pool.neighbours(rows, 10), strict=True):
        scores = pool.vectors @ pool.vectors[row]
        wanted = [i for i in np.argsort(-scores, kind="stable") if i != row][:10]
        assert found.tolist() == wanted


@pytest.mark.parametrize("template", [load_template(), SUFFIX_ONLY], ids=lambda t: t.name)
@pytest.mark.parametrize("kind", ["easy", "mixed", "single"])
def test_lists_hold_what_they_say(pool, tokenizer, template, kind):
    """Positions are open brackets that the best identifier follows, ranks have one best, targets spell the answers."""
    lists = getattr(maker(pool, tokenizer, template, context=384, queries=3), kind)(20, 1)
    letters = [int(i) for i in PromptBuilder(tokenizer, template, 0).letter_ids]
    queries = 1 if template.is_query_first or kind == "single" else 3
    assert lists.positions.shape == (20, queries)
    for row in range(20):
        for number in range(queries):
            place = lists.positions[row, number]
            ranks = lists.ranks[row, number]
            assert tokenizer.decode([int(lists.ids[row, place])]) == "["
            assert (ranks == 1).sum() == 1
            assert lists.ids[row, place + 1] == letters[int(np.flatnonzero(ranks == 1)[0])]
            assert lists.is_target[row, place + 1]
        n = int((lists.ranks[row, 0] > 0).sum())
        assert n in ((2, 3, 4) if kind == "easy" else (8,))
        answer = tokenizer.decode(lists.ids[row][lists.is_target[row]])
        assert answer.count("]") == n + queries - 1
        assert (lists.line_ends[row, :n] > 0).all()
        assert not lists.is_target[row, : lists.positions[row, 0] + 1].any()


def test_the_same_seed_makes_the_same_lists(pool, tokenizer, tmp_path):
    """Lists are a function of pool, template and seed, and survive the disk."""
    make = maker(pool, tokenizer, load_template())
    one, again, other = make.mixed(8, 1), make.mixed(8, 1), make.mixed(8, 2)
    one.save(tmp_path / "lists.safetensors")
    read = Lists.load(tmp_path / "lists.safetensors")
    for field in fields(Lists):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(again, field.name))
        np.testing.assert_array_equal(getattr(one, field.name), getattr(read, field.name))
    assert not np.array_equal(one.ids, other.ids)


def test_no_list_has_two_passages_that_follow_one_another(pool, tokenizer):
    """Neighbours in a document may both be right, so they never compete."""
    rng = np.random.default_rng(0)
    for members in maker(pool, tokenizer, load_template())._members(100, False, 0.5, rng):
        assert len(set(members)) == 8
        assert not any(pool.are_adjacent(a, b) for a in members for b in members if a < b)


def test_a_removed_sentence_and_a_title_are_not_shown(pool):
    """What the query repeats word for word is not in what is shown, unless the kind says so."""
    rng = np.random.default_rng(5)
    seen = set()
    for i in range(400):
        drawn = draw(pool.passages[i % 120], MIXED, rng)
        seen.add(drawn.kind)
        if drawn.kind in (Kind.TITLE, Kind.REMOVED):
            assert drawn.query not in drawn.shown
        elif drawn.kind is Kind.KEPT:
            assert drawn.query in drawn.shown
        else:
            assert set(drawn.query.split()) <= {word.strip(".") for word in drawn.shown.split()}
    assert seen == set(Kind)


def test_the_teacher_ties_what_it_cannot_tell_apart():
    """The best is first, the others fall into steps of 0.1."""
    similarities = np.array([0.31, 0.99, 0.55, 0.52, -0.2, 0.38])
    assert teacher_ranks(3, similarities).tolist() == [4, 2, 3, 1, 6, 4]


def test_a_store_without_enough_passages_is_refused(tmp_path):
    """An index that is not dense, or too small a store, is named before anything is trained."""
    from lodex.index.build import build_index
    from lodex.index.passages import PassagesBuilder
    from lodex.rerank.training.pool import read_pools
    from lodex.types import Document

    store = Store.create(tmp_path / "store")
    store.add([Document("a", "text")])
    build_index(store, "180w", PassagesBuilder())
    with pytest.raises(FailedPreconditionError, match="kind 'passages'"):
        read_pools(store.snapshot(), "180w", 0.1)
