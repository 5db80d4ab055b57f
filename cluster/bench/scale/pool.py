"""The driver's own pool of actors, whose actors are simulated: many in one process."""

import time
from typing import Any

from cluster.actor_pool import ActorPool, Member
from cluster.bench.engine import POLICY, TASK
from cluster.bench.scale.crowd import Counters
from cluster.config import ActorsConfig, FinetuneConfig, RunConfig, ServerConfig, TaskConfig
from cluster.local_ray import get
from cluster.placement import Placement
from cluster.serving import Servers
from learner.schedule import Entry
from policy.layout import Layout

ENVIRONMENTS = 8  # of each actor
LOOK = 0.05  # seconds between the driver's looks at its actors


def configuration(actors: int) -> FinetuneConfig:
    """Of a run that nothing paces. Its learner clones what the policy does, so the workload stays as it is."""
    return FinetuneConfig(
        run=RunConfig(name="bench", updates=1),
        tasks=[TaskConfig(name=TASK)],
        policy=POLICY,
        schedule=[Entry("bc", data={"online": 1.0})],
        actors=ActorsConfig(processes=actors, environments=ENVIRONMENTS, steps=None),
        server=ServerConfig(),
    )


class SimulatedPool(ActorPool):
    """Actors that act from now until `stop`.

    Args:
        actors: how many.
        crowds: Ray handles of the processes that they are spread over.
        step: as in `Crowd.run`.
        layouts: of the task.
    """

    def __init__(self, actors: int, crowds: list[Any], step: float, layouts: dict[str, Layout]):
        self._crowds = crowds
        self._step = step
        self.look_seconds = 0.0
        """Spent in looks at the actors."""
        self.looks = 0
        get([crowd.ready.remote() for crowd in crowds])
        super().__init__(configuration(actors), layouts, POLICY.context, Servers([]), [], 0, Placement(cluster=False))

    def watch(self, seconds: float) -> None:
        """Looks after the actors for so long, as the driver of a run does."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.perf_counter()
            self.poll()
            self.look_seconds += time.perf_counter() - began
            self.looks += 1
            time.sleep(LOOK)

    def counters(self) -> Counters:
        """Of all actors."""
        each = [vars(counters) for counters in get([crowd.counters.remote() for crowd in self._crowds])]
        return Counters(**{name: sum(counters[name] for counters in each) for name in each[0]})

    def stop(self, timeout: float = 60.0) -> None:
        """Ends all actors; their processes stay."""
        get([crowd.stop.remote() for crowd in self._crowds])
        get([member.running for member in self.members], timeout=timeout)
        self._placement.release()

    def _start(self, member: Member) -> None:
        member.issued = None
        member.here = False
        member.placed = True  # its process is there
        member.handle = _Seat(self._crowds[member.number % len(self._crowds)], member.number)
        member.running = member.handle.crowd.run.remote(member.number, self._step)
        member.asked = None

    def _bury(self, member: Member, reason: Exception) -> None:
        """A benchmark in which an actor dies measures nothing."""
        raise reason


class _Seat:
    """One actor of a crowd, asked like an actor's own process."""

    def __init__(self, crowd: Any, number: int):
        self.crowd = crowd
        self.stats = _Call(crowd.stats, number)
        self.__ray_call__ = crowd.__ray_call__


class _Call:
    """A method of a process whose first argument is settled."""

    def __init__(self, method: Any, argument: Any):
        self._method = method
        self._argument = argument

    def remote(self) -> Any:
        return self._method.remote(self._argument)
