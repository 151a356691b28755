"""Reading BEIR collections: what is in the files, and what is wrong with them, by line."""

from pathlib import Path

import pytest

from lodex.errors import InputError, NotFoundError
from lodex.service.beir import read_corpus, read_qrels, read_queries
from lodex.types import Document


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_corpus_is_read_as_documents(tmp_path: Path) -> None:
    """Ids, titles and texts, a title that is missing or null being empty; blank lines are passed over."""
    path = write(
        tmp_path / "corpus.jsonl",
        '{"_id": "1", "title": "Été", "text": "one"}\n\n'
        '{"_id": "2", "text": ""}\n{"_id": "3", "title": null, "text": "x"}',
    )
    assert list(read_corpus(path)) == [Document("1", "one", title="Été"), Document("2", ""), Document("3", "x")]


def test_queries_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """By id, further fields ignored."""
    path = write(
        tmp_path / "queries.jsonl", '{"_id": "b", "text": "two", "answers": []}\n{"_id": "a", "text": "one"}\n'
    )
    assert list(read_queries(path).items()) == [("b", "two"), ("a", "one")]


def test_judgements_are_grouped_by_query(tmp_path: Path) -> None:
    """The header is no judgement; grades are numbers, 0 included."""
    path = write(tmp_path / "qrels.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td1\t1\nq1\td2\t0\n")
    assert read_qrels(path) == {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": 1}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"_id": "1", "text": "x"}\n{"_id": ', r"corpus\.jsonl:2: not JSON"),
        ("[1]\n", r"corpus\.jsonl:1: not a JSON object"),
        ('{"_id": 1, "text": "x"}\n', r"corpus\.jsonl:1: no string in field '_id'"),
        ('\n{"_id": "1"}\n', r"corpus\.jsonl:2: no string in field 'text'"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    """File, line and what was expected."""
    with pytest.raises(InputError, match=complaint):
        list(read_corpus(write(tmp_path / "corpus.jsonl", text)))


@pytest.mark.parametrize("line", ["q1\td1", "q1\td1\thigh", "q1 0 d1 1"])
def test_a_judgement_of_another_form_is_named(tmp_path: Path, line: str) -> None:
    """Two columns, a grade in words or another separator are refused at their line."""
    with pytest.raises(InputError, match=r"qrels\.tsv:2: expected query id, document id and grade"):
        read_qrels(write(tmp_path / "qrels.tsv", f"query-id\tcorpus-id\tscore\n{line}\n"))


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    """No traceback of the operating system."""
    with pytest.raises(NotFoundError, match=r"queries\.jsonl"):
        read_queries(tmp_path / "queries.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"_id": "1", "text": "\xe9"}')
    with pytest.raises(InputError, match=r"latin\.jsonl: not UTF-8"):
        read_queries(tmp_path / "latin.jsonl")
