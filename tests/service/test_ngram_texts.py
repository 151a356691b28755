"""Scores, longest matches and traces over a store with deleted documents, against looking at every document."""

import math
from typing import Any

import numpy as np
import pytest

from lodex.client import Client
from lodex.client.status import error_of
from lodex.errors import InvalidArgumentError
from lodex.types import SpanRanking, Trace
from lodex.v1 import common_pb2, ngram_pb2
from tests.service.tales import EOS, Tales

TEXT = "The cat ran on the hill, and a dog sat.\n東京 naïve Grapes on the mat. Unheard of"


@pytest.mark.parametrize(("support", "limit"), [(1, None), (3, None), (1, 2), (2, 0)])
@pytest.mark.parametrize("as_tokens", [False, True])
def test_every_token_is_scored(
    ask_tales: Client, tales: Tales, support: int, limit: int | None, as_tokens: bool
) -> None:
    """After the longest suffix of the tokens before it, the start of the document among them."""
    ids = tales.ids(TEXT)
    text: Any = [ids] if as_tokens else TEXT
    (scores,) = ask_tales.infgram_score("tales", text, min_support=support, max_suffix_length=limit)
    assert scores.token_ids.tolist() == ids
    document = [EOS, *ids]
    for i, token in enumerate(ids):
        context = document[: i + 1]
        length = tales.longest_suffix(context, support, limit)
        suffix = context[len(context) - length :]
        whole, part = tales.count(suffix), tales.count([*suffix, token])
        assert (scores.suffix_lengths[i], scores.suffix_counts[i]) == (length, whole)
        expected = math.log(part / whole) if part else -math.inf
        assert scores.log_probabilities[i] == pytest.approx(expected)


def test_the_longest_match_of_every_token_is_found(ask_tales: Client, tales: Tales) -> None:
    """Literally, in live documents alone."""
    ids = tales.ids(TEXT)
    (matches,) = ask_tales.longest_matches("tales", TEXT)
    lengths = [tales.longest_match(ids[i:]) for i in range(len(ids))]
    assert matches.lengths.tolist() == lengths
    assert matches.counts.tolist() == [tales.count(ids[i : i + n]) if n else 0 for i, n in enumerate(lengths)]


def everything(client: Client, text: Any, **options: Any) -> Trace:
    """The trace of a text with no rule but those given."""
    rules: dict[str, Any] = {"max_count": None, "max_density": 1, "delimiters": (), "partial_words": True}
    (trace,) = client.trace("tales", text, **{**rules, **options})
    return trace


def test_a_trace_has_the_maximal_spans(ask_tales: Client, tales: Tales) -> None:
    """Of the longest matches those that lie in no other, each with its count."""
    ids = tales.ids(TEXT)
    ends = [i + tales.longest_match(ids[i:]) for i in range(len(ids))]
    expected = [(i, end) for i, end in enumerate(ends) if end > max([i, *ends[:i]])]
    trace = everything(ask_tales, TEXT)
    assert [(span.begin, span.end) for span in trace.spans] == expected
    assert [span.count for span in trace.spans] == [tales.count(ids[begin:end]) for begin, end in expected]
    assert trace.token_ids.tolist() == ids


def test_spans_say_where_they_stand_in_the_text(ask_tales: Client, tales: Tales) -> None:
    """In bytes, and their documents hold them where they say; given as tokens they have no bytes."""
    texts = {document.doc_id: document.text.encode() for document in tales.documents}
    trace = everything(ask_tales, TEXT, max_documents=4)
    for span in trace.spans:
        assert TEXT.encode()[span.begin_byte : span.end_byte].decode(errors="replace") == span.text
        holders = {place.doc_id for place in span.occurrences}
        assert len(holders) == len(span.occurrences) > 0
        for place in span.occurrences:
            assert place.match == span.text
            assert texts[place.doc_id][place.begin : place.end].decode(errors="replace") == span.text
    by_tokens = everything(ask_tales, [tales.ids(TEXT)])
    assert [span.text for span in by_tokens.spans] == [span.text for span in trace.spans]
    assert {(span.begin_byte, span.end_byte) for span in by_tokens.spans} == {(0, 0)}


