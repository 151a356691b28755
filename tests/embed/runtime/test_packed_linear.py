"""Packed linear layers against the plain ones."""

import copy

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel

from lodex.embed.runtime.packed_linear import PackedLinear, pack_linear_layers

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


@pytest.mark.parametrize("shape", [(1, 1, 7), (3, 5, 7), (2, 300, 7), (0, 4, 7)])
@torch.inference_mode()
def test_a_packed_layer_equals_the_plain_one(shape: tuple[int, ...]) -> None:
    """Up to the rounding of seven float32 products; with an activation, up to that of its own function too."""
    torch.manual_seed(0)
    linear = nn.Linear(7, 13)
    x = torch.randn(shape)
    torch.testing.assert_close(PackedLinear(linear)(x), linear(x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(PackedLinear(linear, "gelu")(x), nn.functional.gelu(linear(x)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(PackedLinear(linear, "swish")(x), nn.functional.silu(linear(x)), rtol=1e-5, atol=1e-6)
    bare = nn.Linear(7, 13, bias=False)
    torch.testing.assert_close(PackedLinear(bare)(x), bare(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("activation", ["none", "gelu", "swish"])
@torch.inference_mode()
def test_a_row_does_not_depend_on_the_others(activation: str) -> None:
    """Bit for bit, from one row to many, at a width that fills no vector register."""
    torch.manual_seed(0)
    layer = PackedLinear(nn.Linear(96, 61), activation)
    x = torch.randn(70, 96)
    together = layer(x)
    for rows in (1, 2, 3, 16, 33):
        assert torch.equal(layer(x[:rows]), together[:rows])


@pytest.mark.parametrize("activation", ["gelu", "relu", "gelu_new"])
@torch.inference_mode()
def test_a_packed_model_equals_the_plain_one(activation: str) -> None:
    """Every linear layer is replaced, and only the exact GELU is drawn into its layer."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=20,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        hidden_act=activation,
    )
    plain = BertModel(config, add_pooling_layer=False).eval()
    packed = copy.deepcopy(plain)
    pack_linear_layers(packed)
    assert not any(isinstance(module, nn.Linear) for module in packed.modules())
    ids = torch.randint(0, 20, (3, 9))
    torch.testing.assert_close(
        packed(input_ids=ids).last_hidden_state, plain(input_ids=ids).last_hidden_state, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("activation", ["silu", "gelu"])
@torch.inference_mode()
def test_a_packed_decoder_equals_the_plain_one(activation: str) -> None:
    """Layers without bias too; SiLU is drawn into the gate's layer, another activation stays where it is."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=44,
        hidden_act=activation,
    )
    plain = LlamaModel(config).eval()
    packed = copy.deepcopy(plain)
    pack_linear_layers(packed)
    assert not any(isinstance(module, nn.Linear) for module in packed.modules())
    ids = torch.randint(0, 20, (3, 9))
    torch.testing.assert_close(
        packed(input_ids=ids).last_hidden_state, plain(input_ids=ids).last_hidden_state, rtol=1e-5, atol=1e-5
    )
