"""Muon for the matrices, AdamW for the rest, on float32 masters of weights that compute in bfloat16.

Muon: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lodex.embed.training.llama import TrainingLlama

_NEWTON_SCHULZ_STEPS = 5
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_MUON_MOMENTUM = 0.95
_ADAM_BETAS = (0.9, 0.95)
_ADAM_EPS = 1e-8


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """Learning rates at the height of the schedule. `weight_decay` is that of the matrices."""

    matrix_lr: float = 0.02
    other_lr: float = 3e-3
    weight_decay: float = 0.1
    clip_norm: float = 1.0


class MuonAdamW:
    """One optimiser for a `TrainingLlama`.

    Its float32 masters are the weights that count; the model's own are copies of them, of whatever dtype computes.
    """

    def __init__(self, model: TrainingLlama, settings: OptimizerSettings) -> None:
        self._settings = settings
        self._names = {parameter: name for name, parameter in model.named_parameters()}
        self._matrices = model.matrices()
        in_matrices = {parameter for parameter, _ in self._matrices}
        self._others = [parameter for parameter in self._names if parameter not in in_matrices]
        self.masters = {name: parameter.detach().float().clone() for parameter, name in self._names.items()}
        self._momenta = {name: torch.zeros_like(master) for name, master in self.masters.items()}
        self._squares = {
            self._names[parameter]: torch.zeros_like(self.masters[self._names[parameter]]) for parameter in self._others
        }
        self._steps = 0

    @torch.no_grad()
    def step(self, lr_share: float) -> float:
        """Take a step at `lr_share` of the learning rates; returns the norm of the gradients before clipping."""
        grads = {name: parameter.grad.float() for parameter, name in self._names.items() if parameter.grad is not None}
        norm = float(torch.stack([grad.norm() for grad in grads.values()]).norm())
        clip = min(1.0, self._settings.clip_norm / max(norm, 1e-12))
        self._steps += 1
        self._step_matrices(grads, clip, lr_share * self._settings.matrix_lr)
        self._step_others(grads, clip, lr_share * self._settings.other_lr)
        for parameter, name in self._names.items():
            parameter.copy_(self.masters[name])
            parameter.grad = None
        return norm

    def _step_matrices(self, grads: Mapping[str, Tensor], clip: float, lr: float) -> None:
        # Matrices of one shape are orthogonalised together: one batched product instead of many small ones.
        groups: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for parameter, parts in self._matrices:
            name = self._names[parameter]
            grad, momentum = grads[name] * clip, self._momenta[name]
            momentum.lerp_(grad, 1 - _MUON_MOMENTUM)
            update = grad.lerp(momentum, _MUON_MOMENTUM)  # Nesterov
            for master, piece in zip(self.masters[name].chunk(parts), update.chunk(parts), strict=True):
                groups[tuple(piece.shape)].append((master, piece))
        for (rows, columns), members in groups.items():
            directions = orthogonalise(torch.stack([piece for _, piece in members]))
            scale = lr * max(1, rows / columns) ** 0.5
            for (master, _), direction in zip(members, directions, strict=True):
                master.mul_(1 - lr * self._settings.weight_decay).sub_(direction, alpha=scale)

    def _step_others(self, grads: Mapping[str, Tensor], clip: float, lr: float) -> None:
        for parameter in self._others:
            name = self._names[parameter]
            grad, momentum, square = grads[name] * clip, self._momenta[name], self._squares[name]
            momentum.lerp_(grad, 1 - _ADAM_BETAS[0])
            square.lerp_(grad.square(), 1 - _ADAM_BETAS[1])
            first = momentum / (1 - _ADAM_BETAS[0] ** self._steps)
            second = square / (1 - _ADAM_BETAS[1] ** self._steps)
            self.masters[name].sub_(first / (second.sqrt() + _ADAM_EPS), alpha=lr)

    def state(self) -> dict[str, Tensor]:
        """All that a resumed training needs, by flat names."""
        return {
            "steps": torch.tensor(self._steps),
            **{f"masters.{name}": master for name, master in self.masters.items()},
            **{f"momenta.{name}": momentum for name, momentum in self._momenta.items()},
            **{f"squares.{name}": square for name, square in self._squares.items()},
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over a `state`, and copy its masters into the model."""
        self._steps = int(state["steps"])
        for kind, tensors in (("masters", self.masters), ("momenta", self._momenta), ("squares", self._squares)):
            for name, tensor in tensors.items():
                tensor.copy_(state[f"{kind}.{name}"])
        for parameter, name in self._names.items():
            parameter.copy_(self.masters[name])


def orthogonalise(matrices: Tensor) -> Tensor:
    """Push the singular values of each of (n, rows, columns) towards 1 by five Newton-Schulz steps in bfloat16."""
    a, b, c = _NEWTON_SCHULZ
    is_tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = (matrices.mT if is_tall else matrices).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: Tensor = x.mT if is_tall else x
    return found.float()
