"""All actor processes of a run: started, watched, replaced when they die or fall silent, and held to their steps."""

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cluster.config import FinetuneConfig
from cluster.local_ray import BeginError, ProcessError, answered, get, kill, start
from cluster.pacing import divide
from cluster.placement import Place, Placement
from cluster.serving import Servers
from policy.errors import OcelotError
from policy.layout import Layout

LOG = logging.getLogger("ocelot")
IN_A_ROW = 5  # deaths of one actor, none of which made it through more steps than PROGRESS
PROGRESS = 1000
ANSWER = 5.0  # seconds that an actor may take to say where it is
ARRIVES = 300.0  # seconds that an actor may take to answer for the first time, once there is room for it
BEGINS = 120.0  # seconds that an actor may be silent before its first step
ROOM = 1.0  # seconds between questions whether there is room for an actor
REFRESH = 0.5  # seconds between questions to an actor whose answer nobody waits for
WAITED = 60.0  # seconds after which it is said that an actor has no place to run


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
    since: float = 0.0
    """Monotonic time at which they were asked for; of the first ones, at which there was room for the process."""
    place: Place | None = None
    """Where the process runs, or will run."""
    placed: bool = False
    """There is room for the process: it begins."""
    looked: float = 0.0
    """Monotonic time at which Ray was asked for that."""
    here: bool = False
    """The process runs: it has answered."""
    waited_for: bool = False
    """It was said that there is no place for it."""
    node: str = ""
    """Ray's id of the machine that it runs on."""
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
    issued: int | None = 0
    """Steps that this place may do in all, whatever process is in it; None: without end."""

    @property
    def allowed(self) -> int | None:
        """Steps that the process that is there now may do."""
        return None if self.issued is None else self.issued - self.before


