import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.experts.filtering import choose, expert_return, window


@pytest.mark.parametrize(("episodes", "expected"), [(1, 1), (9, 1), (10, 1), (59, 5), (10_000, 1000), (50_000, 1000)])
def test_the_window_is_a_tenth_up_to_a_thousand(episodes, expected):
    assert window(episodes) == expected


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=80))
def test_the_experts_return_is_the_best_window(returns):
    width = window(len(returns))
    means = [np.mean(returns[first : first + width]) for first in range(len(returns) - width + 1)]
    assert expert_return(np.array(returns)) == pytest.approx(max(means), abs=1e-6)


def test_positive_returns_must_reach_four_fifths_of_the_experts():
    kept, asked = choose(np.array([100.0, 80.0, 79.9, 0.0]), random=20.0)
    assert kept.tolist() == [True, True, False, False]
    assert (asked.expert_return, asked.at_least, asked.played, asked.kept) == (100.0, 80.0, 4, 2)


def test_negative_returns_count_from_the_random_players():
    returns = np.array([-100.0, -280.0, -281.0, -1000.0])
    assert choose(returns, random=-1000.0)[0].tolist() == [True, True, False, False]
    assert choose(returns, random=np.nan)[0].tolist() == [True, True, False, False]
