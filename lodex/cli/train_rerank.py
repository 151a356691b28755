"""`lodex train rerank`: a listwise reranker from a language model and a store."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import say
from lodex.cli.progress import terminal_progress
from lodex.cli.training import Device, Minutes, OutFolder, Seed, Steps, train_app
from lodex.index.store import Store


@train_app.command()
def rerank(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Path of a store with a dense index.")],
    out: OutFolder,
    init: Annotated[str, typer.Option(help="Language model to begin with: a name, or a folder.")] = "lodex-mini-lm",
    minutes: Minutes = 35,
    steps: Steps = None,
    seed: Seed = 1,
    index: Annotated[str, typer.Option(help="Dense index that finds and orders the passages of a list.")] = "dense",
    easy: Annotated[int, typer.Option(help="Prompts of few passages, to begin with.", min=0)] = 36000,
    mixed: Annotated[int, typer.Option(help="Prompts of whole lists.", min=16)] = 40000,
    held_out: Annotated[int, typer.Option(help="Lists to watch the training by.", min=1)] = 800,
    device: Device = "cpu",
) -> None:
    """Train a small Llama to rank passages, on lists that a store gives by itself, by the objective of FIRST."""
    from lodex.embed.training.trainer import Budget, tune_allocator
    from lodex.lm.registry import language_model_folder
    from lodex.rerank.training.run import RerankTraining, train_reranker

    tune_allocator()
    with terminal_progress() as progress:
        train_reranker(
            Store.open(store).snapshot(),
            language_model_folder(init),
            out,
            Budget(minutes, math.inf if steps is None else steps),
            RerankTraining(seed=seed, easy=easy, mixed=mixed, held_out=held_out),
            progress,
            say,
            index,
            device,
        )
    say(f"the reranker stands in {out}")
