"""Bits per byte of held-out books under a language model, and with what it reads in a datastore of other books.

    scripts/bench_lm.py [--quick] [--json FILE] [--store FOLDER] [--model lodex-mini-lm] [--tokens 2048]
                        [--books 70] [--seed 1]

The ten books are those of the authors that neither the tokenizer, the model nor the store has read; that no span of 32
tokens of theirs stands in the store is shown by counting every one. From each book two excerpts are scored, each as a
document: temperature and weights are tuned on the first, a quarter as long; the second, of `--tokens` tokens, is
reported. As a control the same neighbours are given the values of other entries, which must help nothing,
neither with the settings of the neighbours nor with settings tuned for it.
A store that is not there yet is made: other books and the documentation of this Python, a suffix and a kNN index.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from lodex.index.knn import KnnIndex, Neighbors
from lodex.index.ngrams import NgramIndex
from lodex.index.store import Store
from lodex.index.tokenizer import Tokenizer
from lodex.lm.mixture import InfgramPart, KnnPart, Mixture, mix
from lodex.lm.model import LanguageModel
from lodex.lm.neighbors import target_log_probabilities
from lodex.lm.registry import load_language_model
from lodex.lm.scoring import score_texts
from lodex.types import TextScore

DATA = Path(os.environ.get("LODEX_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data"))
LODEX = [sys.executable, "-m", "lodex.cli"]
SPAN = 32
TEMPERATURES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
WEIGHTS = tuple(round(0.05 * i, 2) for i in range(17))
console = Console()


@dataclass(frozen=True)
class Excerpt:
    """A run of tokens of a book, scored as a document."""

    book: str
    ids: list[int]
    text_bytes: int


def main() -> None:
    """Measure, print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small store and short excerpts: 50 seconds")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--store", type=Path, help="where the store is or is to be made; a temporary folder unless given"
    )
    parser.add_argument("--model", default="lodex-mini-lm")
    parser.add_argument("--tokens", type=int, default=2048, help="tokens of an excerpt")
    parser.add_argument("--k", type=int, default=1024)
    parser.add_argument("--books", type=int, default=70, help="how many of the other books to put into a new store")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    tokens = 128 if arguments.quick else arguments.tokens
    with tempfile.TemporaryDirectory() as folder:
        store = arguments.store or Path(folder) / "books"
        make_store(store, arguments.model, 5 if arguments.quick else arguments.books)
        rows = measure(store, arguments.model, tokens, arguments.k, arguments.seed)
    if arguments.json:
        report = {"machine": machine(), "versions": versions(), "seed": arguments.seed, "rows": rows}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def make_store(store: Path, model: str, number: int) -> None:
    """Books of other authors and the documentation, with a suffix and a kNN index; what is there is kept."""
    training, _ = books()
    if not (store / "manifests").is_dir():
        chosen = [training[i] for i in np.linspace(0, len(training) - 1, number).round().astype(int)]
        run("ingest", str(store), *map(str, chosen), "--segment-bytes", "10000000")
        run("ingest", str(store), "python-docs")
    run("index", "suffix", str(store))
    run("index", "knn", str(store), "--model", model)


