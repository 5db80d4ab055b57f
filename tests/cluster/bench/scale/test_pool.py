"""The driver's pool over simulated actors."""

import asyncio

import pytest

from actors.actor import ActorStats
from cluster.actor_pool import ROOM
from cluster.bench.engine import POLICY, TASK
from cluster.bench.scale.crowd import Crowd
from cluster.bench.scale.pool import SimulatedPool, configuration
from cluster.bench.train_windows import windows
from cluster.local_ray import get, kill, start
from cluster.start import fresh


class Slow(Crowd):
    """A process whose answers are late, as on a machine with more to do than it can."""

    async def stats(self, number: int) -> ActorStats:
        await asyncio.sleep(2 * ROOM)
        return await super().stats(number)


@pytest.mark.timeout(120)
def test_actors_that_answer_late_are_waited_for(ray_cluster):
    layouts = fresh(POLICY, configuration(1).tasks, None, 0).layouts
    crowd = start(Slow, layouts[TASK], 4, windows(1, POLICY.context), concurrency=16)
    try:
        pool = SimulatedPool(2, [crowd], 0.01, layouts)
        assert pool.here == 0
        while pool.here < 2:
            pool.watch(ROOM)
        pool.stop()
        assert get(crowd.counters.remote()).steps > 0
    finally:
        kill(crowd)
