"""Losses against closed forms, in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner import losses
from policy.values import bin_centres, expectation, histogram, symlog

F64 = torch.float64


def test_cloning_with_weights_of_one_is_the_mean_cross_entropy_to_the_bit():
    logits = torch.randn(50, 7, dtype=F64)
    target = torch.randint(7, (50,))
    log_probs = torch.log_softmax(logits, -1)[torch.arange(50), target]
    expected = -(log_probs.sum() / 50)
    assert losses.cloning(log_probs, torch.ones(50, dtype=F64), 50) == expected
    torch.testing.assert_close(expected, torch.nn.functional.cross_entropy(logits, target))


def test_exponential_weights_are_cut_off_at_the_limit():
    weights, cut = losses.exponential_weights(torch.tensor([0.0, 1.0, 50.0, 1e6], dtype=F64), 2.0, 20.0)
    torch.testing.assert_close(weights, torch.tensor([1.0, math.exp(0.5), 20.0, 20.0], dtype=F64))
    assert cut.tolist() == [False, False, True, True]


@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.booleans())
@settings(max_examples=60, deadline=None)
def test_lambda_returns_equal_the_forward_view(seed, lambda_, terminated):
    """Sutton and Barto, equation 12.2 written out: a weighted mean of n-step returns."""
    generator = torch.Generator().manual_seed(seed)
    steps, gamma = 6, 0.9
    length = int(torch.randint(1, steps + 1, (1,), generator=generator))
    rewards = torch.randn(1, steps, dtype=F64, generator=generator)
    following = torch.randn(1, steps, dtype=F64, generator=generator)
    ends = torch.zeros(1, steps, dtype=torch.bool)
    ends[0, length - 1] = terminated
    result = losses.lambda_returns(
        rewards, following, ends, torch.tensor([length]), torch.tensor([gamma], dtype=F64), lambda_
    )
    for start in range(length):
        n_step = []
        for n in range(1, length - start + 1):
            last = start + n - 1
            bootstrap = 0.0 if (terminated and last == length - 1) else gamma**n * float(following[0, last])
            n_step.append(sum(gamma**k * float(rewards[0, start + k]) for k in range(n)) + bootstrap)
        expected = sum((1 - lambda_) * lambda_ ** (n - 1) * value for n, value in enumerate(n_step[:-1], 1))
        expected += lambda_ ** (len(n_step) - 1) * n_step[-1]
        assert float(result[0, start]) == pytest.approx(expected, abs=1e-9)
    assert (result[0, length:] == 0).all()


def test_a_truncated_window_bootstraps_and_a_terminated_one_does_not():
    args = (torch.ones(1, 1, dtype=F64), torch.full((1, 1), 10.0, dtype=F64))
    length, gamma = torch.tensor([1]), torch.tensor([0.5], dtype=F64)
    assert losses.lambda_returns(*args, torch.tensor([[False]]), length, gamma, 0.95) == 6.0
    assert losses.lambda_returns(*args, torch.tensor([[True]]), length, gamma, 0.95) == 1.0


@pytest.mark.parametrize("target", [-800.0, -3.0, 0.0, 0.4, 37.5])
def test_categorical_loss_has_its_minimum_where_the_value_is_the_target(target):
    bins = bin_centres(64, 8.0).double()
    returns = torch.tensor([target], dtype=F64)
    logits = histogram(symlog(returns), bins).clamp(min=1e-300).log().requires_grad_()
    loss = losses.categorical(logits, returns, bins, torch.ones(1, dtype=F64), 1)
    loss.backward()
    assert float(logits.grad.abs().max()) < 1e-12
    assert float(expectation(logits.detach(), bins)) == pytest.approx(target, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("tau", [0.5, 0.7, 0.9])
def test_expectile_weighted_categorical_values_settle_at_the_expectile(tau):
    """The fixed point of weighted cross-entropy is the weighted mean of the targets: the expectile's own equation."""
    targets = torch.randn(200, dtype=F64, generator=torch.Generator().manual_seed(0)) * 3
    value = torch.tensor(0.0, dtype=F64)
    for _ in range(200):
        weights = losses.expectile_weights(targets - value, tau)
        value = (weights * targets).sum() / weights.sum()
    v = torch.tensor(0.0, dtype=F64, requires_grad=True)
    optimiser = torch.optim.LBFGS([v], max_iter=100, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        u = targets - v
        loss = (losses.expectile_weights(u.detach(), tau) * u**2).mean()  # IQL, equation 4
        loss.backward()
        return loss

    for _ in range(5):
        optimiser.step(closure)
    assert float(v.detach()) == pytest.approx(float(value), abs=1e-6)


def test_no_limit_cuts_nothing():
    weights, cut = losses.exponential_weights(torch.tensor([0.0, 5.0], dtype=F64), 1.0, None)
    torch.testing.assert_close(weights, torch.tensor([1.0, math.exp(5.0)], dtype=F64))
    assert not cut.any()


def test_conservative_term_equals_its_closed_form():
    q = torch.tensor([[1.0, 2.0], [0.0, -1.0]], dtype=F64)
    taken = torch.tensor([1, 0])
    expected = (math.log(math.e + math.e**2) - 2.0 + math.log(1.0 + math.exp(-1.0))) / 2
    assert float(losses.conservative(q, taken, None, 2)) == pytest.approx(expected, abs=1e-12)
    # Calibrated: Q below the floor is not pushed down, so it has no gradient there.
    q.requires_grad_()
    floor = torch.tensor([1.5, 5.0], dtype=F64)
    loss = losses.conservative(q, taken, floor, 2)
    expected = (math.log(math.exp(1.5) + math.e**2) - 2.0 + math.log(2 * math.e**5)) / 2
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-12)
    loss.backward()
    above = math.e**2 / (math.exp(1.5) + math.e**2)
    torch.testing.assert_close(q.grad, torch.tensor([[0.0, (above - 1) / 2], [-0.5, 0.0]], dtype=F64))


