"""`lodex train`: small models, trained on the text of a store."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import app, print_table, read_text, say
from lodex.cli.progress import terminal_progress
from lodex.index.build import build_index
from lodex.index.store import Store
from lodex.index.tokenizer import DEFAULT_TOKENIZER, Tokenizer
from lodex.index.tokens import TokensBuilder

train_app = typer.Typer(no_args_is_help=True, help="Train small models on the text of a store.")
app.add_typer(train_app, name="train")

OutFolder = Annotated[Path, typer.Option("--out", help="Folder of the model; a training that stopped goes on there.")]
Minutes = Annotated[float, typer.Option(help="Minutes of training, those of earlier runs included.", min=0.01)]
Steps = Annotated[int | None, typer.Option(help="Steps of training, if they end first.", min=1)]
Seed = Annotated[int, typer.Option(help="Seed of the weights and of the order of the text.")]
Device = Annotated[str, typer.Option(help="cpu, or an accelerator as torch names it.")]


@train_app.command()
def lm(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Path of the store whose text is learnt.")],
    out: OutFolder,
    minutes: Minutes = 90,
    steps: Steps = None,
    seed: Seed = 1,
    tokenizer: Annotated[str, typer.Option(help="The bundled tokenizer, or a tokenizer.json by path.")] = "",
    hidden: Annotated[int, typer.Option(help="Width of the model.", min=8)] = 256,
    layers: Annotated[int, typer.Option(help="Layers of the model.", min=1)] = 4,
    heads: Annotated[int, typer.Option(help="Attention heads of a layer.", min=1)] = 4,
    intermediate: Annotated[int, typer.Option(help="Width of the MLP.", min=8)] = 704,
    context: Annotated[int, typer.Option(help="Longest context, in tokens.", min=16)] = 1024,
    dev_share: Annotated[
        float, typer.Option(help="Share of the documents that are kept apart to watch the training by.", min=0, max=0.5)
    ] = 0.02,
    held_out: Annotated[
        list[Path] | None, typer.Option(help="Text that is not in the store, measured at the end; repeatable.")
    ] = None,
    evaluate_every: Annotated[int, typer.Option(help="Steps between two measurements.", min=1)] = 100,
    device: Device = "cpu",
) -> None:
    """Train a small Llama on every document of a store, and write it as a transformers folder with a model card."""
    from lodex.embed.training.trainer import Budget, tune_allocator
    from lodex.lm.training.run import Recipe, train_language_model

    tune_allocator()
    texts = {path.name: read_text(path, "held_out") for path in held_out or []}
    opened = Store.open(store)
    loaded = Tokenizer.load(tokenizer or DEFAULT_TOKENIZER)
    recipe = Recipe(hidden, layers, heads, intermediate, context, dev_share, seed)
    recipe.shape(loaded.vocab_size)  # sizes that do not go together are refused before any work
    with terminal_progress() as progress:
        build_index(opened, loaded.name, TokensBuilder(loaded), progress)
        measured = train_language_model(
            opened,
            loaded.name,
            out,
            Budget(minutes, math.inf if steps is None else steps),
            recipe,
            texts,
            progress,
            say,
            device,
            evaluate_every,
        )
    print_table(
        ["text", "tokens", "bytes", "bits per byte"],
        [[one.name, one.tokens, one.text_bytes, f"{one.bits_per_byte:.4f}"] for one in measured],
    )
    say(f"the model stands in {out}")