def books() -> tuple[list[Path], list[Path]]:
    """The books to read and the ones held out, by the authors that scripts/train_tokenizer.py names."""
    provenance = json.loads(
        (Path(__file__).parent.parent / "index/tokenizers/lodex-bpe-16k-v1/provenance.json").read_text()
    )
    authors = set(provenance["held_out_authors"])
    folder = DATA / "lm_books"
    with (folder / "manifest.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    held_out = [folder / row["file"] for row in rows if row["author"] in authors]
    return [folder / row["file"] for row in rows if row["author"] not in authors], held_out


def run(*words: str) -> None:
    """Run a command of the command line."""
    shown = [word for word in words if not word.endswith(".txt")]
    start = time.monotonic()
    subprocess.run([*LODEX, *words], check=True, stdout=subprocess.DEVNULL)
    console.print(f"$ lodex {' '.join(shown)}  ({time.monotonic() - start:.1f} s)", soft_wrap=True)


def measure(folder: Path, model_name: str, tokens: int, k: int, seed: int) -> list[dict[str, Any]]:
    """All figures, as the rows of the report."""
    snapshot = Store.open(folder).snapshot()
    knn, suffix = KnnIndex(snapshot, "knn"), NgramIndex(snapshot)
    model = load_language_model(model_name)
    console.print(f"{knn.num_entries:,} entries in {knn.segments_ok} segments, dimension {knn.dimension}; k = {k}")
    _, held_out = books()
    texts = {path.stem: path.read_text(encoding="utf-8") for path in held_out}
    count_shared_spans(texts, suffix)
    rng = np.random.default_rng(seed)
    halves: list[list[Excerpt]] = [[], []]
    for name, text in texts.items():
        ids = model.encode(text)
        starts = np.sort(rng.choice(len(ids) // tokens, 2, replace=False)) * tokens
        for half, start, length in zip(halves, starts.tolist(), (tokens // 4, tokens), strict=True):
            part = ids[start : start + length]
            half.append(Excerpt(name, part, len(model.decode(part).encode())))
    tune, report = (Scored(model, knn, suffix, half, k, seed) for half in halves)

    temperature = min(TEMPERATURES, key=lambda t: min(tune.bits(tune.knn(t), w, w) for w in WEIGHTS))
    weight = min(WEIGHTS, key=lambda w: tune.bits(tune.knn(temperature), w, w))
    many, single = min(((a, b) for a in WEIGHTS for b in WEIGHTS), key=lambda ab: tune.bits(tune.infgram, *ab))
    both = tune_both(tune, temperature)
    control_t = min(TEMPERATURES, key=lambda t: min(tune.bits(tune.shuffled(t), w, w) for w in WEIGHTS))
    control_w = min(WEIGHTS, key=lambda w: tune.bits(tune.shuffled(control_t), w, w))

    figures = {
        "bpb_lm": report.bits(report.infgram, 0.0, 0.0),
        "bpb_knn": report.bits(report.knn(temperature), weight, weight),
        "bpb_infgram": report.bits(report.infgram, many, single),
        "bpb_knn_infgram": report.bits_of_both(temperature, *both),
        "bpb_knn_shuffled_values": report.bits(report.shuffled(temperature), weight, weight),
        "bpb_knn_shuffled_values_tuned": report.bits(report.shuffled(control_t), control_w, control_w),
    }
    settings = {
        "bpb_lm": "",
        "bpb_knn": f"temperature {temperature:g}, weight {weight}",
        "bpb_infgram": f"weight {many}, {single} where single",
        "bpb_knn_infgram": f"temperature {temperature:g}, weights {both[0]}; {both[1]}, {both[2]} where single",
        "bpb_knn_shuffled_values": f"temperature {temperature:g}, weight {weight}",
        "bpb_knn_shuffled_values_tuned": f"temperature {control_t:g}, weight {control_w}",
    }
    # The figures above reuse one search; the product's own path must say the same.
    mixture = Mixture(KnnPart(knn, k, temperature, both[0]), InfgramPart(suffix, both[1], both[2]))
    one = Scored(model, knn, suffix, halves[1][:1], k, seed)
    difference = abs(one.scores(mixture) - one.bits_of_both(temperature, *both))
    assert difference < 1e-6, "score_texts and the bench disagree; this is a bug"
    improved = report.share_improved(temperature, weight)

    table = Table("", "bits per byte", "against LM", "tuned on the other excerpts", box=None)
    for name, value in figures.items():
        table.add_row(name, f"{value:.4f}", f"{value / figures['bpb_lm'] - 1:+.2%}", settings[name])
    console.print(table)
    console.print(
        f"{report.tokens:,} tokens reported, {tune.tokens:,} to tune on; kNN makes {improved:.1%} of them likelier; "
        f"search and neighbours {report.search_cpu_s / report.tokens * 1e3:.2f} CPU ms a token; "
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )
    return [
        {"name": name, "value": value, "unit": "bits/byte", "better": "lower", "peer": "LM alone",
         "peer_value": figures["bpb_lm"], "ratio": figures["bpb_lm"] / value, "settings": settings[name],
         "tokens": report.tokens}
        for name, value in figures.items()
    ]  # fmt: skip


def count_shared_spans(texts: dict[str, str], suffix: NgramIndex) -> None:
    """Print how many spans of 32 tokens of the held-out books stand in the store; exit where any does."""
    shared = spans = 0
    for text in texts.values():
        ids = Tokenizer.load().encode(text)
        starts = range(len(ids) - SPAN + 1)
        for begin in range(0, len(starts), 4096):
            counted = suffix.count([[ids[i : i + SPAN]] for i in starts[begin : begin + 4096]])
            shared += sum(one.count > 0 for one in counted)
        spans += len(starts)
    console.print(f"{shared:,} of {spans:,} spans of {SPAN} tokens of the held-out books stand in the store")
    if shared:
        raise SystemExit("the store holds what is to be held out")


class Scored:
    """Excerpts with everything that is needed to mix them in any way: one forward and one search each."""

    def __init__(
        self, model: LanguageModel, knn: KnnIndex, suffix: NgramIndex, excerpts: list[Excerpt], k: int, seed: int
    ) -> None:
        self._model, self._knn_index, self._suffix, self._excerpts = model, knn, suffix, excerpts
        recorder = _Recorder(knn)
        begin = time.process_time()
        mixture = Mixture(KnnPart(recorder, k, 1.0, 0.5), InfgramPart(suffix, 0.25, 0.5))  # type: ignore[arg-type]
        scores = self._score(mixture, components=True)
        self.search_cpu_s = time.process_time() - begin
        self.tokens = sum(len(score.token_ids) for score in scores)
        self.bytes = sum(excerpt.text_bytes for excerpt in excerpts)
        self._targets = np.concatenate([score.token_ids for score in scores])
        self.lm, _, self.infgram = (
            np.concatenate([score.components[i].log_probabilities for score in scores]) for i in range(3)
        )
        self._is_single = np.concatenate([score.components[2].weights for score in scores]) == 0.5
        self._near = recorder.all()
        self._shuffled = other_values(self._near, knn, seed)
        self._known: dict[tuple[str, float], np.ndarray] = {}

    def _score(self, mixture: Mixture, components: bool = False) -> list[TextScore]:
        excerpts = self._excerpts
        sizes = [excerpt.text_bytes for excerpt in excerpts]
        return score_texts(
            self._model, [excerpt.ids for excerpt in excerpts], mixture, text_bytes=sizes, components=components
        )

    def scores(self, mixture: Mixture) -> float:
        """Bits per byte by the path that the service takes."""
        return -sum(float(s.log_probabilities.sum()) for s in self._score(mixture)) / math.log(2) / self.bytes

    def knn(self, temperature: float) -> np.ndarray:
        """What the neighbours say of each token."""
        return self._said("knn", temperature, self._near)

    def shuffled(self, temperature: float) -> np.ndarray:
        """What they say with the values of other entries."""
        return self._said("shuffled", temperature, self._shuffled)

    def _said(self, name: str, temperature: float, near: Neighbors) -> np.ndarray:
        if (name, temperature) not in self._known:
            self._known[name, temperature] = target_log_probabilities(near, temperature, self._targets)
        return self._known[name, temperature]

    def bits(self, part: np.ndarray, weight: float, single_weight: float) -> float:
        """Bits per byte of the model with one part."""
        return self._bits(mix(self.lm, [(part, np.where(self._is_single, single_weight, weight))]))

    def bits_of_both(self, temperature: float, knn: float, many: float, single: float) -> float:
        """Bits per byte of the model with both."""
        parts = [
            (self.knn(temperature), np.full(self.tokens, knn)),
            (self.infgram, np.where(self._is_single, single, many)),
        ]
        return self._bits(mix(self.lm, parts))

    def share_improved(self, temperature: float, weight: float) -> float:
        """The share of tokens that the neighbours make likelier."""
        return float((mix(self.lm, [(self.knn(temperature), np.full(self.tokens, weight))]) > self.lm).mean())

    def _bits(self, log_probabilities: np.ndarray) -> float:
        return -float(log_probabilities.sum()) / math.log(2) / self.bytes


def tune_both(tune: Scored, temperature: float) -> tuple[float, float, float]:
    """The three weights that serve the tuning excerpts best; coordinate by coordinate, until nothing changes."""
    best = (0.2, 0.2, 0.2)
    while True:
        before = best
        for place in range(3):
            options = [(*best[:place], w, *best[place + 1 :]) for w in WEIGHTS]
            allowed = [o for o in options if o[0] + max(o[1], o[2]) <= 1]
            best = min(allowed, key=lambda o: tune.bits_of_both(temperature, *o))
        if best == before:
            return best


class _Recorder:
    """A kNN index that keeps what was found."""

    def __init__(self, index: KnnIndex) -> None:
        self._index = index
        self._found: list[Neighbors] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def search(self, *arguments: Any, **options: Any) -> Neighbors:
        """Search, and keep the answer."""
        self._found.append(self._index.search(*arguments, **options))
        return self._found[-1]

    def all(self) -> Neighbors:
        """Everything that was found, in order."""
        names = ("distances", "token_ids", "segments", "positions")
        return Neighbors(**{name: np.concatenate([getattr(n, name) for n in self._found]) for name in names})


def other_values(near: Neighbors, knn: KnnIndex, seed: int) -> Neighbors:
    """The same neighbours with values permuted over all entries of their segment: nearness says nothing any more."""
    rng = np.random.default_rng(seed)
    values = np.full_like(near.token_ids, -1)
    for number, stream in enumerate(knn.streams):
        tokens = np.where(stream.tokens == stream.separator, stream.eos_id, stream.tokens).astype(np.int64)
        permuted = rng.permutation(tokens)
        here = (near.segments == number) & (near.token_ids >= 0)
        values[here] = permuted[near.positions[here]]
    return Neighbors(near.distances, values, near.segments, near.positions)


def machine() -> dict[str, Any]:
    """Where this ran."""
    return {"cpu_count": os.cpu_count(), "platform": platform.platform()}


def versions() -> dict[str, str]:
    """What it ran with."""
    import torch
    import transformers

    import lodex

    return {
        "lodex": lodex.__version__,
        "numpy": np.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


if __name__ == "__main__":
    main()
