"""Rerankings: what the clients ask for, and which arguments they refuse."""

from typing import Any

import pytest

from lodex.client import Client, rerank
from lodex.errors import InvalidArgumentError
from lodex.types import Candidate, Hit, Passage
from lodex.v1 import rerank_pb2


def test_candidates_are_sent_as_what_they_are(server: Any, ask: Any) -> None:
    """Texts, candidates with a title, passages of a store by their id, and hits with text and title."""
    server.on("RerankService.Rerank", rerank_pb2.RerankResponse())
    hit = Hit(Passage("d#1", "d", 1, 0, 4, "text", "0" * 32, title="T"), 0.5)
    given = ["a", Candidate("b", "title", "id"), Candidate(passage_id="d#0"), hit]
    ask("rerank", "q", given, top_n=3, window=4)
    (request,) = server.requests
    (query,) = request.queries
    sent = [(c.id, c.title, c.WhichOneof("content"), c.text or c.passage_id) for c in query.candidates]
    assert sent == [
        ("", "", "text", "a"),
        ("id", "title", "text", "b"),
        ("d#0", "", "passage_id", "d#0"),
        ("d#1", "T", "text", "text"),
    ]
    assert (request.top_n, request.options.window, request.options.HasField("stride")) == (3, 4, False)


@pytest.mark.parametrize(
    ("candidates", "arguments", "field"),
    [
        (["a", None], {}, "queries[0].candidates[1]"),
        ([3], {}, "queries[0].candidates[0]"),
        (["\ud800"], {}, "queries[0].candidates[0].text"),
        ([Candidate("a", title="\ud800")], {}, "queries[0].candidates[0].title"),
        ([Candidate(text=3)], {}, "queries[0].candidates[0].text"),  # type: ignore[arg-type]
        ("a", {}, "candidates[0]"),
        (None, {}, "candidates[0]"),
        (["a"], {"top_n": 2**40}, "top_n"),
        (["a"], {"window": -(2**40)}, "options.window"),
        (["a"], {"stride": "x"}, "options.stride"),
    ],
    ids=repr,
)
def test_wrong_arguments_are_refused_by_name(candidates: Any, arguments: dict[str, Any], field: str) -> None:
    """Before anything is sent, at the call."""
    with Client("nowhere:1") as client:
        with pytest.raises(InvalidArgumentError) as caught:
            client.rerank("q", candidates, **arguments)
        assert caught.value.field == field
    with pytest.raises(InvalidArgumentError):
        rerank.rerank_stream("q", candidates, **arguments)
