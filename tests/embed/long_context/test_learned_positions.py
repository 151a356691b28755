"""Tables of positions on longer texts: which row each token has, and what a model makes of it."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from lodex.embed.backbones.backbone import Backbone, BackboneSource
from lodex.embed.backbones.config import read_backbone_config
from lodex.embed.long_context.learned_positions import LearnedPositions
from lodex.errors import InvalidArgumentError
from tests.embed.backbones.small_models import (
    lay,
    plain_states,
    random_rows,
    relative_difference,
    save_small,
    small_config,
    small_model,
)

TRAINED = 4
RULES: dict[str, Any] = {
    "recurrent": lambda i, n: i % TRAINED,
    "grouped": lambda i, n: i // math.ceil(n / TRAINED),
    "interpolate": lambda i, n: i * 3 if n <= TRAINED else i,
}


@pytest.mark.parametrize("method", RULES)
def test_tokens_have_the_rows_of_the_paper(method: Any) -> None:
    """Text by text, by its own length; what follows the texts stays."""
    lengths = (1, 4, 5, 12, 7)
    positions = torch.cat([torch.arange(n) for n in lengths] + [torch.zeros(3, dtype=torch.int64)])
    expected = [RULES[method](i, n) for n in lengths for i in range(n)] + [0, 0, 0]
    rows = LearnedPositions(method, 3).rows(positions, lengths, TRAINED)
    assert rows.tolist() == expected


def test_rows_between_two_lie_on_a_line() -> None:
    """A trained row for every third, and behind the last its own again."""
    table = torch.tensor([[0.0, 3.0], [3.0, 0.0], [9.0, 9.0]])
    rows = LearnedPositions("interpolate", 3).extend(table)
    expected = [[0, 3], [1, 2], [2, 1], [3, 0], [5, 3], [7, 6], [9, 9], [9, 9], [9, 9]]
    torch.testing.assert_close(rows, torch.tensor(expected, dtype=torch.float32))


def open_small(folder: Path, **options: Any) -> Backbone:
    return Backbone.open(BackboneSource(read_backbone_config(folder), folder), **options)


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
@pytest.mark.parametrize("method", RULES)
def test_short_texts_keep_their_states_and_long_ones_get_some(method: Any, model_type: str, tmp_path: Path) -> None:
    """Beside each other too; RoBERTa's table begins behind its padding."""
    model = small_model(small_config(model_type, max_position_embeddings=11 if model_type == "roberta" else 8))
    folder = save_small(model, tmp_path)
    extended = open_small(folder, long_context=LearnedPositions(method, 3))
    assert extended.max_tokens == 24
    rows = random_rows(8, 24, 3)
    states = extended.states(lay(rows)).split([8, 24, 3])
    for row, got in zip(rows, states, strict=True):
        assert torch.equal(got, extended.states(lay([row])))
        assert bool(got.isfinite().all())
    for which in (0, 2):
        assert relative_difference(states[which], plain_states(model, rows[which])[-1]) < 5e-6


def test_a_long_text_has_the_states_of_its_rows(tmp_path: Path) -> None:
    """The model itself, told the rows that the text's tokens have."""
    model = small_model(small_config("bert", max_position_embeddings=8))
    extended = open_small(save_small(model, tmp_path), long_context=LearnedPositions("grouped", 3))
    [row] = random_rows(20)
    rows = torch.tensor([[i // 3 for i in range(20)]])
    with torch.inference_mode():
        expected = model(
            input_ids=torch.tensor([row]), position_ids=rows, token_type_ids=torch.zeros_like(rows)
        ).last_hidden_state[0]
    assert relative_difference(extended.states(lay([row])), expected) < 5e-6


def test_models_without_a_table_are_refused(tmp_path: Path) -> None:
    """Rotary models have none; and nothing is shortened."""
    folder = save_small(small_model(small_config("llama")), tmp_path)
    with pytest.raises(InvalidArgumentError, match="no table of positions"):
        open_small(folder, long_context=LearnedPositions("recurrent", 2))
    with pytest.raises(InvalidArgumentError, match="expected at least 1"):
        LearnedPositions("recurrent", 0)
