"""SelfExtend against distances and rotations spelled out in float64, and as part of a model."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lodex.embed.backbones.backbone import Backbone, BackboneSource
from lodex.embed.backbones.config import read_backbone_config
from lodex.embed.backbones.rotary import Rotary
from lodex.embed.long_context import self_extend as module
from lodex.embed.long_context.self_extend import ExtendedAttention, SelfExtend
from lodex.errors import InvalidArgumentError
from tests.embed.backbones.small_models import (
    lay,
    random_rows,
    relative_difference,
    save_small,
    small_config,
    small_model,
)

WIDTH, THETA = 8, 10_000.0


def distance(i: int, j: int, group: int, window: int) -> int:
    """As the paper has it, and mirrored for a token that comes later."""
    if j > i:
        return -distance(j, i, group, window)
    return i - j if i - j < window else (i // group + window - window // group) - j // group


def plain(q: Tensor, k: Tensor, v: Tensor, extension: SelfExtend, scale: float, causal: bool) -> Tensor:
    """Every pair of tokens, each pair of elements turned by the angle of its distance: (h, n, d) float64."""
    heads, length, _ = q.shape
    out = torch.zeros_like(q, dtype=torch.float64)
    speeds = [THETA ** (-2 * pair / WIDTH) for pair in range(WIDTH // 2)]
    for head in range(heads):
        shared = head * len(k) // heads
        for i in range(length):
            seen = range(i + 1) if causal else range(length)
            scores = []
            for j in seen:
                away = distance(i, j, extension.group, extension.window)
                score = 0.0
                for pair, speed in enumerate(speeds):
                    q1, q2 = float(q[head, i, pair]), float(q[head, i, pair + WIDTH // 2])
                    k1, k2 = float(k[shared, j, pair]), float(k[shared, j, pair + WIDTH // 2])
                    cosine, sine = math.cos(away * speed), math.sin(away * speed)
                    score += (q1 * k1 + q2 * k2) * cosine + (q1 * k2 - q2 * k1) * sine
                growth = max(1.0, math.log(i + 1) / math.log(extension.trained)) if extension.scales_queries else 1.0
                scores.append(score * scale * growth)
            weights = torch.tensor(scores, dtype=torch.float64).softmax(0)
            out[head, i] = weights @ v[shared, list(seen)].double()
    return out


def rotary() -> Rotary:
    return Rotary(small_model(small_config("llama")).rotary_emb, torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("scores", [1, 1 << 24])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    "extension",
    [SelfExtend(3, 4, 10), SelfExtend(2, 5, 10, scales_queries=True), SelfExtend(1, 4, 10), SelfExtend(7, 1, 10)],
)
def test_distances_of_groups_are_those_of_the_paper(
    extension: SelfExtend, causal: bool, scores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Near pairs by their distance and far ones by that of their groups, in rows at a time or all at once."""
    monkeypatch.setattr(module, "_SCORES", scores)
    random = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(heads, 23, WIDTH, generator=random) for heads in (4, 2, 2))
    attention = ExtendedAttention(extension, rotary(), "")
    parts = list(attention.attend(q, k, v, 0.4, causal))
    assert len(parts) == (23 if scores == 1 else 1)
    got = torch.cat([attended for _, attended in parts], 1)
    torch.testing.assert_close(got.double(), plain(q, k, v, extension, 0.4, causal), atol=5e-6, rtol=5e-6)


@pytest.mark.parametrize(("group", "window", "trained"), [(9, 512, 4096), (3, 4, 10), (7, 1, 10), (2, 9, 10)])
def test_the_longest_text_has_trained_distances_alone(group: int, window: int, trained: int) -> None:
    """Its ends are trained - 1 apart; with one token more they would be farther."""
    longest = SelfExtend(group, window, trained).max_tokens
    assert distance(longest - 1, 0, group, window) == trained - 1
    assert distance(longest, 0, group, window) == trained


@pytest.mark.parametrize(("group", "window"), [(0, 4), (3, 0), (3, 10)])
def test_sizes_that_leave_nothing_are_refused(group: int, window: int) -> None:
    """A group of none, and a window as long as the model was trained."""
    with pytest.raises(InvalidArgumentError, match="expected a group of at least 1 and a window of 1 to 9"):
        SelfExtend(group, window, 10)


def open_small(folder: Path, **options: Any) -> Backbone:
    return Backbone.open(BackboneSource(read_backbone_config(folder), folder), **options)


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("model_type", ["llama", "gemma2", "gemma3_text", "phi3"])
def test_groups_of_one_are_the_model_itself(model_type: Any, attention: Any, tmp_path: Path) -> None:
    """At any length: distances are what they were. So is the whole way through the model."""
    changes = {"partial_rotary_factor": 0.5} if model_type == "phi3" else {}
    folder = save_small(small_model(small_config(model_type, **changes)), tmp_path)
    batch = lay(random_rows(30, 5, 17))
    extended = open_small(folder, attention=attention, long_context=SelfExtend(1, 4, 10))
    expected = open_small(folder, attention=attention).states(batch)
    assert relative_difference(extended.states(batch), expected) < 5e-6


def test_only_long_texts_are_extended(tmp_path: Path) -> None:
    """A text within the trained length keeps its bits beside one that is longer, which has the states it has alone."""
    folder = save_small(small_model(small_config("llama")), tmp_path)
    rows = random_rows(10, 11, 30)
    extended, own = open_small(folder, long_context=SelfExtend(4, 4, 10)), open_small(folder)
    assert extended.max_tokens == (10 - 4 + 1) * 4
    states = extended.states(lay(rows)).split([10, 11, 30])
    assert torch.equal(states[0], own.states(lay(rows[:1])))
    for row, got in zip(rows, states, strict=True):
        assert torch.equal(got, extended.states(lay([row])))
    assert relative_difference(states[2], own.states(lay(rows[2:]))) > 1e-2


def test_layers_with_a_window_are_left_alone(tmp_path: Path) -> None:
    """No distance in them is longer than the window; a model with a window in every layer has nothing to extend."""
    folder = save_small(small_model(small_config("gemma3_text", sliding_window=4)), tmp_path / "some")
    extended = open_small(folder, long_context=SelfExtend(4, 4, 10))
    assert list(extended._extended) == [1]
    folder = save_small(small_model(small_config("mistral", sliding_window=4)), tmp_path / "every")
    with pytest.raises(InvalidArgumentError, match="a window in every layer"):
        open_small(folder, long_context=SelfExtend(4, 4, 10))


def test_models_without_angles_are_refused(tmp_path: Path) -> None:
    """BERT has a table of positions; and no model was trained on more than it has."""
    folder = save_small(small_model(small_config("bert")), tmp_path / "bert")
    with pytest.raises(InvalidArgumentError, match="no rotary positions"):
        open_small(folder, long_context=SelfExtend(4, 4, 10))
    folder = save_small(small_model(small_config("llama")), tmp_path / "llama")
    with pytest.raises(InvalidArgumentError, match="trained on 65 tokens, where the model has 64"):
        open_small(folder, long_context=SelfExtend(4, 4, 65))
