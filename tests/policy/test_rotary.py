"""Rotary positions turn pairs of numbers, and back."""

import pytest
import torch

from policy.rotary import Turn, rotary, turn


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("key", [2, 16, 24])
def test_queries_and_keys_are_turned_and_values_are_not(dtype, key):
    torch.manual_seed(0)
    heads, rows = 3, (4, 5)
    joint = torch.randn(*rows, 3 * heads * key).to(dtype)
    angle = 10.0 * torch.rand(*rows, 1, 1, key // 2, dtype=torch.float64)
    own = joint.clone()
    turn(own, angle.cos().to(dtype), angle.sin().to(dtype), heads)
    parts = joint.double().view(*rows, 3, heads, key)
    pairs = torch.complex(*parts[..., :2, :, :].chunk(2, dim=-1)) * torch.polar(torch.ones_like(angle), angle)
    expected = torch.cat([pairs.real, pairs.imag], dim=-1)
    found = own.double().view_as(parts)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 0.04, torch.float64: 1e-12}[dtype]
    assert (found[..., :2, :, :] - expected).abs().max() < tolerance
    assert torch.equal(found[..., 2, :, :], parts[..., 2, :, :])
    turn(own, angle.cos().to(dtype), angle.sin().to(dtype), heads, back=True)
    assert (own.double() - joint.double()).abs().max() < 2 * tolerance


def test_its_gradient_is_that_of_a_rotation():
    angle = torch.rand(5, 1, 1, 2, dtype=torch.float64)
    joint = torch.randn(5, 3 * 2 * 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: Turn.apply(x.clone(), angle.cos(), angle.sin(), 2), (joint,))


def test_scores_depend_on_distance_alone():
    cos, sin = rotary(40, 8)
    q, k = torch.randn(2, 1, 8)

    def score(query: int, key: int) -> float:
        joint = torch.cat([q, k, k], dim=-1).repeat(2, 1)  # one head
        at = torch.tensor([query, key])
        turn(joint, cos[at][:, None, None], sin[at][:, None, None], 1)
        return float(joint[0, :8] @ joint[1, 8:16])

    assert score(3, 1) == pytest.approx(score(30, 28), abs=1e-5)
    assert score(3, 1) != pytest.approx(score(30, 20), abs=1e-3)
