import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.returns import BINS, ReturnScale, returns_to_go


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20))
def test_rewards_sum_to_the_first_return_to_go(rewards):
    assert returns_to_go(np.array(rewards))[0] == pytest.approx(sum(rewards), abs=1e-9)


def test_discount_and_what_follows():
    assert returns_to_go(np.array([1.0, 2.0]), discount=0.5, after=4.0).tolist() == [3.0, 4.0]


@given(st.floats(-50, 250))
def test_a_return_comes_back_within_half_a_bin(value):
    scale = ReturnScale(-50, 250)
    assert abs(scale.to_values(scale.to_bins(np.array(value))) - value) <= 300 / BINS / 2 + 1e-9


def test_returns_are_clipped_and_must_be_finite():
    scale = ReturnScale(0, 10)
    assert scale.to_bins(np.array([-5.0, 0.0, 10.0, 99.0])).tolist() == [0, 0, BINS - 1, BINS - 1]
    with pytest.raises(ValueError, match="not finite"):
        scale.to_bins(np.array([np.nan]))
