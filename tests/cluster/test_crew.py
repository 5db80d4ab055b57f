import os

import pytest

from cluster.crew import share
from cluster.local_ray import ProcessError
from policy.errors import OcelotError


class Doubling:
    """Refuses a limit below 1, as a class refuses bad arguments."""

    def __init__(self, limit: int):
        if limit < 1:
            raise OcelotError(f"a limit of {limit}; give at least 1")
        self.limit = limit

    def double(self, job: int) -> int:
        if job > self.limit:
            raise OcelotError(f"{job} is above {self.limit}")
        if job < 0:
            os._exit(1)
        return 2 * job


@pytest.mark.parametrize("processes", [1, 2])
def test_every_job_is_done_once(ray_cluster, processes):
    assert sorted(share(Doubling, {"limit": 9}, "double", range(6), processes)) == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize("processes", [1, 2])
def test_what_the_class_or_a_job_raises_arrives_as_it_was(ray_cluster, processes):
    with pytest.raises(OcelotError, match=r"^a limit of 0; give at least 1$"):
        list(share(Doubling, {"limit": 0}, "double", range(3), processes))
    with pytest.raises(OcelotError, match=r"^2 is above 1$"):
        list(share(Doubling, {"limit": 1}, "double", range(3), processes))


def test_a_process_that_dies_is_told_in_words(ray_cluster):
    with pytest.raises(ProcessError, match="a process that played died"):
        list(share(Doubling, {"limit": 9}, "double", [1, -1, 2], 2))
