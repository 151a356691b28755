"""`lodex eval`: how good the answers are, against judgements that people made."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodex.cli.app import JsonFlag, app, print_json, print_table
from lodex.cli.progress import terminal_progress
from lodex.errors import InvalidArgumentError
from lodex.index.passages import CHUNKINGS, DEFAULT_CHUNKING
from lodex.index.store import Store

if TYPE_CHECKING:
    from lodex.embed.encoder import TextEncoder
    from lodex.index.dense import DenseIndex
    from lodex.service.evaluation import Evaluation

eval_app = typer.Typer(no_args_is_help=True, help="Measure the quality of answers against judgements.")
app.add_typer(eval_app, name="eval")

_LIBRARY = "sentence-transformers"


@eval_app.command()
def retrieval(
    queries: Annotated[Path, typer.Option(help="JSON lines with _id and text.")],
    qrels: Annotated[Path, typer.Option(help="TSV with a header: query id, document id, grade.")],
    store: Annotated[Path | None, typer.Argument(help="A store with a dense index over the judged documents.")] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="JSON lines with _id, title and text, for a store of the moment.")
    ] = None,
    passages: Annotated[
        list[str] | None, typer.Option(help=f"With --corpus: {', '.join(CHUNKINGS)}; may be given several times.")
    ] = None,
    index: Annotated[str, typer.Option(help="With STORE: the name of its dense index.")] = "dense",
    model: Annotated[str, typer.Option(help="minilm, or the folder of an embedder.")] = "minilm",
    compare: Annotated[str, typer.Option(help=f"With --corpus: {_LIBRARY} ranks the same documents.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Rank documents by their best passage; print nDCG@10, recall@100 and MRR@10."""
    from lodex.embed.registry import load_encoder
    from lodex.service.beir import read_corpus, read_qrels, read_queries
    from lodex.service.evaluation import evaluate_index, evaluate_sentence_transformers, judged

    if (store is None) == (corpus is None):
        raise InvalidArgumentError("give either a STORE or --corpus", "corpus")
    if compare and (compare != _LIBRARY or corpus is None):
        raise InvalidArgumentError(f"--compare takes {_LIBRARY!r}, and --corpus beside it", "compare")
    judgements = read_qrels(qrels)
    asked = judged(read_queries(queries), judgements)
    encoder = load_encoder(model)
    indexes = _indexes_over(corpus, passages or [DEFAULT_CHUNKING], encoder) if corpus else _index_of(store, index)
    results = [evaluate_index(opened, encoder, asked, judgements) for opened in indexes]
    if compare and corpus:
        results.append(evaluate_sentence_transformers(model, read_corpus(corpus), asked, judgements))
    if as_json:
        print_json({"model": encoder.info, "queries": len(asked), "results": results})
    else:
        _print(results, f"{len(asked)} queries, embedded by {encoder.info.name}")


@eval_app.command()
def sts(
    pairs: Annotated[Path, typer.Argument(help="CSV without a header: two sentences and how alike they are.")],
    model: Annotated[str, typer.Option(help="minilm, or the folder of an embedder.")] = "minilm",
    precision: Annotated[str, typer.Option(help="float32, bfloat16 or auto.")] = "float32",
    as_json: JsonFlag = False,
) -> None:
    """Print Spearman's rank correlation of cosine and judged similarity (the STS Benchmark)."""
    from lodex.embed.registry import load_encoder
    from lodex.service.similarity import evaluate_similarity, read_pairs

    judged_pairs = read_pairs(pairs)
    encoder = load_encoder(model, precision=precision)
    scores = evaluate_similarity(encoder, judged_pairs)
    if as_json:
        print_json({"model": encoder.info, "precision": encoder.precision, "results": [scores]})
    else:
        title = f"embedded by {encoder.info.name} in {encoder.precision}"
        print_table(("pairs", "Spearman"), [(scores.pairs, f"{scores.spearman:.4f}")], title)


def _index_of(path: Path | None, name: str) -> Iterator[DenseIndex]:
    from lodex.index.dense import DenseIndex

    if path:
        yield DenseIndex(Store.open(path).snapshot(), name)


def _indexes_over(corpus: Path, chunkings: Sequence[str], encoder: TextEncoder) -> Iterator[DenseIndex]:
    """One index for each chunking, in a store that is gone when the last has been asked."""
    from lodex.service.beir import read_corpus
    from lodex.service.evaluation import index_passages

    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "store")
        store.add(read_corpus(corpus))
        for chunking in chunkings:
            with terminal_progress() as progress:
                opened = index_passages(store, chunking, encoder, progress)
            yield opened


def _print(results: Sequence[Evaluation], title: str) -> None:
    columns = ("passages", "nDCG@10", "R@100", "MRR@10", "number", "truncated")
    rows = [
        (
            result.name,
            *(
                f"{value:.4f}"
                for value in (result.scores.ndcg_at_10, result.scores.recall_at_100, result.scores.mrr_at_10)
            ),
            "" if result.passages is None else result.passages,
            "" if result.truncated is None else result.truncated,
        )
        for result in results
    ]
    print_table(columns, rows, title)
