"""What a reranker does to the order of candidates, and what a window costs.

    scripts/bench_rerank.py [--quick] [--json FILE] [--model lodex-mini-rerank] [--store FOLDER] [--seed 1]

Exactness: on random windows of 1 to 20 candidates the gathered scores are compared with those of a full forward pass
over the whole vocabulary. Cost: one forward a window and no decoding, against generating the order token by token.
Held-out lists: passages of documents that no training of `lodex train rerank` reads, in windows of 8 near ones, with a
query drawn from one of them; the input order, the packaged MiniLM and the reranker, with paired bootstrap intervals of
the differences. Judged queries: the 20 best documents of MiniLM on Cranfield and SciFact, reranked.
`--store` is a store with a dense index whose documents are split as the training split them; without one the
documentation of this Python is indexed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from lodex.embed.registry import load_encoder
from lodex.index.store import Store
from lodex.rerank.first import FirstReranker, log_softmax
from lodex.rerank.registry import load_reranker
from lodex.rerank.training.pool import Pool, read_pools
from lodex.rerank.training.queries import MIXED, Kind, draw
from lodex.service.beir import read_corpus, read_qrels, read_queries
from lodex.service.evaluation import index_passages, judged, retrieve, score_run
from lodex.types import Silent

DATA = Path(os.environ.get("LODEX_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data"))
LIST = 8
HELD_OUT_SHARE = 0.1
DEPTH = 20
console = Console()
Row = dict[str, Any]


def main() -> None:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer windows, lists and queries: 50 seconds")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--model", default="lodex-mini-rerank")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    reranker = load_reranker(arguments.model)
    quick, seed = arguments.quick, arguments.seed
    with tempfile.TemporaryDirectory() as folder:
        store = arguments.store or docs_store(Path(folder) / "docs", quick)
        _, pool = read_pools(Store.open(store).snapshot(), "dense", HELD_OUT_SHARE)
        rows = compare_with_full_forward(reranker, pool, 100 if quick else 1000, seed)
        rows += compare_cost(reranker, pool, 5 if quick else 30, seed)
        rows += compare_held_out(reranker, pool, 60 if quick else 1000, seed)
        for name in ("retrieval_cranfield", "retrieval_scifact"):
            rows += [] if quick else compare_judged(reranker, name, Path(folder) / name)
    if arguments.json:
        versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
        machine = {"cpu_count": os.cpu_count(), "platform": platform.platform()}
        report = {"machine": machine, "versions": versions, "seed": seed, "model": reranker.fingerprint, "rows": rows}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def docs_store(store: Path, small: bool) -> Path:
    """The documentation of this Python with a dense index; a tenth of it if `small`."""
    lodex = [sys.executable, "-m", "lodex.cli"]
    subprocess.run([*lodex, "ingest", str(store), "python-docs"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*lodex, "index", "dense", str(store)], check=True, stdout=subprocess.DEVNULL)
    return store


def random_texts(pool: Pool, rng: np.random.Generator, count: int) -> tuple[str, list[str]]:
    """A query and texts from anywhere, some twice."""
    drawn = [draw(pool.passages[i], MIXED, rng) for i in rng.integers(len(pool), size=count)]
    texts = [one.shown for one in drawn]
    if count > 2 and rng.random() < 0.2:
        texts[-1] = texts[0]
    return drawn[0].query, texts


def compare_with_full_forward(reranker: FirstReranker, pool: Pool, windows: int, seed: int) -> list[Row]:
    """The largest difference of a score from the log-softmax of the letters in the logits of the vocabulary."""
    rng = np.random.default_rng(seed)
    builder, decoder, settings = reranker.builder, reranker.decoder, reranker.settings
    largest, forwards, others = 0.0, 0, 0
    for _ in range(windows):
        query, texts = random_texts(pool, rng, int(rng.integers(1, 21)))
        before = decoder.forwards
        ranking = reranker.rerank(query, texts, window=20)
        forwards += decoder.forwards - before
        ids = builder.assemble(query, builder.read(texts), reranker.max_tokens, settings.max_passage_tokens).ids
        logits = decoder.logits(decoder.forward(torch.from_numpy(ids)[None]).hidden)[0, -1]  # (V,)
        expected = log_softmax(logits.numpy()[builder.letter_ids[: len(texts)]])
        scores = np.array([c.score for c in sorted(ranking.candidates, key=lambda c: c.index)])
        largest = max(largest, float(np.abs(scores - expected).max()))
        others += [c.index for c in ranking.candidates] != np.argsort(-expected, kind="stable").tolist()
    console.print(
        f"{windows:,} windows: gathered scores differ from a full forward by at most {largest:.1e}, "
        f"{others} other orders; {forwards / windows:g} forwards a window, 0 decode steps"
    )
    return [
        row("gathered_max_difference", largest, "nats", "lower"),
        row("forwards_per_window", forwards / windows, "forwards", "lower"),
    ]


def compare_cost(reranker: FirstReranker, pool: Pool, windows: int, seed: int) -> list[Row]:
    """CPU time of a window by FIRST, and by generating `[B] > [A] ...` for the same candidates on the same model."""
    rng = np.random.default_rng(seed)
    first = generation = 0.0
    for _ in range(windows):
        query, texts = random_texts(pool, rng, LIST)
        begin = time.process_time()
        reranker.rerank(query, texts, window=LIST)
        first += time.process_time() - begin
        builder = reranker.builder
        ids = builder.assemble(query, builder.read(texts), reranker.max_tokens, None).ids
        begin = time.process_time()
        states = reranker.decoder.forward(torch.from_numpy(ids)[None], keep_past=True)
        for _ in range(4 * LIST - 2):  # a letter and "] > [" for each candidate
            token = reranker.decoder.logits(states.hidden[0, -1]).argmax()
            states = reranker.decoder.forward(token[None, None], past=states.past)
        generation += time.process_time() - begin
    console.print(
        f"a window of {LIST}: {first / windows * 1e3:.1f} CPU ms, generating the order {generation / windows * 1e3:.1f}"
    )
    return [row("first_over_generation_time", first / generation, "ratio", "lower", "generation", 1.0)]


def compare_held_out(reranker: FirstReranker, pool: Pool, lists: int, seed: int) -> list[Row]:
    """nDCG@10 of the passage that the query was drawn from, by three orders."""
    rng = np.random.default_rng([seed, 2])
    encoder = load_encoder("minilm")
    gains: dict[str, list[float]] = {"input order": [], "minilm": [], "reranker": []}
    kinds: list[Kind] = []
    for seed_row in rng.integers(len(pool), size=lists):
        near = pool.neighbours(np.array([seed_row]), 100)[0]
        members = [int(seed_row)]
        for other in rng.permutation(near).tolist():
            if len(members) < LIST and not any(pool.are_adjacent(other, member) for member in members):
                members.append(other)
        order = rng.permutation(len(members))
        best = int(np.flatnonzero(order == 0)[0])
        drawn = [draw(pool.passages[members[i]], MIXED, rng) for i in order]
        query, texts = drawn[best].query, [one.shown for one in drawn]
        kinds.append(drawn[best].kind)
        gains["input order"].append(gain(best))
        similar = encoder.embed_passages(texts).vectors @ encoder.embed_queries([query]).vectors[0]
        gains["minilm"].append(gain(int((similar > similar[best]).sum())))
        ranking = reranker.rerank(query, texts, window=LIST)
        gains["reranker"].append(gain([c.index for c in ranking.candidates].index(best)))
    values = {name: np.array(found) for name, found in gains.items()}
    console.print(f"{lists:,} held-out lists of {LIST}: nDCG@10")
    rows = []
    for name, found in values.items():
        low, high = interval(found, rng)
        by_kind = ", ".join(
            f"{kind.name.lower()} {found[[k is kind for k in kinds]].mean():.3f}" for kind in Kind if kind in kinds
        )
        console.print(f"  {name:12} {found.mean():.4f}  [{low:.4f}, {high:.4f}]   {by_kind}")
        rows.append(row(f"held_out_ndcg10_{name.replace(' ', '_')}", float(found.mean()), "nDCG@10", "higher"))
    for other in ("input order", "minilm"):
        difference = values["reranker"] - values[other]
        low, high = interval(difference, rng)
        console.print(f"  reranker against {other}: {difference.mean():+.4f}  [{low:+.4f}, {high:+.4f}]")
    return rows


def compare_judged(reranker: FirstReranker, name: str, folder: Path) -> list[Row]:
    """nDCG@10 of the best 20 documents of MiniLM, before and after."""
    documents = {document.doc_id: document for document in read_corpus(DATA / name / "corpus.jsonl")}
    qrels = read_qrels(DATA / name / "qrels.tsv")
    queries = judged(read_queries(DATA / name / "queries.jsonl"), qrels)
    store = Store.create(folder)
    store.add(documents.values())
    encoder = load_encoder("minilm")
    found = retrieve(index_passages(store, "document", encoder, Silent()), encoder, queries, DEPTH)
    reranked = {}
    for query, doc_ids in found.items():
        texts = [f"{documents[i].title} {documents[i].text}".strip() for i in doc_ids]
        reranked[query] = [doc_ids[c.index] for c in reranker.rerank(queries[query], texts).candidates]
    before, after = score_run(found, qrels).ndcg_at_10, score_run(reranked, qrels).ndcg_at_10
    console.print(
        f"{name}: the best {DEPTH} of MiniLM nDCG@10 {before:.4f}, reranked {after:.4f} ({after - before:+.4f})"
    )
    return [row(f"{name}_ndcg10", after, "nDCG@10", "higher", "minilm", before)]


def gain(place: int) -> float:
    """1 / log2(2 + place) of the only relevant candidate, counted from 0."""
    return float(1 / np.log2(2 + place)) if place < 10 else 0.0


def interval(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """95 % of the means of 2,000 resamplings."""
    means = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def row(name: str, value: float, unit: str, better: str, peer: str = "", peer_value: float | None = None) -> Row:
    """A row of the report."""
    ratio = None
    if peer_value:
        ratio = peer_value / value if better == "lower" else value / peer_value
    found = {"name": name, "value": value, "unit": unit, "better": better}
    return found | ({"peer": peer, "peer_value": peer_value, "ratio": ratio} if peer else {})


if __name__ == "__main__":
    main()
