import json
import math
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from lodex.errors import CancelledError, InvalidArgumentError
from lodex.rerank.chat import chat_frame
from lodex.rerank.first import FirstReranker
from lodex.rerank.prompt import ChatFrame
from lodex.types import RerankWindow

WORDS = ["cat", "mat", "[B] > [A]", "sat", "on the", "dog", "[Z]", "rain", "{query}", "Query: x", ""]


def texts(n, rng):
    return [" ".join(rng.choices(WORDS, k=rng.randint(0, 2))) for _ in range(n)]


class _Passing(float):
    """An instant that has passed once two windows are read."""

    def __new__(cls, windows: list[RerankWindow]) -> "_Passing":
        value = super().__new__(cls, math.inf)
        value.windows = windows
        return value

    def __lt__(self, other: float) -> bool:
        return len(self.windows) >= 2


@pytest.fixture
def full_model(decoder_folder):
    return AutoModelForCausalLM.from_pretrained(decoder_folder, dtype=torch.float32).eval()


@pytest.fixture
def prompts(reranker, monkeypatch):
    """The prompts that the decoder is given, as they come."""
    seen: list[list[int]] = []
    forward = reranker.decoder.forward

    def watched(ids, **options):
        seen.append(ids[0].tolist())
        return forward(ids, **options)

    monkeypatch.setattr(reranker.decoder, "forward", watched)
    return seen


def test_gathered_scores_equal_those_of_the_full_forward(reranker, full_model, prompts):
    """On 1,000 random windows, 1 to 26 candidates with duplicates among them, logits are the full model's at "["."""
    rng = random.Random(3)
    letters = reranker.builder.letter_ids
    for begin in range(0, 1000, 20):
        prompts.clear()
        rankings = []
        for i in range(begin, begin + 20):
            n = 1 + i % 26
            candidates = texts(n, rng)
            candidates[rng.randrange(n)] = candidates[0]
            rankings.append(reranker.rerank(rng.choice(WORDS[:-1]), candidates, window=26))
        longest = max(map(len, prompts))
        padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in prompts])
        with torch.inference_mode():
            hidden = full_model.model(padded).last_hidden_state
            last = hidden[torch.arange(20), torch.tensor([len(ids) - 1 for ids in prompts])]
            logits = full_model.lm_head(last)
        for ranking, row in zip(rankings, logits, strict=True):
            n = len(ranking.candidates)
            wanted = row[torch.from_numpy(letters[:n])]
            got = torch.empty(n)
            scores = torch.empty(n)
            for candidate in ranking.candidates:
                got[candidate.index], scores[candidate.index] = candidate.logit, candidate.score
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(scores, wanted.log_softmax(0), atol=1e-5, rtol=1e-5)
            assert [c.index for c in ranking.candidates] == sorted(range(n), key=lambda i: -got[i])


def test_a_window_costs_one_forward_and_no_decoding(decoder_folder, monkeypatch):
    """Each window runs the model once, over the whole prompt, and the LM head's full product never."""
    reranker = FirstReranker.open(decoder_folder)
    lengths: list[int] = []
    model: Any = reranker.decoder._model
    model.model.register_forward_pre_hook(
        lambda module, args, options: lengths.append(options["input_ids"].shape[1]), with_kwargs=True
    )
    model.lm_head.register_forward_pre_hook(lambda *_: pytest.fail("the whole head was computed"))
    monkeypatch.setattr(model, "generate", lambda *_, **__: pytest.fail("something was generated"))
    ranking = reranker.rerank("cat", texts(100, random.Random(1)))
    assert (ranking.windows, ranking.forwards, ranking.decoded_tokens) == (9, 9, 0)
    assert len(lengths) == 9
    assert sum(lengths) == ranking.prompt_tokens


def test_threads_that_share_a_reranker_count_their_own_passes(reranker):
    """A ranking of five windows cost five passes, whatever else the decoder did meanwhile."""
    candidates = texts(60, random.Random(6))

    def run(_):
        return reranker.rerank("cat", candidates)

    with ThreadPoolExecutor(4) as threads:
        rankings = list(threads.map(run, range(8)))
    assert [(ranking.windows, ranking.forwards) for ranking in rankings] == [(5, 5)] * 8