class ActorPool:
    """Keeps the configured number of actors acting, or as many of them as the cluster has room for.

    Args:
        config: of the run.
        layouts: of its tasks.
        context: tokens that the policy sees at once.
        servers: the policy servers that the actors are spread over.
        replay: addresses of the tables; the actors are spread over them.
        seed: of the environments; another one for each incarnation, so that a resumed run plays new episodes.
        placement: where actors go.
    """

    def __init__(
        self,
        config: FinetuneConfig,
        layouts: dict[str, Layout],
        context: int,
        servers: Servers,
        replay: Sequence[str],
        seed: int,
        placement: Placement,
    ):
        self._config = config
        self._layouts = layouts
        self._context = context
        self._servers = servers
        self._replay = replay
        self._seed = seed
        self._placement = placement
        self.restarts = 0
        """Actors that were replaced."""
        self.members = list(_members(config))
        for member in self.members:
            self._start(member)

    @property
    def steps(self) -> int:
        """Environment steps since the pool was made, as far as actors have told."""
        return sum(member.before + member.steps for member in self.members)

    @property
    def here(self) -> int:
        """Actors that run now."""
        return sum(member.here for member in self.members)

    def allow(self, steps: int) -> None:
        """Lets the actors act until they have done so many steps in all, each task its share.

        A task's steps go to those of its actors that run; what one has not done when it dies goes to the others.
        """
        for share, members in self._by_task():
            here = [member for member in members if member.here]
            spare = round(steps * share) - sum(member.issued or 0 for member in members)
            if not here or spare <= 0:
                continue
            for member, more in zip(
                sorted(here, key=lambda each: each.issued or 0), _even(spare, len(here)), strict=True
            ):
                if more:
                    member.issued = (member.issued or 0) + more
                    member.handle.allow.remote(member.allowed)

    def all_at_limit(self) -> bool:
        """No actor that runs may make another step."""
        here = [member for member in self.members if member.here]
        return bool(here) and all(each.allowed is not None and each.steps >= each.allowed for each in here)

    def poll(self, fresh: bool = False) -> None:
        """Takes in what actors told since the last call, asks anew, and replaces those that died. Does not wait.

        Args:
            fresh: somebody waits for what they will say: all are asked. Otherwise each is asked now and then, for
                questions take processor time from it and from here.

        Raises:
            OcelotError: what ended an actor and would end its successor too: an environment that was given up, a
                server that stays away, or one death after another.
        """
        now = time.monotonic()
        ended = answered([member.running for member in self.members])
        told = answered([member.asked for member in self.members if member.asked is not None])
        for member in self.members:
            if member.running in ended:
                self._replace(member)
            elif member.asked is not None:
                if member.asked in told:
                    self._take(member)
                else:
                    self._look_at_silence(member)
            elif fresh or now - member.since > REFRESH:
                member.asked = member.handle.stats.remote()
                member.since = time.monotonic()

    def move(self, servers: Servers) -> None:
        """Starts all actors anew, with other policy servers."""
        self._servers = servers
        for member in self.members:
            self._start_again(member)

    def _by_task(self) -> list[tuple[float, list[Member]]]:
        """Each task's share of the steps, and its actors."""
        tasks: dict[str, list[Member]] = {}
        for member in self.members:
            tasks.setdefault(member.task, []).append(member)
        return [(sum(member.share for member in members), members) for members in tasks.values()]

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
            self._end(member)

    def _start(self, member: Member) -> None:
        from actors.actor import Actor

        acting = self._config.actors
        seed = np.random.SeedSequence((self._seed, member.number, member.lives)).generate_state(1)[0]
        member.issued = member.before if acting.steps is not None else None
        member.here = member.placed = member.waited_for = False
        member.place = self._placement.actor()
        member.handle = start(
            Actor,
            member.number,
            self._layouts[member.task],
            acting.environments,
            int(seed),
            self._servers.of(member.number),
            self._replay[member.number % len(self._replay)],
            self._context,
            concurrency=3,  # run, and stats, allow and stop while it runs
            temperature=acting.temperature,
            with_return=acting.with_return,
            episode_limit=acting.episode_limit,
            prompts=acting.prompts,
            return_kappa=acting.return_kappa,
            allowed=member.allowed,
            place=member.place.options,
        )
        member.running = member.handle.run.remote()
        member.asked = None

    def _take(self, member: Member) -> None:
        import ray

        asked, member.asked = member.asked, None
        try:
            stats = get(asked)
        except (ray.exceptions.RayActorError, BeginError):
            return  # `poll` sees it in the call that acts
        if not member.here:
            member.here = member.placed = True
            with contextlib.suppress(ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
                member.node = get(member.handle.__ray_call__.remote(_own_node), timeout=ANSWER)
            LOG.info("actor %d (%s) acts", member.number, member.task)
        if stats.steps - member.steps > 0 and stats.steps > PROGRESS:
            member.deaths = 0
        member.steps, member.faults, member.seconds = stats.steps, stats.faults, stats.seconds
        member.finished += list(zip(stats.returns, stats.lengths, strict=True))
        member.episodes += len(stats.returns)

    def _look_at_silence(self, member: Member) -> None:
        """Replaces an actor that answers no more: frozen, or on a machine that was cut off."""
        if not member.placed:
            self._look_for_room(member)
            return
        silent = time.monotonic() - member.since
        patience = self._config.actors.silent
        if not member.steps:
            patience = max(patience, BEGINS if member.here else ARRIVES)  # imports keep it from answering
        if silent > patience:
            self._bury(member, ProcessError(f"it has not answered for {silent:.0f} s"))

    def _look_for_room(self, member: Member) -> None:
        """Whether an actor that has said nothing yet has a CPU to begin on; it may wait for one for ever."""
        now = time.monotonic()
        if now - member.looked < ROOM:
            return
        member.looked = now
        assert member.place is not None
        if member.place.there:
            member.placed, member.since = True, now
        elif not member.waited_for and now - member.since > WAITED:
            member.waited_for = True
            LOG.warning("actor %d (%s) waits for a free CPU in the cluster", member.number, member.task)

    def _replace(self, member: Member) -> None:
        """What to do about an actor that ended."""
        import ray

        from actors.errors import ServerSilent
        from policy.errors import ServerError

        try:
            get(member.running)
            reason: Exception = ProcessError("it ended before it was told to")
        except (ray.exceptions.RayActorError, BeginError, ServerSilent, ServerError) as error:
            reason = error
        self._bury(member, reason)

    def _bury(self, member: Member, reason: Exception) -> None:
        """Counts a death and starts a successor. A machine that went down says nothing against its actors.

        Raises:
            ActorDied: after too many in a row.
        """
        if _alive(member.node):
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
        self._end(member)
        self._start(member)

    def _end(self, member: Member) -> None:
        """Ends a process, and gives back the room that it has or waits for."""
        kill(member.handle)
        if member.place is not None:
            member.place.release()


def _members(config: FinetuneConfig) -> Iterator[Member]:
    """One task an actor; processes and steps go to the tasks that are played by weight."""
    tasks = [task for task in config.tasks if task.online]
    weights = [task.weight for task in tasks]
    counts = divide(config.actors.processes, weights)
    number = 0
    for task, count in zip(tasks, counts, strict=True):
        for _ in range(count):
            yield Member(number, task.name, task.weight / sum(weights) / count)
            number += 1


def _even(total: int, parts: int) -> list[int]:
    """`total` in whole parts, the larger ones first."""
    return [total // parts + (index < total % parts) for index in range(parts)]


def _own_node(actor: Any) -> str:
    """Ray's id of the machine that an actor runs on; called in its process."""
    import ray

    return ray.get_runtime_context().get_node_id()


def _alive(node: str) -> bool:
    """Whether a machine is in the cluster; one that is not known yet counts as being there."""
    import ray

    return not node or any(each["NodeID"] == node and each["Alive"] for each in ray.nodes())


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
