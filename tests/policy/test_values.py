import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policy.values import bin_centres, expectation, histogram, symexp, symlog

BINS = bin_centres(128, 9.0).double()
STEP = float(BINS[1] - BINS[0])
INSIDE = 9.0 - 4 * STEP  # as far out as the Gaussian of a target fits into the bins


@given(st.floats(-1e4, 1e4))
def test_symexp_inverts_symlog(x):
    value = torch.tensor(x, dtype=torch.float64)
    assert symexp(symlog(value)).item() == pytest.approx(x, rel=1e-9, abs=1e-9)


@given(st.lists(st.floats(-INSIDE, INSIDE), min_size=1, max_size=5))
def test_the_expectation_of_a_target_is_the_value(values):
    wanted = torch.tensor(values, dtype=torch.float64)
    target = histogram(wanted, BINS)
    assert target.shape == (len(values), 128)
    assert torch.allclose(target.sum(-1), torch.ones_like(wanted))
    assert ((target * BINS).sum(-1) - wanted).abs().max() < 1e-3 * STEP
    value = expectation(target.clamp(min=1e-300).log(), BINS)
    assert torch.allclose(symlog(value), wanted, atol=1e-3 * STEP)


def test_values_beyond_the_outermost_bins_are_clipped():
    target = histogram(torch.tensor([-1e9, 1e9], dtype=torch.float64), BINS)
    assert target.argmax(-1).tolist() == [0, 127]
    assert target.isfinite().all()


def test_bins_are_symmetric_and_stand_for_zero_when_undecided():
    assert torch.allclose(BINS, -BINS.flip(0))
    assert expectation(torch.zeros(3, 128), BINS.float()).abs().max() < 1e-4
