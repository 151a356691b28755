"""Retrieval scores by hand and by the libraries, and the ranking of documents by their best passages."""

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from lodex.cli.app import app
from lodex.cli.eval import eval_app
from lodex.embed.registry import load_encoder
from lodex.errors import FingerprintMismatchError, InvalidArgumentError
from lodex.index.build import build_index
from lodex.index.dense import DenseIndex
from lodex.index.dense_build import DenseBuilder
from lodex.index.passages import PassagesBuilder
from lodex.index.store import Store
from lodex.service.beir import read_qrels
from lodex.service.evaluation import judged, rank_documents, retrieve, score_run
from lodex.types import Document, Embeddings, EncoderInfo

DATA = Path(os.environ.get("LODEX_DATA", Path(__file__).resolve().parents[2] / "../shared/data"))


def test_scores_are_those_computed_by_hand() -> None:
    """Graded gain over log2 of the rank, share of the relevant found, reciprocal of the first relevant rank."""
    qrels = {"q1": {"a": 2, "b": 1, "c": 0}, "q2": {"d": 1}, "q3": {"e": 1}}
    run = {"q1": ["b", "c", "a"], "q2": [*(f"x{i}" for i in range(10)), "d"]}
    scores = score_run(run, qrels)
    ideal = 2 + 1 / math.log2(3)
    assert scores.ndcg_at_10 == pytest.approx((1 + 2 / math.log2(4)) / ideal / 3)
    assert scores.recall_at_100 == pytest.approx((1 + 1 + 0) / 3)
    assert scores.mrr_at_10 == pytest.approx(1 / 3)
    assert scores.queries == 3


def test_the_order_of_a_ranking_counts() -> None:
    """Documents whose ids fall or rise are scored by where they stand: ties are not broken anew."""
    qrels = {"q": {"m": 1}}
    assert score_run({"q": ["a", "m", "z"]}, qrels).mrr_at_10 == 0.5
    assert score_run({"q": ["z", "m", "a"]}, qrels).mrr_at_10 == 0.5


def test_no_judgements_are_refused() -> None:
    """A mean over nothing is no score."""
    with pytest.raises(InvalidArgumentError, match="no judgements"):
        score_run({}, {})


def test_only_judged_queries_are_asked() -> None:
    """In the order of the queries; a judgement of a query without text is an error."""
    queries = {"q2": "two", "q1": "one", "q3": "three"}
    assert list(judged(queries, {"q1": {}, "q2": {}})) == ["q2", "q1"]
    with pytest.raises(InvalidArgumentError, match="'q9'"):
        judged(queries, {"q9": {"d": 1}})


def index_of(path: Path, vectors: dict[str, list[float]], documents: list[Document]) -> DenseIndex:
    """An index whose passages, of one word each, have the vectors given."""

    def embed(texts: Sequence[str], advance: Callable[[int], None]) -> Embeddings:
        rows: npt.NDArray[np.float32] = np.array([vectors[text.split()[0]] for text in texts], np.float32)
        return Embeddings(rows, np.zeros(len(texts), np.bool_))

    store = Store.create(path)
    store.add(documents)
    build_index(store, "180w", PassagesBuilder("180w"))
    info = EncoderInfo(name="words", fingerprint="words", dimension=2, max_tokens=9, normalized=True)
    return DenseIndex(build_index(store, "dense", DenseBuilder("180w", info, embed)))


def test_a_document_stands_where_its_best_passage_stands(tmp_path: Path) -> None:
    """However many passages a document has, it is listed once, and documents are fetched until there are enough."""
    long = "\n\n".join(["near " * 170] * 60 + ["best " * 170])
    vectors = {"near": [0.9, 0.1], "best": [1.0, 0.0], "far": [0.0, 1.0], "mid": [0.5, 0.5]}
    documents = [Document("far", "far"), Document("long", long), Document("mid", "mid")]
    index = index_of(tmp_path / "store", vectors, documents)
    assert index.num_passages == 63
    ranked = rank_documents(index, np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), 3)
    assert ranked == [["long", "mid", "far"], ["far", "mid", "long"]]
    assert rank_documents(index, np.array([[1.0, 0.0]], np.float32), 2) == [["long", "mid"]]


def test_an_encoder_of_another_index_is_refused(tmp_path: Path) -> None:
    """Scores of vectors that were never meant for each other are not given."""
    index = index_of(tmp_path / "store", {"word": [1.0, 0.0]}, [Document("a", "word")])
    other = SimpleNamespace(info=replace(index.encoder, fingerprint="others"))
    with pytest.raises(FingerprintMismatchError):
        retrieve(index, other, {"q": "word"})


