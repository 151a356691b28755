"""The training model against transformers' Llama."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lodex.embed.training.llama import LlamaShape, TrainingLlama, causal_attention, export_weights, import_weights
from lodex.errors import InvalidArgumentError

SHAPE = LlamaShape(vocab_size=97, hidden=32, layers=3, heads=4, intermediate=48, context=64)


def reference() -> LlamaForCausalLM:
    """Transformers' model of the same shape."""
    config = LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("length", [1, 3, 4, 37, 64])
def test_states_are_those_of_transformers(length: int) -> None:
    """The exported weights mean the same model, at lengths that the blocks of queries divide and that they do not."""
    torch.manual_seed(0)
    model, peer = TrainingLlama(SHAPE), reference()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3).add_(0.01 * torch.randn_like(parameter))  # norms that are not all one
    weights = export_weights(model.state_dict())
    peer.load_state_dict({**weights, "lm_head.weight": weights["model.embed_tokens.weight"]}, strict=True)
    ids = torch.randint(97, (2, length))
    with torch.no_grad():
        expected = peer.model(input_ids=ids).last_hidden_state
        torch.testing.assert_close(model(ids), expected, rtol=1e-4, atol=1e-4)


def test_import_undoes_export() -> None:
    """Weights that go out and come back are the same."""
    weights = TrainingLlama(SHAPE).state_dict()
    back = import_weights(export_weights(weights), SHAPE.layers)
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weights[name]) for name in weights)


def test_the_shape_counts_its_parameters() -> None:
    """`parameters` is what the model holds."""
    assert SHAPE.parameters == sum(parameter.numel() for parameter in TrainingLlama(SHAPE).parameters())


def test_attention_equals_the_full_square() -> None:
    """Attention in blocks equals softmax over the whole masked square."""
    torch.manual_seed(1)
    q, k, v = torch.randn(3, 2, 4, 29, 8)
    scores = (q @ k.mT) / 8**0.5
    expected = scores.masked_fill(torch.ones(29, 29, dtype=torch.bool).triu(1), -torch.inf).softmax(-1) @ v
    torch.testing.assert_close(causal_attention(q, k, v), expected, rtol=1e-5, atol=1e-6)


def test_padding_on_the_right_changes_nothing_before_it() -> None:
    """A batch may hold rows of several lengths."""
    torch.manual_seed(2)
    model = TrainingLlama(SHAPE)
    ids = torch.randint(97, (1, 20))
    padded = torch.cat([ids, torch.randint(97, (1, 12))], dim=1)
    torch.testing.assert_close(model(padded)[:, :20], model(ids), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("hidden", "heads"), [(16, 3), (12, 4), (8, 16), (16, 0)])
def test_heads_that_do_not_divide_the_width_are_refused(hidden: int, heads: int) -> None:
    """Heads are of one even size, and at least one."""
    with pytest.raises(InvalidArgumentError, match=f"hidden is {hidden} and heads is {heads}"):
        LlamaShape(97, hidden=hidden, heads=heads)
