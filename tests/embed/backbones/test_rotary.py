"""Angles of rotary models: transformers' own, and for each text those it has alone."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lodex.embed.backbones.backbone import Backbone, BackboneSource
from lodex.embed.backbones.config import read_backbone_config
from lodex.embed.backbones.families import DECODERS
from lodex.embed.backbones.rotary import Rotary
from tests.embed.backbones.small_models import (
    lay,
    plain_states,
    random_rows,
    relative_difference,
    save_small,
    small_config,
    small_model,
)

LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [1.5, 2.0, 3.0, 4.0],
    "original_max_position_embeddings": 12,
}
SCALINGS: dict[str, dict[str, Any]] = {
    "longrope": LONGROPE,
    "dynamic": {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0},
    "yarn": {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 16},
    "llama3": {
        "rope_type": "llama3",
        "rope_theta": 10_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    },
    "linear": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("model_type", DECODERS)
def test_angles_are_those_of_transformers(model_type: str, dtype: torch.dtype) -> None:
    """Bit for bit, for each type of layer."""
    own = small_model(small_config(model_type)).rotary_emb
    positions = torch.tensor([0, 1, 2, 0, 1, 63])
    found = Rotary(own, torch.device("cpu"), dtype)(positions, (3, 3))
    for layer_type, rotation in found.items():
        named = {"layer_type": layer_type} if layer_type else {}
        for got, expected in zip(rotation, own(torch.empty(0, dtype=dtype), positions[None], **named), strict=True):
            assert got.dtype == dtype
            assert torch.equal(got, expected)


@pytest.mark.parametrize("kind", SCALINGS)
def test_a_text_has_the_angles_it_has_alone(kind: str, tmp_path: Path) -> None:
    """Beside longer ones too: transformers would choose by the longest of a batch, and remember it."""
    config = small_config("phi3" if kind == "longrope" else "llama", rope_parameters=SCALINGS[kind])
    config.max_position_embeddings = 24
    if kind == "longrope":
        config.original_max_position_embeddings = 12
    folder = save_small(small_model(config), tmp_path)
    rows = random_rows(12, 13, 40, 5, 25)
    backbone = Backbone.open(BackboneSource(read_backbone_config(folder), folder))
    states = backbone.states(lay(rows)).split([len(row) for row in rows])
    for row, got in zip(rows, states, strict=True):
        fresh = small_model(read_backbone_config(folder))  # not one that has seen a longer text
        assert relative_difference(got, plain_states(fresh, row)[-1]) < 3e-6
