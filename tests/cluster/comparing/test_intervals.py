import numpy as np
import pytest
from scipy import stats

from cluster.comparing.intervals import (
    interquartile_curve,
    interquartile_mean,
    mean_of_means,
    performance_profile,
    probability_of_improvement,
)


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


SCORES = np.random.default_rng(4).normal(0.5, 0.3, (6, 5))
OTHERS = np.random.default_rng(5).normal(0.4, 0.3, (4, 5))


def test_interquartile_mean_is_rliables():
    from rliable import library, metrics

    value, low, high = interquartile_mean(SCORES)
    assert value == pytest.approx(stats.trim_mean(SCORES, 0.25, axis=None))
    _, interval = library.get_interval_estimates(
        {"a": SCORES}, lambda sample: np.array([metrics.aggregate_iqm(sample)]), reps=2000
    )
    assert (low, high) == pytest.approx(tuple(interval["a"][:, 0]), abs=0.02)
    assert interquartile_mean(SCORES) == (value, low, high)


def test_performance_profile_is_rliables():
    from rliable import library

    thresholds = np.linspace(0.0, 1.0, 11)
    band = performance_profile(SCORES, thresholds)
    value, interval = library.create_performance_profile({"a": SCORES}, thresholds, reps=1000)
    assert band.value == pytest.approx(value["a"])
    assert band.low == pytest.approx(interval["a"][0], abs=0.05)
    assert band.high == pytest.approx(interval["a"][1], abs=0.05)


def test_probability_of_improvement_is_rliables():
    from rliable import library, metrics

    found = probability_of_improvement(SCORES, OTHERS)
    assert found.value == pytest.approx(metrics.probability_of_improvement(SCORES, OTHERS))
    _, interval = library.get_interval_estimates(
        {"a,b": (SCORES, OTHERS)}, metrics.probability_of_improvement, reps=400
    )
    assert (found.low, found.high) == pytest.approx(tuple(interval["a,b"][:, 0]), abs=0.06)
    ties = np.zeros((3, 2))
    assert probability_of_improvement(ties, ties) == (0.5, 0.5, 0.5)


def test_a_point_of_a_curve_is_the_interquartile_mean():
    band = interquartile_curve(np.stack([SCORES, SCORES + 1.0]))
    value, low, high = interquartile_mean(SCORES)
    assert band.value == pytest.approx([value, value + 1.0])
    assert (band.low[0], band.high[0]) == (low, high)


def test_one_seed_has_no_interval():
    one = SCORES[:1]
    assert interquartile_mean(one)[1:] == (None, None)
    assert probability_of_improvement(one, OTHERS)[1:] == (None, None)
    assert performance_profile(one, np.zeros(1)).low is None
    assert interquartile_curve(one[None]).high is None
