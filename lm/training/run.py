"""Training a language model on a store, from the text to the folder that is opened."""

from __future__ import annotations

import json
import math
import platform
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lodex.embed.training.export import write_model
from lodex.embed.training.llama import LlamaShape, TrainingLlama
from lodex.embed.training.optimizer import OptimizerSettings
from lodex.embed.training.plot import plot_losses, require_plotting
from lodex.embed.training.trainer import Budget, Log, Trainer
from lodex.index.store import Store
from lodex.index.tokenizer import EOS
from lodex.lm.model import LanguageModel
from lodex.lm.scoring import score_texts
from lodex.lm.training.card import write_card
from lodex.lm.training.next_token import NextToken
from lodex.lm.training.text import TrainingText, read_training_text
from lodex.types import Progress

STATE_FOLDER = "training"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, beside the text: the shape of the model, the share of documents kept apart, and the seed."""

    hidden: int = 256
    layers: int = 4
    heads: int = 4
    intermediate: int = 704
    context: int = 1024
    dev_share: float = 0.02
    seed: int = 1

    def shape(self, vocab_size: int) -> LlamaShape:
        """The shape for a vocabulary."""
        return LlamaShape(vocab_size, self.hidden, self.layers, self.heads, self.intermediate, self.context)


@dataclass(frozen=True, slots=True)
class Measured:
    """Bits per byte of some texts that the training did not see."""

    name: str
    bits_per_byte: float
    tokens: int
    text_bytes: int


def train_language_model(
    store: Store,
    stream: str,
    out: Path,
    budget: Budget,
    recipe: Recipe,
    held_out: Mapping[str, str],
    progress: Progress,
    report: Callable[[str], None],
    device: str = "cpu",
    evaluate_every: int = 100,
) -> list[Measured]:
    """Train on a token stream of a store and write the model to `out`; a run that was killed goes on where it was.

    `held_out` are texts by name, of documents that are not in the store: they are measured at the end, as are the
    documents of the store that were kept apart. Returns what was measured, which the model card states too.
    """
    require_plotting()
    text = read_training_text(store.snapshot(), stream, recipe.dev_share)
    shape = recipe.shape(text.tokenizer.vocab_size)
    report(
        f"{shape.parameters:,} parameters; {text.train_documents:,} documents, {len(text.train):,} tokens, "
        f"{text.train_bytes / 1e6:.1f} MB to train on; {len(text.dev):,} documents kept apart"
    )
    torch.manual_seed(recipe.seed)
    model = TrainingLlama(shape).to(device).bfloat16()
    trainer = Trainer(
        model,
        NextToken(text, model, recipe.seed),
        out / STATE_FOLDER,
        OptimizerSettings(),
        evaluate_every=evaluate_every,
    )
    log = trainer.train(budget, progress, report)
    write_model(out, shape, trainer.masters, text.tokenizer.to_json(), EOS, text.tokenizer.eos_id)
    measured = _measure(LanguageModel.open(out), text, held_out, progress)
    (out / "training.json").write_text(json.dumps(_record(log, recipe, measured)) + "\n", encoding="utf-8")
    plot_losses(log, out / "loss.png", "Training", "bits per byte, held out")
    write_card(out, shape, text, recipe, log, measured)
    return measured


def _measure(
    model: LanguageModel, text: TrainingText, held_out: Mapping[str, str], progress: Progress
) -> list[Measured]:
    """Bits per byte of the documents kept apart, by source, and of other texts."""
    groups: dict[str, list[tuple[list[int], int]]] = defaultdict(list)
    for ids, size, source in zip(text.dev, text.dev_bytes, text.dev_sources, strict=True):
        groups[f"kept apart: {source}"].append((ids[1:-1].tolist(), size))
    for name, content in held_out.items():
        groups[name].append((model.encode(content), len(content.encode())))
    measured = []
    progress.start("measuring", sum(len(group) for group in groups.values()), "texts")
    for name, group in groups.items():
        nats = 0.0
        for tokens, size in group:
            (score,) = score_texts(model, [tokens], text_bytes=[size])
            nats -= float(score.log_probabilities.sum())
            progress.advance(1)
        num_bytes = sum(size for _, size in group)
        bits = nats / math.log(2) / max(num_bytes, 1)
        measured.append(Measured(name, bits, sum(len(tokens) for tokens, _ in group), num_bytes))
    progress.finish()
    return measured


def _record(log: Log, recipe: Recipe, measured: list[Measured]) -> dict[str, object]:
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {
        "recipe": asdict(recipe),
        "log": asdict(log),
        "measured": [asdict(one) for one in measured],
        "versions": versions,
    }
