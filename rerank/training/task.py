"""The task of a reranker: the objective of FIRST on lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import rms_norm, softplus

from lodex.embed.training.llama import TrainingLlama
from lodex.embed.training.loss import cross_entropy
from lodex.embed.training.trainer import compiled
from lodex.rerank.training.lists import Lists
from lodex.rerank.training.queries import Kind
from lodex.rerank.training.ranknet import weighted_ranknet

_BATCH_TOKENS = 4096
# Weight of the ranking loss beside that of the language model, for weighted RankNet (arXiv:2406.15657, section 4).
_RANKING_WEIGHT = 10.0
_REPEAT_WEIGHT = 2.0


class RankLists:
    """Easy lists first, each once, then mixed ones, each epoch in another order.

    The loss is the language model's on the answers plus ten times weighted RankNet on the logits of the identifiers,
    and, for prompts of one query, the same where each passage's line ends, a layer below (`line_scores`). Halfway up,
    tokens are asked whether the query has them (`repeat_loss`).
    `evaluate` gives nDCG@10 of the held-out lists, in which the passage that the query comes from is relevant.
    """

    def __init__(
        self,
        easy: Lists,
        mixed: Lists,
        held_out: Lists,
        letter_ids: npt.NDArray[np.int64],
        model: TrainingLlama,
        seed: int,
        recipe: dict[str, Any],
    ) -> None:
        self._easy = easy
        self._mixed = mixed
        self._held_out = held_out
        self._letters = torch.from_numpy(letter_ids)
        self._seed = seed
        self._easy_steps = len(easy) // self._batch(easy)
        self._states = compiled(three_states)
        self._probe = torch.randn(model.shape.hidden, generator=torch.Generator().manual_seed(0))
        self._probe /= self._probe.norm()
        self.recipe: dict[str, Any] = {"task": "rank lists", "seed": seed, "batch_tokens": _BATCH_TOKENS} | recipe

    def loss(self, model: TrainingLlama, step: int, decaying: bool) -> tuple[Tensor, int]:
        """The loss of a batch of prompts, 4,096 tokens with their padding."""
        lists, rows = self._rows(step)
        device = model.embedding.device
        ids = torch.from_numpy(lists.ids[rows])
        middle, below, states = self._states(model, ids.to(device))  # (B, T, H) each
        ranking = weighted_ranknet(*identifier_scores(model, states, lists, rows, self._letters))
        if lists.positions.shape[1] == 1:
            ranking = ranking + weighted_ranknet(*line_scores(model, below, lists, rows, self._letters))
        repeats = repeat_loss(middle, self._probe.to(device), torch.from_numpy(lists.repeats[rows]).to(device))
        is_target = torch.from_numpy(lists.is_target[rows])
        places = torch.nonzero(is_target[:, 1:].flatten())[:, 0]
        B, T = ids.shape  # prompts, tokens
        before = ((places // (T - 1)) * T + places % (T - 1)).to(device)
        targets = ids[:, 1:].flatten()[places].to(device)
        answers = cross_entropy(states.flatten(0, 1)[before], model.embedding, targets)
        return answers + _RANKING_WEIGHT * ranking + _REPEAT_WEIGHT * repeats, B * T

    def _batch(self, lists: Lists) -> int:
        """Prompts of a batch."""
        context: int = lists.ids.shape[1]
        return max(1, _BATCH_TOKENS // context)

    def _rows(self, step: int) -> tuple[Lists, npt.NDArray[np.int64]]:
        if step < self._easy_steps:
            batch = self._batch(self._easy)
            return self._easy, np.arange(step * batch, (step + 1) * batch)
        batch = self._batch(self._mixed)
        epoch, number = divmod(step - self._easy_steps, max(1, len(self._mixed) // batch))
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._mixed))
        return self._mixed, order[number * batch : (number + 1) * batch]

    def evaluate(self, model: TrainingLlama) -> float:
        """Mean nDCG@10 of the held-out lists."""
        return float(held_out_ndcg(model, self._held_out, self._letters).mean())

    def by_kind(self, model: TrainingLlama) -> dict[str, tuple[int, float]]:
        """Number of held-out lists and mean nDCG@10 for each kind of query."""
        values, kinds = held_out_ndcg(model, self._held_out, self._letters), self._held_out.kinds[:, 0]
        return {
            kind.name.lower(): (int((kinds == kind).sum()), float(values[kinds == kind].mean()))
            for kind in Kind
            if (kinds == kind).any()
        }


def three_states(model: TrainingLlama, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The states (B, T, H) halfway up, below the last layer and after it, the last two after the last norm."""
    T = ids.shape[1]
    x = model.embedding[ids]
    cos, sin = model.cos[:T].to(x.dtype), model.sin[:T].to(x.dtype)
    *lower, top = model.layers
    middle = x
    for number, layer in enumerate(lower):
        x = layer(x, cos, sin)
        if number < len(model.layers) // 2:
            middle = x
    last = top(x, cos, sin)
    size, eps = (x.shape[-1],), model.shape.norm_eps
    return rms_norm(middle, size, eps=eps), rms_norm(x, size, model.norm, eps), rms_norm(last, size, model.norm, eps)


