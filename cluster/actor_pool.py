"""All actor processes of a run: started, watched, replaced when they die, and held to their share of the steps."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cluster.config import FinetuneConfig
from cluster.local_ray import ProcessError, get, kill, start
from cluster.pacing import divide
from policy.errors import OcelotError
from policy.layout import Layout

LOG = logging.getLogger("ocelot")
IN_A_ROW = 5  # deaths of one actor, none of which made it through more steps than PROGRESS
PROGRESS = 1000


class ActorDied(ProcessError):
    """An actor that keeps dying."""


@dataclass
class Member:
    """One actor's place in the run; the process in it may change."""

    number: int
    task: str
    share: float
    """Of all environment steps."""
    handle: Any = None
    running: Any = None
    """The call that acts until it is stopped."""
    asked: Any = None
    """Statistics to come."""
    before: int = 0
    """Steps of earlier processes in this place."""
    steps: int = 0
    """Of the process that is there now."""
    lives: int = 0
    deaths: int = 0
    """In a row, without progress between them."""
    episodes: int = 0
    faults: int = 0
    faults_before: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    finished: list[tuple[float, int]] = field(default_factory=list)
    """Return and length of the episodes that finished since they were last taken."""
    allowed: int | None = 0


class ActorPool:
    """Keeps the configured number of actors acting.

    Args:
        config: of the run.
        layouts: of its tasks.
        context: tokens that the policy sees at once.
        server: Ray handle of the policy server.
        replay: address of the tables.
        seed: of the environments; another one for each incarnation, so that a resumed run plays new episodes.
    """

    def __init__(
        self, config: FinetuneConfig, layouts: dict[str, Layout], context: int, server: Any, replay: str, seed: int
    ):
        self._config = config
        self._layouts = layouts
        self._context = context
        self._server = server
        self._replay = replay
        self._seed = seed
        self.restarts = 0
        """Actors that were replaced."""
        self.members = list(_members(config))
        for member in self.members:
            self._start(member)

    @property
    def steps(self) -> int:
        """Environment steps since the pool was made, as far as actors have told."""
        return sum(member.before + member.steps for member in self.members)

    def allow(self, steps: int | None) -> None:
        """Lets the actors act until they have done so many steps in all, each its share; None: without end."""
        for member in self.members:
            allowed = None if steps is None else max(0, round(steps * member.share) - member.before)
            if allowed != member.allowed:
                member.allowed = allowed
                member.handle.allow.remote(allowed)

    def all_at_limit(self) -> bool:
        """No actor may make another step."""
        return all(member.allowed is not None and member.steps >= member.allowed for member in self.members)

    def poll(self) -> None:
        """Takes in what actors told since the last call, asks anew, and replaces those that died. Does not wait.

        Raises:
            OcelotError: what ended an actor and would end its successor too: an environment that was given up, a
                server that stays away, or one death after another.
        """
        import ray

        for member in self.members:
            ended, _ = ray.wait([member.running], timeout=0)
            if ended:
                self._replace(member)
                continue
            if member.asked is None:
                member.asked = member.handle.stats.remote()
            elif ray.wait([member.asked], timeout=0)[0]:
                self._take(member)

    def move(self, server: Any) -> None:
        """Starts all actors anew, with another policy server."""
        self._server = server
        for member in self.members:
            self._start_again(member)

    def faults(self) -> int:
        """Times that an environment failed."""
        return sum(member.faults_before + member.faults for member in self.members)

    def finished(self) -> dict[str, list[tuple[float, int]]]:
        """Return and length of the episodes that finished since the last call, by task."""
        result: dict[str, list[tuple[float, int]]] = {}
        for member in self.members:
            result.setdefault(member.task, []).extend(member.finished)
            member.finished = []
        return result

    def seconds(self) -> dict[str, float]:
        """What the actors spent their time on, in seconds, their sum."""
        names = {name for member in self.members for name in member.seconds}
        return {name: sum(member.seconds.get(name, 0.0) for member in self.members) for name in sorted(names)}

    def stop(self, timeout: float = 10.0) -> None:
        """Ends all actors; what they have finished is written to replay first, if that goes quickly."""
        import ray

        for member in self.members:
            member.handle.stop.remote()
        ray.wait([member.running for member in self.members], num_returns=len(self.members), timeout=timeout)
        for member in self.members:
            kill(member.handle)

    def _start(self, member: Member) -> None:
        from actors.actor import Actor

        acting = self._config.actors
        seed = np.random.SeedSequence((self._seed, member.number, member.lives)).generate_state(1)[0]
        member.allowed = 0 if acting.steps is not None else None
        member.handle = start(
            Actor,
            member.number,
            self._layouts[member.task],
            acting.environments,
            int(seed),
            self._server,
            self._replay,
            self._context,
            concurrency=3,  # run, and stats, allow and stop while it runs
            temperature=acting.temperature,
            with_return=acting.with_return,
            return_kappa=acting.return_kappa,
            allowed=member.allowed,
        )
        member.running = member.handle.run.remote()
        member.asked = None

    def _take(self, member: Member) -> None:
        import ray

        asked, member.asked = member.asked, None
        try:
            stats = get(asked)
        except ray.exceptions.RayActorError:
            return  # `poll` sees it in the call that acts
        if stats.steps - member.steps > 0 and stats.steps > PROGRESS:
            member.deaths = 0
        member.steps, member.faults, member.seconds = stats.steps, stats.faults, stats.seconds
        member.finished += list(zip(stats.returns, stats.lengths, strict=True))
        member.episodes += len(stats.returns)

    def _replace(self, member: Member) -> None:
        import ray

        from actors.errors import ServerSilent
        from policy.server import ServerError

        try:
            get(member.running)
            reason: Exception = ProcessError("it ended before it was told to")
        except (ray.exceptions.RayActorError, ServerSilent, ServerError) as error:
            reason = error
        member.deaths += 1
        if member.deaths >= IN_A_ROW:
            raise ActorDied(
                f"actor {member.number} ({member.task}) died {member.deaths} times in a row, at last: {reason}\n"
                "If it was killed, the machine may be out of memory: fewer actors.processes or actors.environments"
            ) from (reason if isinstance(reason, OcelotError) else None)
        LOG.warning("actor %d (%s) died and is replaced: %s", member.number, member.task, _first_line(reason))
        self.restarts += 1
        self._start_again(member)

    def _start_again(self, member: Member) -> None:
        member.lives += 1
        member.before += member.steps
        member.faults_before += member.faults
        member.steps = member.faults = 0
        kill(member.handle)
        self._start(member)


def _members(config: FinetuneConfig) -> Iterator[Member]:
    """One task an actor; processes and steps go to the tasks by weight."""
    tasks = config.tasks
    weights = [task.weight for task in tasks]
    counts = divide(config.actors.processes, weights)
    number = 0
    for task, count in zip(tasks, counts, strict=True):
        for _ in range(count):
            yield Member(number, task.name, task.weight / sum(weights) / count)
            number += 1


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
