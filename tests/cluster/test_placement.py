import pytest

from cluster.placement import shares


@pytest.mark.parametrize(
    ("gpus", "servers", "learners", "learner", "server"),
    [
        (0, 1, 1, 0, 0),
        (1, 1, 1, 0.5, 0.5),
        (1, 2, 1, 0.5, 0.25),
        (2, 1, 1, 1, 1),
        (2, 3, 1, 1, 0.333),
        (8, 3, 1, 1, 1),
        (0, 1, 0, 0, 0),  # several learners on CPUs
        (1, 2, 0, 0, 0.5),
        (8, 3, 0, 0, 1),
        (8, 1, 7, 1, 1),
        (8, 2, 7, 1, 0.5),
    ],
)
def test_gpus_are_shared_and_never_claimed_twice(
    gpus: float, servers: int, learners: int, learner: float, server: float
):
    assert shares(gpus, servers, learners) == {"learner": learner, "server": server}
    assert learners * learner + servers * server <= gpus