def test_unigrams_rank_the_spans(ask_tales: Client, tales: Tales) -> None:
    """By the sum over their tokens, or by length; as many are kept as the density says, in the order of the text."""
    ids, total = tales.ids(TEXT), tales.count([])
    whole = everything(ask_tales, TEXT)
    for span in whole.spans:
        unigrams = sum(math.log(tales.count([token]) / total) for token in ids[span.begin : span.end])
        assert span.unigram_log_probability == pytest.approx(unigrams)
    for ranking, key in (
        (SpanRanking.UNIGRAM, lambda span: round(span.unigram_log_probability, 9)),
        (SpanRanking.LENGTH, lambda span: span.begin - span.end),
    ):
        trace = everything(ask_tales, TEXT, ranking=ranking, max_density=0.1, max_documents=0)
        kept = sorted(whole.spans, key=key)[: math.ceil(0.1 * len(ids))]
        assert [span.begin for span in trace.spans] == sorted(span.begin for span in kept)
        assert not any(span.occurrences for span in trace.spans)


def test_spans_keep_to_lengths_and_counts(ask_tales: Client) -> None:
    """Shorter and more frequent ones are left out."""
    whole = everything(ask_tales, TEXT).spans
    chosen = everything(ask_tales, TEXT, min_length=3, max_count=2).spans
    assert [span.begin for span in chosen] == [s.begin for s in whole if s.end - s.begin >= 3 and s.count <= 2]
    assert 0 < len(chosen) < len(whole)


@pytest.mark.parametrize(("delimiters", "signs"), [(None, "\n."), ([","], ","), (["ill", "og"], ["ill", "og"])])
def test_no_span_goes_on_behind_a_delimiter(
    ask_tales: Client, tales: Tales, delimiters: list[str] | None, signs: list[str]
) -> None:
    """A token that holds one is at most the last of a span: a whole document is no span any more."""
    (document, *_) = (d for d in tales.documents if all(sign in d.text for sign in ".,\n"))
    assert len(everything(ask_tales, document.text).spans) == 1
    trace = everything(ask_tales, document.text, delimiters=delimiters)
    pieces = tales.tokenizer.decode_tokens(trace.token_ids)
    broken = [span for span in trace.spans if any(sign in pieces[span.end - 1] for sign in signs)]
    assert broken
    for span in trace.spans:
        assert not any(sign in piece for piece in pieces[span.begin : span.end - 1] for sign in signs)


def test_words_stay_whole(ask_tales: Client) -> None:
    """Unless partial words are asked for, no letter stands beside a letter where a span begins or ends."""
    text = "The cat, thereon a hillside ran matter"
    partial, whole = everything(ask_tales, text), everything(ask_tales, text, partial_words=False)
    for span in whole.spans:
        for at in (span.begin_byte, span.end_byte):
            assert not (text[at - 1 : at].isalnum() and text[at : at + 1].isalnum())
    assert any(
        text[at - 1 : at].isalnum() and text[at : at + 1].isalnum()
        for span in partial.spans
        for at in (span.begin_byte, span.end_byte)
    )


def test_a_filter_chooses_the_documents_of_spans(ask_tales: Client, tales: Tales) -> None:
    """The spans and their counts stay what they are."""
    sources = {document.doc_id: document.source for document in tales.documents}
    whole, chosen = everything(ask_tales, TEXT), everything(ask_tales, TEXT, where='source = "b"', max_documents=1000)
    assert [(s.begin, s.end, s.count) for s in chosen.spans] == [(s.begin, s.end, s.count) for s in whole.spans]
    assert {sources[place.doc_id] for span in chosen.spans for place in span.occurrences} == {"b"}


@pytest.mark.parametrize("method", ["infgram_score", "longest_matches", "trace"])
def test_an_empty_text_has_nothing(ask_tales: Client, method: str) -> None:
    """As text and as tokens, beside others."""
    answers = getattr(ask_tales, method)("tales", ["", [], "the cat"])
    assert [len(answer.token_ids) for answer in answers] == [0, 0, 2]


@pytest.mark.parametrize("method", ["InfgramScore", "LongestMatches", "Trace"])
def test_a_bad_text_fails_alone(ask_tales: Client, method: str) -> None:
    """By its place; the reply says what was read and worked on."""
    texts = [{}, {"tokens": {"ids": [1, 2**32 - 1]}}, {"text": "x" * (1 << 20 | 1)}, {"text": "the cat"}]
    request = getattr(ngram_pb2, f"{method}Request")(target=common_pb2.IndexRef(store="tales"), texts=texts)
    reply: Any = ask_tales.transport.unary("NgramService", method, request, 10)
    errors = [error_of(result.error) if result.HasField("error") else None for result in reply.results]
    fields = [getattr(error, "field", None) for error in errors]
    assert fields == ["texts[0]", "texts[1].tokens[1]", "texts[2].text", None]
    assert (reply.info.usage.items, reply.info.usage.tokens) == (4, 2)
    (source,) = reply.info.sources
    assert (source.store, source.index, source.segments_ok, source.segments_total) == ("tales", "suffix", 4, 4)