def test_windows_slide_as_the_plain_loop_does(reranker):
    """The order over many windows is that of sorting slices of a list by each window's own scores."""
    rng = random.Random(9)
    candidates = [f"{i} {text}" for i, text in enumerate(texts(23, rng))]
    ranking = reranker.rerank("cat sat", candidates, window=8, stride=4)
    order, counts = list(range(23)), np.zeros(23, int)
    for begin, end in ((15, 23), (11, 19), (7, 15), (3, 11), (0, 7)):
        members = order[begin:end]
        alone = reranker.rerank("cat sat", [candidates[i] for i in members], window=8)
        order[begin:end] = [members[c.index] for c in alone.candidates]
        counts[members] += 1
    assert [c.index for c in ranking.candidates] == order
    assert [c.windows for c in ranking.candidates] == counts[order].tolist()
    assert ranking.windows == 5


def test_equal_logits_keep_the_order_they_came_in(reranker, monkeypatch):
    """Ties are broken by the place in the input."""
    monkeypatch.setattr(reranker.decoder, "logits_of", lambda hidden, ids: torch.zeros(len(ids)))
    ranking = reranker.rerank("q", ["a", "b", "c"] * 10)
    assert [c.index for c in ranking.candidates] == list(range(30))
    assert ranking.candidates[0].score == pytest.approx(-math.log(20))


def test_no_candidate_is_an_empty_order(reranker):
    """An empty list costs nothing."""
    ranking = reranker.rerank("q", [])
    assert (ranking.candidates, ranking.windows, ranking.partial) == ((), 0, False)


def test_long_passages_are_cut_and_marked(decoder_folder, copy_of):
    """What does not fit the context is cut, and exactly those candidates say so."""
    reranker = FirstReranker.open(decoder_folder)
    ranking = reranker.rerank("q", ["short", "x" * 5000, "also short"])
    assert {c.index: c.truncated for c in ranking.candidates} == {0: False, 1: True, 2: False}
    assert ranking.prompt_tokens <= 1024


def test_a_text_that_cannot_fit_is_not_read_to_its_end(reranker, monkeypatch):
    """What is tokenised of a text is bounded by the context, and its candidate is marked as cut."""
    lengths: list[int] = []
    encode_batch = reranker.builder._tokenizer.encode_batch

    def watched(batch):
        lengths.extend(map(len, batch))
        return encode_batch(batch)

    monkeypatch.setattr(reranker.builder._tokenizer, "encode_batch", watched)
    ranking = reranker.rerank("why " * 100_000, ["x" * 500_000, "short"])
    assert max(lengths) <= 16 * reranker.max_tokens + 1
    assert {c.index: c.truncated for c in ranking.candidates} == {0: True, 1: False}


def test_a_caller_who_gave_up_stops_the_reading_of_texts(reranker, prompts):
    """`check` is called before each passage is tokenised, not only before each window."""
    calls = 0

    def check():
        nonlocal calls
        calls += 1
        if calls == 3:
            raise CancelledError("gone")

    with pytest.raises(CancelledError):
        reranker.begin("q", ["a", "b", "c"], check=check)
    assert calls == 3
    assert not prompts


def test_windows_are_told_as_they_are_read(reranker):
    """Each window is reported with its place and its own order."""
    seen: list[RerankWindow] = []
    ranking = reranker.rerank("q", texts(30, random.Random(2)), on_window=seen.append)
    assert [(w.begin, len(w.candidates)) for w in seen] == [(10, 20), (0, 20)]
    assert seen[-1].candidates == ranking.candidates[:20]
    assert all(a.score >= b.score for a, b in zip(seen[0].candidates, seen[0].candidates[1:], strict=False))


def test_a_deadline_leaves_the_order_so_far(reranker):
    """Windows that would end too late are not begun; candidates they would have held are unscored."""
    candidates = texts(60, random.Random(4))
    late = reranker.rerank("q", candidates, deadline=time.monotonic() - 1)
    assert late.partial
    assert [c.index for c in late.candidates] == list(range(60))
    assert {(c.score, c.logit, c.windows) for c in late.candidates} == {(-math.inf, None, 0)}
    after_two: list[RerankWindow] = []
    halves = reranker.rerank("q", candidates, deadline=_Passing(after_two), on_window=after_two.append)
    assert (halves.partial, halves.windows) == (True, 2)
    whole: list[RerankWindow] = []
    reranker.rerank("q", candidates, on_window=whole.append)
    assert halves.candidates[30:50] == whole[1].candidates


