"""Training a reranker from a language model and a store, to the folder that `load_reranker` opens."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from lodex.embed.training.export import CONFIG, read_model, write_model
from lodex.embed.training.llama import TrainingLlama
from lodex.embed.training.optimizer import OptimizerSettings
from lodex.embed.training.plot import plot_losses, require_plotting
from lodex.embed.training.trainer import Budget, Log, Trainer
from lodex.errors import FailedPreconditionError
from lodex.index.snapshot import Snapshot
from lodex.index.tokenizer import EOS, Tokenizer
from lodex.rerank.prompt import PromptBuilder, answer_ids
from lodex.rerank.template import Template, load_template
from lodex.rerank.training.export import write_card
from lodex.rerank.training.lists import ListMaker, Lists, ListShape, shape_recipe
from lodex.rerank.training.pool import read_pools
from lodex.rerank.training.task import RankLists
from lodex.types import Progress


@dataclass(frozen=True, slots=True)
class RerankTraining:
    """What is trained beside the budget. `easy` and `mixed` are numbers of prompts, `held_out` of lists."""

    seed: int = 1
    easy: int = 36000
    mixed: int = 40000
    held_out: int = 800
    held_out_share: float = 0.1
    evaluate_every: int = 250
    shape: ListShape = field(default_factory=ListShape)
    optimizer: OptimizerSettings = field(
        default_factory=lambda: OptimizerSettings(matrix_lr=0.02, other_lr=2e-3, weight_decay=0.05)
    )
    template: Template = field(default_factory=load_template)


def train_reranker(
    snapshot: Snapshot,
    init_folder: Path,
    out: Path,
    budget: Budget,
    settings: RerankTraining,
    progress: Progress,
    report: Callable[[str], None],
    index: str = "dense",
    device: str = "cpu",
) -> Log:
    """Train the language model of `init_folder` to rank, and write `out`, a folder that `load_reranker` opens.

    The lists and the state of the training are kept in `out/training`, so a run that was interrupted goes on where it
    stopped. Raises InvalidArgumentError for a model that is no small Llama, FailedPreconditionError for a store
    without passages enough or without the dense index.
    """
    require_plotting()
    tokenizer = Tokenizer.load(init_folder)
    llama, weights = read_model(init_folder)
    model = TrainingLlama(llama)
    model.load_state_dict(weights)
    model = model.to(device).bfloat16()
    state = out / "training"
    state.mkdir(parents=True, exist_ok=True)
    builder = PromptBuilder(tokenizer, settings.template, start_id=tokenizer.eos_id)
    easy, mixed, held_out = _lists(snapshot, index, builder, tokenizer, settings, state, progress)
    recipe: dict[str, Any] = {
        "init": json.loads((init_folder / CONFIG).read_bytes()),
        "tokenizer": tokenizer.fingerprint,
        "template": settings.template.to_dict(),
        "lists": shape_recipe(settings.shape),
        "easy": settings.easy,
        "mixed": settings.mixed,
    }
    task = RankLists(easy, mixed, held_out, builder.letter_ids, model, settings.seed, recipe)
    trainer = Trainer(model, task, state, settings.optimizer, evaluate_every=settings.evaluate_every)
    if not trainer.log.steps:
        report(
            f"before training: held out {task.evaluate(model):.4f} (nDCG@10; any order: {any_order(settings.shape)})"
        )
    log = trainer.train(budget, progress, report)
    kinds = task.by_kind(model)
    for kind, (count, value) in kinds.items():
        report(f"{kind}: nDCG@10 {value:.4f} on {count} held-out lists")
    write_model(out, llama, trainer.masters, tokenizer.to_json(), EOS, tokenizer.eos_id)
    plot_losses(log, out / "loss.png", "Training", "nDCG@10, held out")
    write_card(out, init_folder.resolve().name, settings.template, settings.shape, log, kinds, settings.seed)
    return log


def any_order(shape: ListShape) -> str:
    """nDCG@10 of a list with one relevant passage in an order drawn at random, to four places."""
    places = torch.arange(1, shape.passages + 1)
    gains = torch.where(places <= 10, 1 / torch.log2(1.0 + places), 0.0)
    return f"{float(gains.mean()):.4f}"


def _lists(
    snapshot: Snapshot,
    index: str,
    builder: PromptBuilder,
    tokenizer: Tokenizer,
    settings: RerankTraining,
    folder: Path,
    progress: Progress,
) -> tuple[Lists, Lists, Lists]:
    """The lists of a training, made once and kept."""
    made_for = {
        "store": snapshot.manifest.version,
        "segments": [segment.id for segment in snapshot.segments],
        "settings": {
            name: value for name, value in asdict(settings).items() if name not in ("optimizer", "evaluate_every")
        },
        "tokenizer": tokenizer.fingerprint,
    }
    paths = [folder / f"{name}.safetensors" for name in ("easy", "mixed", "held_out")]
    note = folder / "lists.json"
    if note.is_file():
        if json.loads(note.read_bytes()) != json.loads(json.dumps(made_for)):
            raise FailedPreconditionError(
                f"{folder} holds lists of another store or with other settings: name another folder, or delete this one"
            )
    else:
        train, apart = read_pools(snapshot, index, settings.held_out_share)

        def encode(text: str) -> list[int]:
            return answer_ids(tokenizer, builder.open_id, text)

        maker = ListMaker(train, builder, tokenizer.eos_id, encode, settings.shape)
        judge = ListMaker(apart, builder, tokenizer.eos_id, encode, settings.shape)
        maker.easy(settings.easy, settings.seed, progress).save(paths[0])
        maker.mixed(settings.mixed, settings.seed, progress).save(paths[1])
        judge.single(settings.held_out, settings.seed, progress).save(paths[2])
        note.write_text(json.dumps(made_for), encoding="utf-8")
    easy, mixed, held_out = (Lists.load(path) for path in paths)
    return easy, mixed, held_out
