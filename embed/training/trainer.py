"""The training loop: a budget of minutes or steps, checkpoints to resume from, and a log of the losses."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lodex.embed.training.llama import TrainingLlama
from lodex.embed.training.optimizer import MuonAdamW, OptimizerSettings
from lodex.embed.training.schedule import Schedule
from lodex.errors import FailedPreconditionError, InvalidArgumentError
from lodex.types import Progress

STATE = "state.safetensors"
LOG = "log.json"
_SAVE_EVERY_S = 180.0
_MEAN_OF_STEPS = 10


@dataclass(frozen=True, slots=True)
class Budget:
    """When a training ends: after that many minutes of training or that many steps, whichever is first."""

    minutes: float = math.inf
    steps: float = math.inf

    def __post_init__(self) -> None:
        if not (self.minutes < math.inf or self.steps < math.inf) or min(self.minutes, self.steps) <= 0:
            raise InvalidArgumentError("a training needs a budget of minutes or of steps, more than none", "minutes")

    def used(self, seconds: float, steps: int) -> float:
        """The share that is used, 0 to 1."""
        return min(1.0, max(seconds / 60 / self.minutes, steps / self.steps))


@dataclass
class Log:
    """What a training did so far.

    `losses` are means of ten steps, in nats a token, and `evaluations` what `Task.evaluate` gave, each with its step.
    """

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)
    evaluations: list[tuple[int, float]] = field(default_factory=list)


class Task(Protocol):
    """What is trained: where its batches come from and what they cost."""

    recipe: dict[str, Any]
    """All that decides the result beside the budget. A training resumes with the same one alone."""

    def loss(self, model: TrainingLlama, step: int, decaying: bool) -> tuple[Tensor, int]:
        """The loss of the batch of a step, and its number of tokens."""
        ...

    def evaluate(self, model: TrainingLlama) -> float:
        """How the model does on what is held out; nan where nothing is."""
        ...


class Trainer:
    """Trains a model by a task in `folder`, from where an earlier run with the same recipe stopped."""

    def __init__(
        self,
        model: TrainingLlama,
        task: Task,
        folder: Path,
        settings: OptimizerSettings,
        schedule: Schedule | None = None,
        evaluate_every: int = 200,
    ) -> None:
        self.model = model
        self.log = Log()
        self._task = task
        self._folder = folder
        self._schedule = schedule or Schedule()
        self._optimizer = MuonAdamW(model, settings)
        self._evaluate_every = evaluate_every
        self._recipe = {**task.recipe, "optimizer": asdict(settings), "schedule": asdict(self._schedule)}
        folder.mkdir(parents=True, exist_ok=True)
        self._restore()

    @property
    def masters(self) -> dict[str, Tensor]:
        """The weights in float32."""
        return self._optimizer.masters

    def train(self, budget: Budget, progress: Progress, report: Callable[[str], None]) -> Log:
        """Train until the budget is used, also by the runs before this one; `report` gets a line at each evaluation."""
        log = self.log
        recent: list[float] = []
        saved = time.monotonic()
        progress.start("training", 1000, "permille of the budget")
        shown = 0
        while (used := budget.used(log.seconds, log.steps)) < 1:
            begin, begin_cpu = time.monotonic(), time.process_time()
            loss, tokens = self._task.loss(self.model, log.steps, self._schedule.is_decaying(used))
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step(self._schedule.lr_share(used))
            value = float(loss.detach())
            if not math.isfinite(value):
                raise FailedPreconditionError(f"the loss is {value} at step {log.steps}: lower the learning rates")
            log.steps += 1
            recent.append(value)
            log.tokens += tokens
            log.seconds += time.monotonic() - begin
            log.cpu_seconds += time.process_time() - begin_cpu
            if log.steps % _MEAN_OF_STEPS == 0:
                log.losses.append((log.steps, round(sum(recent) / len(recent), 4)))
                recent.clear()
            if log.steps % self._evaluate_every == 0:
                self._evaluate(report)
            if time.monotonic() - saved > _SAVE_EVERY_S:
                self.save()
                saved = time.monotonic()
            now = int(1000 * budget.used(log.seconds, log.steps))
            progress.advance(now - shown)
            shown = now
        if log.steps % self._evaluate_every or not log.evaluations:
            self._evaluate(report)
        self.save()
        progress.finish()
        return log

    def _evaluate(self, report: Callable[[str], None]) -> None:
        value = self._task.evaluate(self.model)
        if not math.isnan(value):
            self.log.evaluations.append((self.log.steps, round(value, 5)))
        loss = self.log.losses[-1][1] if self.log.losses else math.nan
        report(
            f"step {self.log.steps:,}, {self.log.tokens / 1e6:.2f} M tokens, {self.log.seconds / 60:.1f} min, "
            f"{self.log.cpu_seconds:.0f} CPU s: training loss {loss:.3f} nats, held out {value:.4f}"
        )

    def save(self) -> None:
        """Write the state so that a killed run loses what came after it, and nothing else."""
        fresh, final, old = (self._folder / name for name in ("state.new", "state", "state.old"))
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        save_file(self._optimizer.state(), fresh / STATE)
        (fresh / LOG).write_text(json.dumps({"recipe": self._recipe, **asdict(self.log)}), encoding="utf-8")
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():
            final.rename(old)
        fresh.rename(final)
        shutil.rmtree(old, ignore_errors=True)

    def _restore(self) -> None:
        folder = next((f for f in (self._folder / "state", self._folder / "state.old") if (f / LOG).exists()), None)
        if folder is None:
            return
        saved = json.loads((folder / LOG).read_text(encoding="utf-8"))
        recipe = json.loads(json.dumps(self._recipe))
        differs = [name for name in recipe if saved["recipe"].get(name) != recipe[name]]
        if differs:
            raise FailedPreconditionError(
                f"{self._folder} holds a training with another {differs[0]} ({saved['recipe'].get(differs[0])}, "
                f"now {recipe[differs[0]]}): name another folder, or delete this one"
            )
        del saved["recipe"]
        self.log = Log(**saved)
        self._optimizer.restore(load_file(folder / STATE))


def tune_allocator() -> None:
    """Keep freed memory in this process: a training step takes a third less time on CPU cores with glibc.

    The setting is read when a process starts, so this replaces the process by itself with the setting, once.
    """
    wanted = {
        "MALLOC_MMAP_THRESHOLD_": "4294967296",
        "MALLOC_TRIM_THRESHOLD_": "8589934592",
        "MALLOC_TOP_PAD_": "268435456",
    }
    if os.name != "posix" or all(os.environ.get(name) == value for name, value in wanted.items()):
        return
    os.environ.update(wanted)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # itself, with what it was given


def can_compile() -> bool:
    """Whether torch.compile finds a C++ compiler here."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++"))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled form of a function where that is possible, a fifth faster; else the function."""
    return torch.compile(function, dynamic=False) if can_compile() else function
