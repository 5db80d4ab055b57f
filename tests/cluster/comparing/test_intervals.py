import numpy as np
import pytest
from scipy import stats

from cluster.comparing.intervals import interquartile_mean, mean_of_means


def test_no_spread_no_interval():
    assert mean_of_means([np.full(5, 2.0), np.full(9, 4.0)]) == (3.0, 3.0, 3.0)


def test_percentile_bootstrap_of_a_mean_is_near_the_normal_interval():
    sample = np.random.default_rng(0).normal(1.0, 2.0, 400)
    value, low, high = mean_of_means([sample])
    half = 1.96 * sample.std() / np.sqrt(len(sample))
    assert value == pytest.approx(sample.mean())
    assert low == pytest.approx(sample.mean() - half, abs=0.05 * half + 0.01)
    assert high == pytest.approx(sample.mean() + half, abs=0.05 * half + 0.01)


def test_strata_count_alike_whatever_their_size():
    generator = np.random.default_rng(1)
    small, large = generator.normal(0.0, 1.0, 100), generator.normal(1.0, 1.0, 900)
    value, low, high = mean_of_means([small, large])
    assert value == pytest.approx((small.mean() + large.mean()) / 2)
    half = 1.96 * np.sqrt(small.var() / 100 + large.var() / 900) / 2
    assert high - low == pytest.approx(2 * half, rel=0.08)


def test_same_seed_same_interval():
    sample = np.random.default_rng(3).normal(size=20)
    assert mean_of_means([sample]) == mean_of_means([sample])
    assert mean_of_means([sample], seed=1) != mean_of_means([sample])


def test_interquartile_mean_is_rliables():
    scores = np.random.default_rng(2).normal(size=(5, 4))
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    value, low, high = interquartile_mean(scores)
    assert value == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))
    assert low < value < high
    assert interquartile_mean(scores) == (value, low, high)
    assert (np.random.get_state()[1] == before).all(), "NumPy's generator is left as it was"  # noqa: NPY002
