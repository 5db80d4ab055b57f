import logging

import pytest
import ray

from cluster.learners import Learners
from cluster.processes import Processes
from replay.errors import ReplayError


class Learner:
    """Stands in for one whose replay server is away for longer than a question waits."""

    def tables(self):
        raise ReplayError("the replay server has not answered")


@pytest.mark.timeout(60)
def test_a_replay_server_that_is_away_costs_its_figures_and_not_the_run(ray_cluster, caplog):
    processes = Processes.__new__(Processes)
    processes.learners = Learners([ray.remote(num_cpus=0)(Learner).remote()])
    with caplog.at_level(logging.WARNING):
        assert processes.tables() == {}
    assert "no figures of replay: the replay server has not answered" in caplog.text
