import random

import numpy as np
import pytest

from lodex.errors import InvalidArgumentError
from lodex.index.tokenizer import Tokenizer
from lodex.rerank.prompt import PromptBuilder, answer_ids, fair_limit, identifier_tokens
from lodex.rerank.template import Template, load_template
from tests.rerank.conftest import write_tokenizer

BEFORE = Template("before", "", "", "[{identifier}] {passage}\n", "Query: {query}\nRanking:")


@pytest.fixture(scope="module")
def tokenizer():
    """The bundled one."""
    return Tokenizer.load()


@pytest.mark.parametrize("template", [load_template(), BEFORE], ids=lambda t: t.name)
def test_a_prompt_reads_as_its_template(tokenizer, template):
    """The ids spell the filled template, begin with the start token and end in the open bracket."""
    builder = PromptBuilder(tokenizer, template, 0)
    prompt = builder.assemble("why [A]?", builder.read(["one  [B]\ntwo", "{query} é"]), 500)
    shown = ["one (B) two", "{query} é"]
    lines = [
        template.line.replace("{identifier}", letter).replace("{passage}", text)
        for letter, text in zip("AB", shown, strict=True)
    ]
    text = template.prefix.replace("{query}", "why (A)?") + "".join(lines)
    text += template.suffix.replace("{query}", "why (A)?") + "["
    assert prompt.ids[0] == 0
    assert tokenizer.decode(prompt.ids[1:]) == text
    assert prompt.ids[-1] == builder.open_id
    assert [tokenizer.decode(prompt.ids[1 : end + 1])[-1] for end in prompt.line_ends] == ["\n", "\n"]
    assert not prompt.truncated.any()


def test_no_prompt_is_longer_than_it_may_be(tokenizer):
    """Whatever the passages, the limit holds, what is whole is unmarked, and all that is cut has one length."""
    rng = random.Random(1)
    builder = PromptBuilder(tokenizer, load_template(), 0)
    for _ in range(50):
        texts = ["word " * rng.randint(0, 80) for _ in range(rng.randint(1, 26))]
        passages = builder.read(texts)
        limit = rng.randint(150, 700)
        prompt = builder.assemble("some words", passages, limit)
        lengths = np.array([len(passage.text) for passage in passages])
        assert len(prompt.ids) <= limit
        if prompt.truncated.any():
            assert limit - len(prompt.ids) < len(texts)
            assert lengths[prompt.truncated].min() > lengths[~prompt.truncated].max(initial=0)


def test_a_query_that_leaves_no_room_is_refused(tokenizer):
    """Too many candidates for the context are named, not dropped."""
    builder = PromptBuilder(tokenizer, load_template(), 0)
    with pytest.raises(InvalidArgumentError, match="leave 0 tokens for 8 passages"):
        builder.assemble("query " * 300, builder.read(["a"] * 8), 160)
    with pytest.raises(InvalidArgumentError, match="27 candidates"):
        builder.assemble("query", builder.read(["a"] * 27), 1000)


def test_fair_limit_is_the_largest_that_fits():
    """The limit is that of trying every length."""
    rng = random.Random(2)
    for _ in range(300):
        lengths = [rng.randint(0, 12) for _ in range(rng.randint(1, 6))]
        room = rng.randint(0, 40)
        fits = [limit for limit in range(60) if sum(min(n, limit) for n in lengths) <= room]
        got = fair_limit(lengths, room)
        assert sum(min(n, got) for n in lengths) <= room
        assert [min(n, got) for n in lengths] == [min(n, fits[-1]) for n in lengths]


def test_identifiers_are_the_bare_letters(tokenizer):
    """The ids are those of single characters, without a space before them."""
    open_id, letters = identifier_tokens(tokenizer)
    assert tokenizer.decode_tokens([open_id, *letters.tolist()]) == ["[", *map(chr, range(65, 91))]


def test_a_tokenizer_that_merges_identifiers_is_refused(tmp_path):
    """Scores are read from single tokens, so a merged one is an error when a model is loaded."""
    write_tokenizer(tmp_path / "merged", [("[", "Q")])
    with pytest.raises(InvalidArgumentError, match="reads '\\[Q\\]' as"):
        identifier_tokens(Tokenizer.load(tmp_path / "merged"))


def test_an_answer_follows_the_open_bracket(tokenizer):
    """What is learned continues the prompt: the ids after "[" spell the rest of the answer."""
    open_id, _ = identifier_tokens(tokenizer)
    assert tokenizer.decode(answer_ids(tokenizer, open_id, "[B] > [A]")) == "B] > [A]"


def test_a_chat_template_is_needed_where_the_template_says_so(tokenizer):
    """A template for instructed models does not go to a base model unnoticed."""
    with pytest.raises(InvalidArgumentError, match="chat template"):
        PromptBuilder(tokenizer, load_template("rank-zephyr"), 0)


def test_a_cut_before_tokenising_changes_no_prompt(tokenizer):
    """The prompt of long texts is the one that all of their tokens give, and a text cut short of its limit says so."""
    builder = PromptBuilder(tokenizer, load_template(), 0)
    texts = ["some words that go on " * 400, "few words"]
    whole, cut = builder.read(texts), builder.read(texts, 300)
    assert len(cut[0].text) < len(whole[0].text)
    assert (cut[0].is_cut, cut[1].is_cut) == (True, False)
    expected, got = builder.assemble("why", whole, 300), builder.assemble("why", cut, 300)
    assert got.ids.tolist() == expected.ids.tolist()
    assert got.truncated.tolist() == expected.truncated.tolist() == [True, False]
    (ruled,) = builder.read(["=" * 1000], 2)
    assert builder.assemble("why", [ruled], 300).truncated.tolist() == [True]
