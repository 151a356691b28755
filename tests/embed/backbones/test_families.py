"""Which models are run, and the reason told for those that are not."""

from pathlib import Path
from typing import Any

import pytest

from lodex.embed.backbones.config import read_backbone_config
from lodex.embed.backbones.families import FAMILIES, find_family
from lodex.errors import InvalidArgumentError
from tests.embed.backbones.small_models import small_config
from tests.embed.conftest import write_json

PATH = Path("somewhere/config.json")


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ({"model_type": "mixtral", "num_local_experts": 8}, "mixtral has mixtures of experts"),
        ({"model_type": "qwen3_moe", "num_experts": 128}, "qwen3_moe has mixtures of experts"),
        ({"model_type": "gpt_oss"}, "gpt_oss has mixtures of experts"),
        ({"model_type": "deepseek_v3"}, "deepseek_v3 has mixtures of experts"),
        ({"model_type": "mamba2"}, "mamba2 has state-space layers"),
        ({"model_type": "jamba"}, "jamba has state-space layers"),
        ({"model_type": "recurrent_gemma", "lru_width": 8}, "recurrent_gemma has recurrent layers"),
        ({"model_type": "qwen3_next"}, "qwen3_next has linear-attention layers"),
        # Unknown by name, known by what they have.
        ({"model_type": "new", "n_routed_experts": 4}, "new has mixtures of experts"),
        ({"model_type": "new", "mamba_d_state": 4}, "new has state-space layers"),
        ({"model_type": "llama", "linear_num_key_heads": 4}, "llama has linear-attention layers"),
    ],
)
def test_what_no_flag_makes_bidirectional_is_refused_by_name(stated: dict[str, Any], reason: str) -> None:
    """The model's type and what stands against it."""
    with pytest.raises(InvalidArgumentError, match=reason):
        find_family(stated, PATH)


@pytest.mark.parametrize("model_type", ["t5", "gemma3", None, 3])
def test_other_models_are_refused_with_those_there_are(model_type: Any) -> None:
    """The families that Lodex runs are named."""
    with pytest.raises(InvalidArgumentError, match=r"expected one of llama, mistral.*xlm-roberta"):
        find_family({"model_type": model_type}, PATH)


def test_one_expert_is_none() -> None:
    """A dense model may say so."""
    assert find_family({"model_type": "llama", "num_local_experts": 1}, PATH) is FAMILIES["llama"]


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_saved_configuration_is_read(model_type: str, tmp_path: Path) -> None:
    """What transformers writes of each family."""
    small_config(model_type).save_pretrained(tmp_path)
    config = read_backbone_config(tmp_path)
    assert config.model_type == model_type
    assert FAMILIES[model_type].max_tokens(config) == 64


@pytest.mark.parametrize(
    ("stated", "complaint"),
    [
        ({"model_type": "bert", "position_embedding_type": "relative_key"}, "position_embedding_type 'absolute'"),
        ({"model_type": "bert", "is_decoder": True}, "is_decoder false"),
        ({"model_type": "roberta", "pad_token_id": None}, "positions count from pad_token_id"),
        ({"model_type": "llama", "hidden_size": 0}, "hidden_size is 0"),
    ],
)
def test_settings_that_would_be_passed_over_are_refused(stated: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    """Transformers 5 reads absolute positions whatever a configuration says."""
    write_json(tmp_path / "config.json", stated)
    with pytest.raises(InvalidArgumentError, match=complaint):
        read_backbone_config(tmp_path)
