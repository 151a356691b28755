"""Muon and AdamW against plain formulas."""

import torch

from lodex.embed.training.llama import LlamaShape, TrainingLlama
from lodex.embed.training.optimizer import MuonAdamW, OptimizerSettings, orthogonalise

SHAPE = LlamaShape(vocab_size=31, hidden=16, layers=2, heads=2, intermediate=24, context=16)


def give_gradients(model: TrainingLlama, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)


def test_orthogonalise_brings_singular_values_near_one() -> None:
    """Tall, wide and square matrices, whatever their scale, come out with singular values around 1."""
    torch.manual_seed(0)
    for shape in ((3, 16, 16), (2, 40, 16), (2, 16, 40)):
        values = torch.linalg.svdvals(orthogonalise(100 * torch.randn(shape)))
        assert values.min() > 0.2, shape
        assert values.max() < 1.4, shape


def test_embedding_and_norms_step_as_torch_adamw_does() -> None:
    """Three steps of what is no matrix equal torch.optim.AdamW without decay, gradients being under the clip."""
    torch.manual_seed(1)
    model = TrainingLlama(SHAPE)
    copies = {name: parameter.detach().clone().requires_grad_() for name, parameter in model.named_parameters()}
    others = [copies[name] for name in copies if name in ("embedding", "norm") or name.endswith("_norm")]
    peer = torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0)
    ours = MuonAdamW(model, OptimizerSettings(clip_norm=1e9))
    for step in range(3):
        give_gradients(model, step)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            copies[name].grad = parameter.grad.clone()
        ours.step(1.0)
        peer.step()
    for name, parameter in model.named_parameters():
        if any(parameter.shape == other.shape and copies[name] is other for other in others):
            torch.testing.assert_close(parameter.detach(), copies[name].detach(), rtol=1e-5, atol=1e-6)


def test_fused_matrices_are_orthogonalised_apart() -> None:
    """The rows of q, k and v each step as a matrix of their own, by the formula of Muon."""
    torch.manual_seed(2)
    model = TrainingLlama(SHAPE)
    before = model.layers[0].qkv.detach().clone()
    give_gradients(model, 5)
    grad = model.layers[0].qkv.grad.clone()
    MuonAdamW(model, OptimizerSettings(matrix_lr=0.1, weight_decay=0.5, clip_norm=1e9)).step(1.0)
    momentum = 0.05 * grad
    update = 0.05 * grad + 0.95 * momentum
    pieces = [orthogonalise(piece[None])[0] for piece in update.chunk(3)]
    expected = before * (1 - 0.1 * 0.5) - 0.1 * torch.cat(pieces)
    torch.testing.assert_close(model.layers[0].qkv.detach(), expected, rtol=1e-3, atol=2e-3)


def test_gradients_are_clipped_by_their_common_norm() -> None:
    """The norm that comes back is of all gradients, and a step does not depend on gradients beyond the clip's scale."""
    torch.manual_seed(3)
    one, other = TrainingLlama(SHAPE), TrainingLlama(SHAPE)
    other.load_state_dict(one.state_dict())
    give_gradients(one, 1)
    give_gradients(other, 1)
    for parameter in other.parameters():
        parameter.grad *= 10
    norm = MuonAdamW(one, OptimizerSettings(clip_norm=0.5)).step(1.0)
    larger = MuonAdamW(other, OptimizerSettings(clip_norm=0.5)).step(1.0)
    assert abs(larger / norm - 10) < 1e-3
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_restored_state_goes_on_as_if_never_interrupted() -> None:
    """Two steps, saved, restored elsewhere and a third equal three steps, in bfloat16 with float32 masters."""
    torch.manual_seed(4)
    model = TrainingLlama(SHAPE).bfloat16()
    optimizer = MuonAdamW(model, OptimizerSettings())
    for step in range(2):
        give_gradients(model, step)
        optimizer.step(1.0)
    other = TrainingLlama(SHAPE).bfloat16()
    resumed = MuonAdamW(other, OptimizerSettings())
    resumed.restore({name: tensor.clone() for name, tensor in optimizer.state().items()})
    for each, its in ((model, optimizer), (other, resumed)):
        give_gradients(each, 9)
        its.step(0.5)
    assert all(torch.equal(optimizer.masters[name], resumed.masters[name]) for name in optimizer.masters)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
