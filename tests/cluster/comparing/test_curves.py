"""Curves, regret, and where an arm began."""

import numpy as np
import pytest
from scipy.stats import trim_mean

from cluster.comparing.curves import before, curve, regrets
from tests.cluster.comparing.made import A, B, row, run, way

ONE, OTHER = run("runs/a-0", run__arm="a"), run("runs/a-1", run__arm="a", run__seed=1)


def test_a_curve_is_the_interquartile_mean_over_seeds_and_tasks():
    points = way(ONE, A, [0.0, 0.4, 0.8]) + way(ONE, B, [0.1, 0.2, 0.3])
    points += way(OTHER, A, [0.2, 0.5, 0.6], seconds=20.0) + way(OTHER, B, [0.1, 0.1, 0.9], seconds=20.0)
    found = curve(points, "a", 0.0, [A, B])
    assert found is not None
    assert list(found.env_steps) == [0, 500, 1000]
    assert list(found.seconds) == [0.0, 7.5, 15.0]
    assert found.band.value == pytest.approx(
        [trim_mean([0.0, 0.1, 0.2, 0.1], 0.25), 0.3, trim_mean([0.8, 0.3, 0.6, 0.9], 0.25)]
    )
    assert (found.band.low <= found.band.value).all()
    assert (found.band.value <= found.band.high).all()


def test_one_seed_has_a_curve_and_no_band():
    found = curve(way(ONE, A, [0.0, 0.4, 0.8], seconds=None), "a", 0.0, [A])
    assert found.band.low is None
    assert found.band.high is None
    assert found.seconds is None, "times that nobody noted are not made up"


def test_only_points_that_all_seeds_have():
    assert curve(way(ONE, A, [0.0, 0.4, 0.8]) + way(OTHER, A, [0.1, 0.2]), "a", 0.0, [A]) is None, "two in common"
    assert curve(way(ONE, A, [0.0, 0.8]), "a", 0.0, [A]) is None, "a beginning and an end are no curve"


def test_regret_is_the_area_below_the_expert():
    points = way(ONE, A, [0.0, 0.5, 1.0]) + way(OTHER, A, [1.0, 2.0, 3.0])
    assert regrets(points, "a", 0.0)[A] == pytest.approx([0.5, 0.0]), "beyond the expert there is no regret"
    assert regrets(way(ONE, A, [0.5, 0.5]), "a", 0.0) == {}, "nothing is known of the way"
    late = [point for point in way(ONE, A, [0.0, 0.1, 0.2, 0.3]) if point.env_steps > 0]
    assert regrets(late, "a", 0.0) == {}, "its beginning is not known"


def test_before_comes_from_the_run_itself_or_from_the_pretrained_arm():
    rows = [row(A, "pretrained", [30.0], seed) for seed in (0, 1)]
    assert before(rows, way(ONE, A, [0.1, 0.9]), "a", 0.0) == {(A, 0): 0.1, (A, 1): 0.3}
    assert before([], [], "a", 0.0) == {}
    assert np.isclose(before(rows, [], "a", 0.0)[A, 0], 0.3)
