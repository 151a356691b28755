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


@pytest.mark.parametrize("activation", ["none", "gelu", "swish"])
@pytest.mark.parametrize(("inputs", "outputs"), [(1536, 384), (96, 61), (40, 7)])
@torch.inference_mode()
def test_a_row_of_bfloat16_does_not_depend_on_the_others(activation: str, inputs: int, outputs: int) -> None:
    """Bit for bit as alone, for numbers of rows that oneDNN itself adds up in different orders."""
    torch.manual_seed(0)
    layer = PackedLinear(nn.Linear(inputs, outputs).bfloat16(), activation)
    x = torch.randn(2500, inputs).bfloat16()
    residual = torch.randn(2500, outputs).bfloat16()
    expected = torch.cat([layer(row[None]) for row in x[:33]])
    added = torch.cat([layer.added(row[None], more[None]) for row, more in zip(x[:33], residual, strict=False)])
    for rows in (33, 64, 70, 128, 200, 256, 300, 512, 777, 1024, 1100, 2048, 2500):
        together = layer(x[:rows])
        assert together.dtype == torch.bfloat16
        assert torch.equal(together[:33], expected)
        assert torch.equal(together[-1:], layer(x[rows - 1 : rows]))
        if activation == "none":
            assert torch.equal(layer.added(x[:rows], residual[:rows])[:33], added)


@torch.inference_mode()
def test_a_packed_layer_of_bfloat16_rounds_once() -> None:
    """Sums are float32: what differs from float64 over the same rounded numbers is the rounding of the result."""
    torch.manual_seed(0)
    linear = nn.Linear(1536, 48).bfloat16()
    x = torch.randn(50, 1536).bfloat16()
    exact = x.double() @ linear.weight.double().T + linear.bias.double()
    torch.testing.assert_close(PackedLinear(linear)(x).double(), exact, rtol=2**-8, atol=1e-5)


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