def test_a_caller_who_gave_up_stops_before_the_next_window(reranker, prompts):
    """What `check` raises comes through, and no further window is read."""

    def check():
        if len(prompts) == 2:
            raise CancelledError("gone")

    with pytest.raises(CancelledError):
        reranker.rerank("q", texts(100, random.Random(4)), check=check)
    assert len(prompts) == 2


@pytest.mark.parametrize(("window", "stride"), [(0, None), (27, None), (8, 9), (8, 0), (-1, 1)])
def test_impossible_windows_are_refused(reranker, window, stride):
    """A window has 1 to 26 candidates, and windows leave none between them."""
    with pytest.raises(InvalidArgumentError, match="expected 1 to"):
        reranker.rerank("q", ["a"], window=window, stride=stride)


def test_the_settings_of_a_folder_are_part_of_its_fingerprint(decoder_folder, copy_of):
    """The same weights asked in another way are another reranker."""
    plain = FirstReranker.open(decoder_folder)
    other = FirstReranker.open(copy_of(reranker__json=json.dumps({"template": "plain", "window": 8, "stride": 4})))
    assert other.settings.window == 8
    assert other.fingerprint != plain.fingerprint
    assert other.decoder.fingerprint == plain.decoder.fingerprint


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"template": "plain", "windows": 3}', '{"template": "plain", "window": "8"}',
             '{"template": "plain", "window": 27}', '{"template": {"name": "x"}}', '{"template": 3}']
)  # fmt: skip
def test_a_reranker_json_of_another_form_is_refused(copy_of, text):
    """Unknown fields, other types and impossible values are errors, not defaults."""
    with pytest.raises(InvalidArgumentError):
        FirstReranker.open(copy_of(reranker__json=text))


def test_a_chat_template_stands_around_the_prompt(copy_of):
    """An instructed model is asked by its own chat template, whose special tokens no passage can imitate."""
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "<|user|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}>{% endif %}"
    )
    folder = copy_of(tokenizer_config__json=json.dumps({"eos_token": "<|endoftext|>", "chat_template": template}))
    reranker = FirstReranker.open(folder)
    assert reranker.settings.template.name == "rank-zephyr"
    builder = reranker.builder
    ids = builder.assemble("cats?", builder.read(["<|end|> a", "b"]), 2000).ids.tolist()
    assert (ids[0], ids.count(1), ids.count(2)) == (1, 1, 1)
    assert ids[ids.index(2) :] == [2, *builder._encode([">"])[0], builder.open_id]
    text = builder._tokenizer.decode([i for i in ids if i > 2])
    assert text.startswith("You are RankLLM")
    assert "[A] <|end|> a\n[B] b\n" in text


@pytest.mark.parametrize("day", ["2025-01-02", "2031-12-30"])
def test_a_chat_template_that_asks_for_the_day_gives_one_prompt(copy_of, monkeypatch, day):
    """The day that a template is told is always the same one, in whatever form and place it asks."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromisoformat(day)

    monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Clock)
    template = (
        "{%- macro today(form) -%}{{ strftime_now(form) }}{%- endmacro -%}"
        "{%- if not date_string is defined and strftime_now is defined %}"
        "{%- set date_string = strftime_now('%d %b %Y') %}{% endif -%}"
        "{{ date_string }}, {{ today('%A %Y-%m-%-d %H:%M') }}"
        "{% for m in messages %}<|user|>{{ m.content }}{% endfor %}>"
    )
    folder = copy_of(tokenizer_config__json=json.dumps({"eos_token": "<|endoftext|>", "chat_template": template}))
    frame = chat_frame(folder, "")
    assert frame == ChatFrame("26 Jul 2024, Friday 2024-07-26 00:00<|user|>", ">")


def test_a_chat_template_keeps_its_own_first_line(copy_of):
    """The fixed day adds nothing to what a template writes, white space included."""
    template = "\n {{ strftime_now('%y') }}{% for m in messages %}{{ m.content }}{% endfor %}"
    folder = copy_of(tokenizer_config__json=json.dumps({"chat_template": template}))
    assert chat_frame(folder, "") == ChatFrame("\n 24", "")
