import time

import pytest

from cluster.board import Board
from cluster.watching.events import Point, mean_over_time, read_scalars


def test_points_are_read_and_those_that_a_resumed_run_replaced_are_not(tmp_path):
    first = Board(tmp_path)
    for step in (10, 20, 30):
        first.scalars({"losses/bc/loss": float(step)}, step)
    first.close()
    time.sleep(1.1)  # event files are named by the second
    resumed = Board(tmp_path, resumed_at=21)
    resumed.scalars({"losses/bc/loss": 300.0}, 30)
    resumed.close()
    points = read_scalars(tmp_path)["losses/bc/loss"]
    assert [(each.step, each.value) for each in points] == [(10, 10.0), (20, 20.0), (30, 300.0)]
    assert points[0].seconds > 1.7e9


@pytest.mark.parametrize(
    ("points", "mean"),
    [
        ([(0.0, 5.0)], 5.0),
        (
            [(0.0, 99.0), (1.0, 4.0), (4.0, 8.0)],
            7.0,
        ),  # 4 for one second, 8 for three
    ],
)
def test_means_weigh_points_by_the_time_that_they_stand_for(points, mean):
    assert mean_over_time([Point(seconds, 0, value) for seconds, value in points]) == mean
