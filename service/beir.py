"""Retrieval collections in the form of BEIR (arXiv:2104.08663): corpus and queries as JSON lines, judgements as TSV."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lodex.errors import InputError, NotFoundError
from lodex.types import Document

Qrels = dict[str, dict[str, int]]


def read_corpus(path: Path) -> Iterator[Document]:
    """The documents of a `corpus.jsonl`: `_id`, `text`, and `title` where there is one."""
    for line, record in _objects(path):
        yield Document(_string(record, "_id", path, line), _string(record, "text", path, line), title=_title(record))


def read_queries(path: Path) -> dict[str, str]:
    """The queries of a `queries.jsonl` by `_id`, in the order of the file."""
    return {_string(record, "_id", path, line): _string(record, "text", path, line) for line, record in _objects(path)}


def read_qrels(path: Path) -> Qrels:
    """Judgements by query and document: a header line, then query id, document id and grade between tabs."""
    qrels: Qrels = {}
    for line, text in _lines(path):
        if line == 1:
            continue
        try:
            query, document, grade = text.split("\t")
            qrels.setdefault(query, {})[document] = int(grade)
        except ValueError as error:
            raise InputError(f"expected query id, document id and grade, got {text!r}", str(path), line) from error
    return qrels


def _title(record: dict[str, Any]) -> str:
    return str(record.get("title") or "")


def _string(record: dict[str, Any], field: str, path: Path, line: int) -> str:
    if not isinstance(record.get(field), str):
        raise InputError(f"no string in field {field!r}", str(path), line)
    return str(record[field])


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in _lines(path):
        try:
            record = json.loads(text)
        except ValueError as error:
            raise InputError(f"not JSON: {error}", str(path), line) from error
        if not isinstance(record, dict):
            raise InputError("not a JSON object", str(path), line)
        yield line, record


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Every line that is not blank, with its number from 1."""
    try:
        with path.open(encoding="utf-8") as file:
            for line, text in enumerate(file, 1):
                if text.strip():
                    yield line, text.rstrip("\r\n")
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: {error}", str(path)) from error
