import pytest

from cluster.placement import shares


@pytest.mark.parametrize(
    ("gpus", "servers", "learner", "server"),
    [(0, 1, 0, 0), (1, 1, 0.5, 0.5), (1, 2, 0.5, 0.25), (2, 1, 1, 1), (2, 3, 1, 0.333), (8, 3, 1, 1)],
)
def test_gpus_are_shared_and_never_claimed_twice(gpus: float, servers: int, learner: float, server: float):
    assert shares(gpus, servers) == {"learner": learner, "server": server}
    assert learner + servers * server <= gpus