# ------------------------------------------------------------------------------------------ the verb


@pytest.fixture
def collection(tmp_path: Path) -> list[str]:
    """Three documents, two queries; as options of the verb."""
    records = [
        {"_id": "cats", "title": "Cats", "text": "Small animals that purr and chase mice."},
        {"_id": "cars", "title": "Cars", "text": "Vehicles with an engine and four wheels."},
        {"_id": "bread", "title": "", "text": "Flour, water and yeast, baked in an oven."},
    ]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, records)))
    queries = [{"_id": "q1", "text": "what do kittens hunt"}, {"_id": "q2", "text": "how to bake a loaf"}]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tcats\t1\nq2\tbread\t1\n")
    return ["--queries", str(tmp_path / "queries.jsonl"), "--qrels", str(tmp_path / "qrels.tsv")]


def test_the_verb_measures_each_chunking_of_a_corpus(tmp_path: Path, collection: list[str]) -> None:
    """`lodex eval retrieval --corpus` prints a row for each chunking; every question here has an easy answer."""
    options = ["--corpus", str(tmp_path / "corpus.jsonl"), "--passages", "document", "--passages", "180w", "--json"]
    result = CliRunner().invoke(app, ["eval", "retrieval", *collection, *options], catch_exceptions=False)
    report = json.loads(result.stdout)
    assert [row["name"] for row in report["results"]] == ["document", "180w"]
    for row in report["results"]:
        assert row["scores"] == {"ndcg_at_10": 1.0, "recall_at_100": 1.0, "mrr_at_10": 1.0, "queries": 2}
        assert (row["passages"], row["truncated"]) == (3, 0)


def test_the_verb_measures_a_store(tmp_path: Path, collection: list[str]) -> None:
    """`lodex eval retrieval STORE` asks the index that is there, and prints a table."""
    encoder = load_encoder("minilm")
    store = Store.create(tmp_path / "store")
    store.add([Document("cats", "Small animals that purr."), Document("bread", "Flour and yeast, baked in an oven.")])
    build_index(store, "180w", PassagesBuilder("180w"))
    build_index(store, "meaning", DenseBuilder("180w", encoder.info, encoder.embed_passages))
    arguments = ["eval", "retrieval", str(tmp_path / "store"), "--index", "meaning", *collection]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "2 queries, embedded by minilm" in result.stdout
    assert result.stdout.split()[-6:] == ["180w", "1.0000", "1.0000", "1.0000", "2", "0"]


@pytest.mark.parametrize("options", [[], ["--compare", "sentence-transformers", "STORE"], ["--corpus", "c", "STORE"]])
def test_what_cannot_be_measured_is_refused(collection: list[str], options: list[str]) -> None:
    """Neither store nor corpus, both, or a comparison without a corpus."""
    with pytest.raises(InvalidArgumentError):
        CliRunner().invoke(eval_app, ["retrieval", *collection, *options], catch_exceptions=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_scifact_is_retrieved_as_well_as_by_sentence_transformers(tmp_path: Path) -> None:
    """NDCG@10 over whole documents is that of the library with the same model and text, within 0.001.

    Over the judged abstracts and a tenth of the others; the whole collection is measured by the verb itself.
    """
    pytest.importorskip("sentence_transformers")
    folder = DATA / "retrieval_scifact"
    if not folder.exists():
        pytest.skip("no SciFact: set LODEX_DATA")
    relevant = {doc_id for grades in read_qrels(folder / "qrels.tsv").values() for doc_id in grades}
    lines = (folder / "corpus.jsonl").read_text().splitlines(keepends=True)
    chosen = [line for i, line in enumerate(lines) if i % 10 == 0 or json.loads(line)["_id"] in relevant]
    (tmp_path / "corpus.jsonl").write_text("".join(chosen))
    options = ["--queries", str(folder / "queries.jsonl"), "--qrels", str(folder / "qrels.tsv")]
    options += ["--corpus", str(tmp_path / "corpus.jsonl"), "--passages", "document"]
    options += ["--compare", "sentence-transformers", "--json"]
    result = CliRunner().invoke(app, ["eval", "retrieval", *options], catch_exceptions=False)
    ours, library = (row["scores"] for row in json.loads(result.stdout)["results"])
    assert abs(ours["ndcg_at_10"] - library["ndcg_at_10"]) < 0.001
    assert ours["ndcg_at_10"] > 0.7
