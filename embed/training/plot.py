"""The curves of a training, as a picture."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lodex.embed.training.trainer import Log
from lodex.errors import MissingExtraError


def require_plotting() -> None:
    """MissingExtraError without matplotlib: to be asked before hours of training, not after them."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("drawing the loss", "train")


def plot_losses(log: Log, path: Path, title: str, evaluation: str) -> None:
    """Draw the training loss, and on an axis of its own what `evaluation` names, over the steps; PNG.

    MissingExtraError without matplotlib.
    """
    require_plotting()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    left = figure.subplots()
    if log.losses:
        left.plot(*zip(*log.losses, strict=True), color="#4477aa", linewidth=1, label="training loss (left)")
    left.set(xlabel="step", ylabel="nats a token", title=title)
    left.grid(visible=True, alpha=0.3)
    right = left.twinx()
    if log.evaluations:
        right.plot(
            *zip(*log.evaluations, strict=True), "o-", color="#cc6677", markersize=3, label=f"{evaluation} (right)"
        )
    right.set_ylabel(evaluation)
    if log.losses or log.evaluations:
        figure.legend(loc="outside lower center", ncols=2)
    figure.savefig(path, dpi=110)
