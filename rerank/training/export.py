"""What a trained reranker's folder says beside the model: how it is to be asked, and how it came to be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lodex.embed.training.trainer import Log
from lodex.rerank.settings import RerankerSettings, write_settings
from lodex.rerank.template import Template
from lodex.rerank.training.lists import ListShape

_CARD = """# {name}

A listwise reranker after FIRST (Gangi Reddy et al. 2024, arXiv:2406.15657): one forward pass over a query and up to
{window} passages, scores from the logits of the passages' identifiers.

- Trained from `{init}` on lists made by a store itself, without annotations: a title, a sentence or some words of a
  passage against near passages of a dense index, which also orders the rest of each list.
- Loss: cross-entropy of the answer plus ten times weighted RankNet on the identifiers' logits. Beyond FIRST, to let a
  small model find the way in little time: weighted RankNet also where each passage's line ends, a layer below, and
  halfway up a binary cross-entropy, twice, that asks of each token of a passage whether the query has it. Lists of two
  to four passages from anywhere come before whole lists. Seed {seed}.
- Cost: {steps:,} steps, {tokens:.1f} M tokens, {minutes:.1f} minutes, {cpu:.0f} CPU seconds.
- Lists of documents that were held out, one relevant passage in {window}: nDCG@10 {ndcg:.4f}.

| query | held-out lists | nDCG@10 |
|---|---|---|
{kinds}

![Losses](loss.png)

Template, window and stride are in `reranker.json`. It is small: it matches words and little of their meaning, and
`scripts/bench_rerank.py` shows what it does to the candidates of a better retriever.
"""


def write_card(
    out: Path,
    init: str,
    template: Template,
    shape: ListShape,
    log: Log,
    kinds: Mapping[str, tuple[int, float]],
    seed: int,
) -> None:
    """Write reranker.json, README.md and training.json into `out`; `kinds` are what held-out lists gave."""
    write_settings(
        out,
        RerankerSettings(
            template=template,
            window=shape.passages,
            stride=shape.passages // 2,
            max_tokens=shape.context,
            max_passage_tokens=None,
        ),
    )
    card = _CARD.format(
        name=out.resolve().name,
        window=shape.passages,
        init=init,
        seed=seed,
        steps=log.steps,
        tokens=log.tokens / 1e6,
        minutes=log.seconds / 60,
        cpu=log.cpu_seconds,
        ndcg=log.evaluations[-1][1],
        kinds="\n".join(f"| {kind} | {count} | {value:.4f} |" for kind, (count, value) in kinds.items()),
    )
    (out / "README.md").write_text(card, encoding="utf-8")
    (out / "training.json").write_text(json.dumps({"losses": log.losses, "evaluations": log.evaluations}) + "\n")
