import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.continuous import BINS, inverse_mu_law, mu_law, to_bins, to_values


@pytest.mark.parametrize(
    ("x", "expected"), [(0.01, 0.0683), (0.1, 0.2362), (1, 0.4547), (10, 0.6806), (100, 0.9074), (256, 1.0)]
)
def test_mu_law_has_the_published_values_and_is_odd(x, expected):
    assert mu_law(np.array(x)) == pytest.approx(expected, abs=5e-5)
    assert mu_law(np.array(-x)) == pytest.approx(-expected, abs=5e-5)


@given(st.floats(-256, 256))
def test_mu_law_inverts(x):
    assert inverse_mu_law(mu_law(np.array(x))) == pytest.approx(x, rel=1e-9, abs=1e-12)


@given(st.floats(-1, 1), st.integers(2, 1024))
def test_a_value_comes_back_within_half_a_bin(x, bins):
    assert abs(to_values(to_bins(np.array(x), bins), bins) - x) <= 1.0 / bins + 1e-12


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(2, 1024))
def test_every_finite_value_stays_in_range(x, bins):
    assert 0 <= to_bins(np.array(x), bins) < bins


def test_the_ends_fall_into_the_outermost_bins_and_decode_to_centres():
    assert to_bins(np.array([-1.0, 1.0, -300.0, 300.0])).tolist() == [0, BINS - 1, 0, BINS - 1]
    assert to_values(np.array([0, BINS - 1])).tolist() == [1 / BINS - 1, 1 - 1 / BINS]
    centres = to_values(np.arange(BINS))
    assert to_bins(centres).tolist() == list(range(BINS))
    assert centres.mean() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(wrong):
    with pytest.raises(ValueError, match="not finite"):
        to_bins(np.array([0.0, wrong]))
