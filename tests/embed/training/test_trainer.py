"""The training loop: it learns, it resumes, it refuses what would not be the same training."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lodex.embed.training.llama import LlamaShape, TrainingLlama
from lodex.embed.training.loss import cross_entropy
from lodex.embed.training.optimizer import OptimizerSettings
from lodex.embed.training.trainer import Budget, Trainer
from lodex.errors import FailedPreconditionError, InvalidArgumentError
from lodex.types import Silent

SHAPE = LlamaShape(vocab_size=11, hidden=16, layers=1, heads=2, intermediate=24, context=16)


class Counting:
    """The next number of a row that counts modulo 11."""

    def __init__(self, seed: int = 0, breaks_at: int = -1) -> None:
        self.recipe: dict[str, Any] = {"task": "counting", "seed": seed}
        self._breaks_at = breaks_at

    def loss(self, model: TrainingLlama, step: int, decaying: bool) -> tuple[Tensor, int]:
        """Windows of twelve tokens, by the number of the step."""
        if step == self._breaks_at:
            raise KeyboardInterrupt
        starts = torch.randint(11, (8, 1), generator=torch.Generator().manual_seed(step))
        ids = (starts + torch.arange(13)) % 11
        return cross_entropy(model(ids[:, :-1]).flatten(0, 1), model.embedding, ids[:, 1:].flatten()), ids.numel()

    def evaluate(self, model: TrainingLlama) -> float:
        """Nothing is measured here."""
        return 0.5


def trainer(folder: Path, task: Counting) -> Trainer:
    torch.manual_seed(0)
    return Trainer(TrainingLlama(SHAPE), task, folder, OptimizerSettings(), evaluate_every=20)


def test_it_learns(tmp_path: Path) -> None:
    """What is easy is learnt within some steps, and the log says so."""
    lines: list[str] = []
    log = trainer(tmp_path, Counting()).train(Budget(steps=60), Silent(), lines.append)
    assert log.steps == 60
    assert log.losses[0][1] > 1.5
    assert log.losses[-1][1] < 0.9
    assert [step for step, _ in log.evaluations] == [20, 40, 60]
    assert len(lines) == 3


def test_a_training_that_stopped_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    """The weights after a stop and a second run are those of one run."""
    whole = trainer(tmp_path / "whole", Counting())
    whole.train(Budget(steps=30), Silent(), lambda line: None)
    broken = trainer(tmp_path / "parts", Counting(breaks_at=13))
    with pytest.raises(KeyboardInterrupt):
        broken.train(Budget(steps=30), Silent(), lambda line: None)
    broken.save()
    resumed = trainer(tmp_path / "parts", Counting())
    assert resumed.log.steps == 13
    resumed.train(Budget(steps=30), Silent(), lambda line: None)
    assert all(torch.equal(whole.masters[name], resumed.masters[name]) for name in whole.masters)


def test_a_kill_between_the_two_renames_of_a_save_loses_nothing(tmp_path: Path) -> None:
    """Where only the older state stands, it is taken."""
    first = trainer(tmp_path, Counting())
    first.train(Budget(steps=5), Silent(), lambda line: None)
    (tmp_path / "state").rename(tmp_path / "state.old")
    assert trainer(tmp_path, Counting()).log.steps == 5


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    """A folder that holds another training is not gone on with, and the error says what differs."""
    trainer(tmp_path, Counting(seed=1)).train(Budget(steps=2), Silent(), lambda line: None)
    with pytest.raises(FailedPreconditionError, match="another seed"):
        trainer(tmp_path, Counting(seed=2))


def test_a_budget_that_is_used_trains_no_more(tmp_path: Path) -> None:
    """Running a finished training again changes nothing."""
    trainer(tmp_path, Counting()).train(Budget(steps=4), Silent(), lambda line: None)
    again = trainer(tmp_path, Counting())
    before = {name: master.clone() for name, master in again.masters.items()}
    again.train(Budget(steps=4), Silent(), lambda line: None)
    assert again.log.steps == 4
    assert all(torch.equal(before[name], again.masters[name]) for name in before)


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    """It is an error with advice, not a model of nans."""
    broken = trainer(tmp_path, Counting())
    with torch.no_grad():
        broken.model.norm.fill_(float("nan"))
    with pytest.raises(FailedPreconditionError, match="loss is nan"):
        broken.train(Budget(steps=3), Silent(), lambda line: None)


@pytest.mark.parametrize("budget", [{}, {"minutes": 0}, {"steps": -1}])
def test_a_budget_without_end_or_without_time_is_refused(budget: dict[str, float]) -> None:
    """A training needs an end, and a beginning."""
    with pytest.raises(InvalidArgumentError):
        Budget(**budget)


def test_the_budget_that_is_used_first_counts() -> None:
    """Minutes and steps may both be given."""
    assert Budget(minutes=10, steps=100).used(seconds=60, steps=50) == 0.5
    assert Budget(minutes=10, steps=100).used(seconds=540, steps=50) == 0.9
    assert Budget(minutes=10).used(seconds=6000, steps=1) == 1.0