@pytest.mark.parametrize("method", ["InfgramScore", "LongestMatches", "Trace"])
@pytest.mark.parametrize("texts", [[{}] * 1025, [{"tokens": {"ids": [1] * (1 << 18)}}, {"tokens": {"ids": [1]}}]])
def test_too_much_text_is_refused_as_a_whole(ask_tales: Client, method: str, texts: list[Any]) -> None:
    """Too many texts, or too many tokens of all of them."""
    request = getattr(ngram_pb2, f"{method}Request")(target=common_pb2.IndexRef(store="tales"), texts=texts)
    with pytest.raises(InvalidArgumentError) as caught:
        ask_tales.transport.unary("NgramService", method, request, 10)
    assert caught.value.field == "texts"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"min_length": 0}, "min_length"),
        ({"max_count": -1}, "max_count"),
        ({"max_density": 0.0}, "max_density"),
        ({"max_density": 1.001}, "max_density"),
        ({"max_density": math.nan}, "max_density"),
        ({"ranking": 99}, "ranking"),
        ({"max_documents": -1}, "max_documents"),
        ({"max_documents": 1001}, "max_documents"),
        ({"context_tokens": 1001}, "context_tokens"),
        ({"delimiters": [""]}, "delimiters[0]"),
        ({"delimiters": ["a", "b" * 65]}, "delimiters[1]"),
        ({"delimiters": ["a"] * 65}, "delimiters"),
        ({"delimiters": ["a"], "undelimited": True}, "delimiters"),
        ({"filter": {}}, "filter.predicate"),
        ({"texts": [{"tokens": {"ids": [1] * 300}}], "max_density": 1.0, "max_documents": 1000}, "max_documents"),
    ],
)
def test_a_hostile_rule_of_a_trace_is_refused(ask_tales: Client, fields: dict[str, Any], field: str) -> None:
    """By its name, before any text is read."""
    request = ngram_pb2.TraceRequest(target=common_pb2.IndexRef(store="tales"), **fields)
    with pytest.raises(InvalidArgumentError) as caught:
        ask_tales.transport.unary("NgramService", "Trace", request, 10)
    assert caught.value.field == field


@pytest.mark.parametrize("method", ["InfgramScore", "InfgramProb", "InfgramNextTokenDistribution"])
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"min_support": 0}, "min_support"),
        ({"min_support": -(2**63)}, "min_support"),
        ({"max_suffix_length": -1}, "max_suffix_length"),
    ],
)
def test_a_hostile_support_is_refused(ask_tales: Client, method: str, fields: dict[str, Any], field: str) -> None:
    """By its name."""
    request = getattr(ngram_pb2, f"{method}Request")(target=common_pb2.IndexRef(store="tales"), **fields)
    with pytest.raises(InvalidArgumentError) as caught:
        ask_tales.transport.unary("NgramService", method, request, 10)
    assert caught.value.field == field


@pytest.mark.parametrize(("support", "limit"), [(1, None), (4, None), (1, 2), (2**62, None)])
def test_an_infgram_needs_its_support(ask_tales: Client, tales: Tales, support: int, limit: int | None) -> None:
    """Prompts are cut to the longest suffix that occurs so often; beyond all counts nothing of them is used."""
    prompt = tales.ids("a dog sat on the cat")
    length = tales.longest_suffix(prompt, support, limit)
    suffix = prompt[len(prompt) - length :]
    options: Any = {"min_support": support, "max_suffix_length": limit}
    (distribution,) = ask_tales.infgram_ntd("tales", [prompt], top_k=None, **options)
    assert (distribution.suffix_length, distribution.prompt_count) == (length, tales.count(suffix))
    following = {int(t): tales.count([*suffix, int(t)]) for t in distribution.token_ids if t != tales.tokenizer.eos_id}
    got = dict(zip(distribution.token_ids.tolist(), distribution.counts.tolist(), strict=True))
    assert {token: n for token, n in got.items() if token in following} == following
    assert np.sum(distribution.counts) == distribution.prompt_count
    (probability,) = ask_tales.infgram_prob("tales", [prompt], [tales.ids(" ran")], **options)
    assert (probability.suffix_length, probability.prompt_count) == (length, tales.count(suffix))
    assert probability.continuation_count == tales.count([*suffix, *tales.ids(" ran")])