def repeat_loss(states: Tensor, probe: Tensor, repeats: Tensor) -> Tensor:
    """How badly a fixed direction of the states tells the tokens that the query has from those that it has not.

    states (B, T, H), probe (H,), repeats (B, T) of `Lists`. Mean binary cross-entropy in nats, both sorts counting the
    same. To notice repetitions is the first step of matching; asked for at every token it is learnt in minutes.
    """
    logits = states.float() @ probe
    wrong = softplus(torch.where(repeats == 1, -logits, logits))
    apart, said = ((wrong * (repeats == sort)).sum() / (repeats == sort).sum().clamp(min=1) for sort in (0, 1))
    return (apart + said) / 2


def line_scores(
    model: TrainingLlama, states: Tensor, lists: Lists, rows: npt.NDArray[np.int64], letters: Tensor
) -> tuple[Tensor, Tensor]:
    """Logit of each passage's own identifier where its line ends, (N, P) float32, and the ranks (N, P).

    The last layer gathers the identifiers for the answer. What it needs, how well each passage fits the query, is
    asked for here, a layer below and at every passage: a small model hardly finds the two steps from the answer alone.
    """
    ranks = torch.from_numpy(lists.ranks[rows][:, 0])  # (N, P)
    device = states.device
    ends = torch.from_numpy(lists.line_ends[rows]).to(device)
    at_ends = states[torch.arange(len(rows), device=device)[:, None], ends]  # (N, P, H)
    own = model.embedding[letters[: ranks.shape[1]].to(device)]  # (P, H)
    return (at_ends.float() * own.float()).sum(dim=-1), ranks.to(device)


def identifier_scores(
    model: TrainingLlama, states: Tensor, lists: Lists, rows: npt.NDArray[np.int64], letters: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits of the identifiers at each "[" of a batch, (N, P) float32, and their ranks (N, P); N counts queries."""
    prompts, queries = np.nonzero(lists.positions[rows] >= 0)
    places = lists.positions[rows][prompts, queries]
    ranks = torch.from_numpy(lists.ranks[rows][prompts, queries])  # (N, P)
    device = states.device
    at_open = states[torch.from_numpy(prompts).to(device), torch.from_numpy(places).to(device)]  # (N, H)
    head = model.embedding[letters[: ranks.shape[1]].to(device)]
    return at_open.float() @ head.float().T, ranks.to(device)


@torch.no_grad()
def held_out_ndcg(model: TrainingLlama, lists: Lists, letters: Tensor) -> npt.NDArray[np.float64]:
    """nDCG@10 of each list (N,) by its first query; relevant is the passage of rank 1, ties count against it."""
    values = []
    for begin in range(0, len(lists), 16):
        rows = np.arange(begin, min(begin + 16, len(lists)))
        length = int(lists.positions[rows].max()) + 1
        states = model(torch.from_numpy(lists.ids[rows, :length]).to(model.embedding.device))
        scores, ranks = identifier_scores(model, states, lists, rows, letters)
        values.append(reciprocal_gain(scores.cpu().numpy(), ranks.cpu().numpy()))
    return np.concatenate(values)


def reciprocal_gain(scores: npt.NDArray[Any], ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """nDCG@10 of lists (N, P) with one relevant passage, that of rank 1: 1 / log2(1 + its place), 0 beyond 10."""
    best = np.take_along_axis(scores, (ranks == 1).argmax(axis=1)[:, None], axis=1)
    place = 1 + ((scores >= best) & (ranks > 1)).sum(axis=1)
    gains: npt.NDArray[np.float64] = np.where(place <= 10, 1 / np.log2(1 + place), 0.0)
    return gains
