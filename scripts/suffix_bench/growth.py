"""How the cost of building and asking grows with the corpus: on text that was found, and beyond on sampled text."""

from __future__ import annotations

import json
import shutil
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from suffix_bench import queries
from suffix_bench.child import call
from suffix_bench.corpus import Corpus, prefix
from suffix_bench.engines import LODEX, PEER
from suffix_bench.report import console, shorten

SIZES, QUICK_SIZES = (10_000_000, 40_000_000, 100_000_000), (500_000, 1_000_000, 2_000_000)
# Of text sampled from the distributions of the middle one of these.
SAMPLED, QUICK_SAMPLED = (200_000_000, 400_000_000), (2_500_000, 4_000_000)
KINDS = ("count_n5", "prob_n5", "infgram_prob_l32", "ntd_2", "creativity_256", "trace_256")
PEER_KINDS = ("count_n5", "infgram_prob_l32", "ntd_2")
Figures = dict[str, float]


def growth(corpus: Corpus, quick: bool, seed: int) -> dict[str, Any]:
    """Figures at each size, and the slopes of their logarithms; prints them."""
    points: list[dict[str, Any]] = []
    sizes = [size for size in (QUICK_SIZES if quick else SIZES) if size <= corpus.tokens]
    parts = [prefix(corpus, size) for size in sizes]
    held_out = corpus.read_held_out()
    for part in parts:
        points.append({"text": "found", **measure(part.folder, part.tokens, held_out, quick, seed)})
    source = parts[len(parts) // 2]
    sampled = sample_from(source, max(QUICK_SAMPLED if quick else SAMPLED), seed)
    for size in QUICK_SAMPLED if quick else SAMPLED:
        part = prefix(sampled, size)
        points.append({"text": "sampled", **measure(part.folder, part.tokens, held_out, quick, seed)})
    for folder in (sampled.folder.parent, *(part.folder for part in parts)):
        shutil.rmtree(folder)
    slopes = {name: slope(points, name) for name in points[0]["figures"]}
    print_growth(points, slopes)
    return {"points": points, "log_log_slopes_of_found_text": slopes}


def sample_from(source: Corpus, tokens: int, seed: int) -> Corpus:
    """A corpus of sampled text in a folder of its own."""
    folder = source.folder.parent / "sampled" / "index"
    count = call("sampling:sample", folder=source.folder, out=folder, tokens=tokens, seed=seed)
    documents = (folder / "offset.0").stat().st_size // 8
    return replace(source, folder=folder, tokens=count, documents=documents, sha256="", bytes_by_source={})


def measure(folder: Path, tokens: int, held_out: Any, quick: bool, seed: int) -> dict[str, Any]:
    """Build the table of a stream and ask it."""
    built = [
        call("sorting:build", stream=folder / "tokenized.0", table=folder / "table.0") for _ in range(1 if quick else 3)
    ]
    figures: Figures = {
        "build_ns_per_token": statistics.median(run["cpu_s"] for run in built) / tokens * 1e9,
        "build_rss_bytes_per_token": statistics.median(run["peak_bytes"] for run in built) / tokens,
    }
    path = folder.parent / "growth.json"
    stream = np.memmap(folder / "tokenized.0", np.uint16, "r")
    path.write_text(json.dumps(queries.draw(stream, held_out, quick, seed)))
    given = {"folder": folder, "queries": path}
    for name, kinds in ((LODEX, KINDS), (PEER, PEER_KINDS)):
        found = call("engines:ask", name=name, kinds=kinds, **given)
        label = "" if name == LODEX else f"{PEER} "
        figures |= {f"{label}{kind}_us": statistics.median(found[kind]["us"]) for kind in kinds}
    batched = call("engines:ask_batched", name=LODEX, kinds=["count_n5"], **given)
    figures["count_n5_batched_us"] = statistics.median(batched["count_n5"]["us"])
    path.write_text(json.dumps(queries.documents(held_out, quick, seed)))
    scored = call("engines:score", name=LODEX, folder=folder, documents=path)
    figures["score_us_per_token"] = scored["us"][0]
    return {"tokens": tokens, "figures": figures}


def slope(points: list[dict[str, Any]], name: str) -> float | None:
    """Of the logarithm of a figure by that of the size, over the text that was found: 0 is no growth, 1 is linear."""
    found = [(point["tokens"], point["figures"][name]) for point in points if point["text"] == "found"]
    if len(found) < 2:
        return None
    return float(np.polyfit(*np.log(np.array(found)).T, 1)[0])


def print_growth(points: list[dict[str, Any]], slopes: dict[str, float | None]) -> None:
    """A column for each size."""
    table = Table(box=None)
    table.add_column("")
    for point in points:
        table.add_column(f"{shorten(point['tokens'])} {point['text']}", justify="right")
    table.add_column("log-log slope", justify="right")
    for name, fitted in slopes.items():
        values = [shorten(point["figures"][name]) for point in points]
        table.add_row(name, *values, "" if fitted is None else f"{fitted:+.2f}")
    console.print(table)


def plot(growth: dict[str, Any], path: Path) -> None:
    """Draw the figures by the size of the corpus: infini-gram's dashed in the colour of ours, sampled text hollow."""
    from matplotlib import pyplot

    points = growth["points"]
    names = [name for name in points[0]["figures"] if not name.endswith("bytes_per_token")]
    names.sort(key=lambda name: -points[-1]["figures"][name])  # the legend is read beside the lines' ends
    colors = {name: f"C{number}" for number, name in enumerate(name for name in names if PEER not in name)}
    figure, axes = pyplot.subplots(figsize=(8.5, 5.5), layout="constrained")
    sizes = [point["tokens"] for point in points]
    for name in names:
        color = colors[name.removeprefix(f"{PEER} ")]
        values = [point["figures"][name] for point in points]
        style = "--" if name.startswith(PEER) else "-"
        axes.plot(sizes, values, style, color=color, lw=1, label=name.replace("_", " ").replace(" us", " (µs)"))
        for tokens, value, point in zip(sizes, values, points, strict=True):
            axes.plot(tokens, value, "o", ms=5, color=color, mfc=color if point["text"] == "found" else "white")
    axes.set(xscale="log", yscale="log", xlabel="tokens (hollow: sampled text)", ylabel="CPU time")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