def test_the_improved_policy_is_the_best_at_its_price():
    """E_p[Q] - temperature KL(p || pi) is greatest at `improved` (MPO, equation 7): no random policy beats it."""
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.log_softmax(torch.randn(1, 5, dtype=F64, generator=generator), 1)
    values = torch.randn(1, 5, dtype=F64, generator=generator)
    best = losses.improved(log_probs, values, torch.tensor([0.7], dtype=F64))

    def worth(policy: torch.Tensor) -> torch.Tensor:
        return (policy * (values - 0.7 * (policy.log() - log_probs))).sum(1)

    others = torch.softmax(3 * torch.randn(1000, 5, dtype=F64, generator=generator), 1)
    near = torch.softmax(best.log() + 0.01 * torch.randn(1000, 5, dtype=F64, generator=generator), 1)
    assert (worth(best) > worth(others)).all()
    assert (worth(best) >= worth(near)).all()
    torch.testing.assert_close(worth(best), 0.7 * torch.logsumexp(log_probs + values / 0.7, 1))


def test_cross_entropy_has_the_gradient_of_the_divergence():
    logits = torch.randn(4, 6, dtype=F64, requires_grad=True)
    target = torch.softmax(torch.randn(4, 6, dtype=F64), 1)
    losses.cross_entropy_to(target, torch.log_softmax(logits, 1)).sum().backward()
    torch.testing.assert_close(logits.grad, (torch.softmax(logits, 1) - target).detach())


def test_returns_beyond_the_bins_are_counted_and_clipped():
    bins = bin_centres(64, 2.0).double()
    returns = torch.tensor([[0.0, math.expm1(2.0) - 1e-3, 7.0, -1000.0], [7.0, 7.0, 0.0, 0.0]], dtype=F64)
    trained = torch.tensor([[True] * 4, [True, False, True, True]])
    assert losses.outside(returns, trained, bins).tolist() == [2, 1]
    highest, lowest = (histogram(symlog(torch.tensor([bound], dtype=F64)), bins) for bound in (1e9, -1e9))
    torch.testing.assert_close(histogram(symlog(returns[0, 2:3]), bins), highest)
    torch.testing.assert_close(histogram(symlog(returns[0, 3:]), bins), lowest)
    torch.testing.assert_close(highest, lowest.flip(1))
    assert highest.argmax() == 63
