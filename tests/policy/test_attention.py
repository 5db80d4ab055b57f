"""Attention written out equals PyTorch's, whichever is faster."""

import pytest
import torch
from torch.nn import functional

from policy.attention import attention


def fused(q, k, v, mask):
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("count", [1, 7, 64, 65])
def test_it_equals_the_fused_kernel_and_so_do_its_gradients(count, masked):
    torch.manual_seed(0)
    mask = None
    if masked:
        mask = (torch.rand(2, 1, count, count) < 0.3) | torch.eye(count, dtype=torch.bool)
    given = torch.randn(3, 2, 4, count, 8, dtype=torch.float64)
    results = []
    for attend in (attention, fused):
        q, k, v = (part.clone().requires_grad_() for part in given)
        out = attend(q, k, v, mask)
        out.pow(3).sum().backward()
        results.append([out.detach(), q.grad, k.grad, v.grad])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seen", [9, 65])
def test_a_few_tokens_may_see_more(seen):
    torch.manual_seed(0)
    q = torch.randn(2, 4, 5, 8, dtype=torch.float64)
    k, v = torch.randn(2, 2, 4, seen, 8, dtype=torch.float64)
    mask = torch.rand(2, 1, 5, seen) < 0.3
    mask[..., 0] = True
    torch.testing.assert_close(attention(q, k, v, mask), fused(q, k, v, mask), rtol=1e-10, atol=1e-12)


def test_a_token_does_not_see_later_ones():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, 1, 9, 4, dtype=torch.float64)
    before = attention(q, k, v)
    k[..., 6, :] += 1.0
    v[..., 6, :] -= 1.0
    after = attention(q, k, v)
    assert torch.equal(before[..., :6, :], after[..., :6, :])
    assert not torch.allclose(before[..., 6:, :], after[..., 6:, :])


def test_bfloat16_is_as_near_as_its_precision():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 192, 32)
    exact = attention(q.double(), k.double(), v.double())
    near = attention(q.bfloat16(), k.bfloat16(), v.bfloat16()).double()
    assert (near - exact).abs().mean() < 0.005
