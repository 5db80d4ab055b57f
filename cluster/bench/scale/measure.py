"""Where the real policy server, replay and learner saturate, driven by a hundred actors and more.

The environments are simulated: a step is a pause of a given length, observations are random, and what is written are
whole windows of random tokens. Everything else is what a run uses: requests through Ray, windows through Reverb, the
gate that actors of other machines write through, the driver's pool of actors.
"""

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cluster.bench.engine import POLICY, TASK
from cluster.bench.figures import Figure
from cluster.bench.processes import cpu_seconds, thread_seconds
from cluster.bench.scale.crowd import Crowd
from cluster.bench.scale.extrapolate import checks
from cluster.bench.scale.points import Point
from cluster.bench.scale.pool import ENVIRONMENTS, SimulatedPool, configuration
from cluster.bench.train_windows import windows as whole_windows
from cluster.learner_process import LearnerProcess
from cluster.local_ray import ProcessError, get, kill, local_ray, start
from cluster.serving import put_weights, serve
from cluster.start import Start, fresh
from policy.types import Version
from replay.gate import Gate
from replay.server import ReplayServer
from replay.trajectory import ONLINE, Trajectory

CROWDS = 2  # processes of simulated actors
WRITE_STEP = 0.002  # seconds of a step where only writing is measured: there the policy takes no time
PUBLISH_EVERY = 10  # updates
GONE = 300.0  # seconds that an update may take
COUNTED = 4  # updates that are measured at least
AT_ONCE = 2000  # calls that a process of simulated actors runs at the same time


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    actors: Sequence[int]
    """Loads, each twice the one before."""
    steps: Sequence[float]
    """Seconds of an environment's step."""
    warm: float
    """Seconds before each measurement."""
    seconds: float
    """Of a measurement."""
    repeats: int


def loads(most: int, count: int) -> list[int]:
    """So many numbers of actors, each half the next (rounded down), the last `most`."""
    return [most >> shift for shift in reversed(range(count))]


def report(points: Sequence[Point]) -> list[Figure]:
    """Every load's rates, and what the loads before it foretold of it, held against what came."""
    figures = []
    for point in points:
        title = f"{point.sweep} {point.actors} x {point.step_ms:g} ms" if point.actors else point.sweep
        if point.actors:
            steps = (point.steps_per_second, "env steps/s", None, None, point.steps_low, point.steps_high)
            figures.append(Figure(title, *steps))
        for value, unit in (
            (point.calls_per_second, "calls/s"),
            (point.call_ms, "ms a call"),
            (point.items_per_second, "windows/s"),
            (point.call_bytes_per_second + point.item_bytes_per_second, "bytes/s"),
            (point.updates_per_second, "updates/s"),
        ):
            if value:
                figures.append(Figure(title, value, unit))
    for check in checks(points):
        title = f"{check.sweep} {check.actors} x {check.step_ms:g} ms, from {check.fitted}"
        figures.append(Figure(title, check.foretold, check.what, check.measured, check.foretold / check.measured))
    return figures


def scale(effort: Effort) -> Iterator[list[Point]]:
    """Points of each part alone (replay, the gate before it, the learner, the policy server), then of all together."""
    begin = fresh(POLICY, configuration(1).tasks, None, 0)
    config = configuration(1).replay
    with (
        local_ray(),
        tempfile.TemporaryDirectory() as folder,
        ReplayServer(config, Path(folder), config.limited((), ())) as replay,
        _gate(replay.address) as gate,
    ):
        yield _writing("replay", begin, replay.address, effort)
        yield _writing("gate", begin, gate, effort)
        learner = start(LearnerProcess, begin, configuration(1), replay.address, 1, control=True)
        with _Trainer(learner, None) as trainer:
            yield [_measured("learner", 0.0, effort, trainer=trainer)]
        for step in effort.steps:
            with _serving(begin, max(effort.actors)) as server, _crowds(begin, server, None) as crowds:
                yield [_acting("server", step, begin, crowds, actors, effort, server) for actors in effort.actors]
        with _serving(begin, max(effort.actors)) as server, _crowds(begin, server, gate) as crowds:
            learner = start(LearnerProcess, begin, configuration(1), replay.address, 2, control=True)
            with _Trainer(learner, server) as trainer:
                step = max(effort.steps)
                yield [_acting("loop", step, begin, crowds, each, effort, server, trainer) for each in effort.actors]


def _writing(sweep: str, begin: Start, address: str, effort: Effort) -> list[Point]:
    """Actors whose actions are there at once write as much as they are let."""
    with _crowds(begin, None, address) as crowds:
        return [_acting(sweep, WRITE_STEP, begin, crowds, actors, effort) for actors in effort.actors]


def _acting(
    sweep: str,
    step: float,
    begin: Start,
    crowds: list[Any],
    actors: int,
    effort: Effort,
    server: Any = None,
    trainer: "_Trainer | None" = None,
) -> Point:
    pool = SimulatedPool(actors, crowds, step, begin.layouts)
    try:
        return _measured(sweep, step, effort, pool, server, trainer)
    finally:
        pool.stop()


class _Trainer:
    """A learner that trains without a pause, and publishes to a server if there is one."""

    def __init__(self, learner: Any, server: Any):
        self.updates = 0
        self._learner = learner
        self._server = server
        self._ended = threading.Event()
        self._updated = threading.Event()
        self._thread = threading.Thread(target=self._train)

    def __enter__(self) -> "_Trainer":
        get(self._learner.updates.remote(1))  # it is up, and has windows
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        kill(self._learner)

    def wait(self, seconds: float) -> None:
        """For so long and for COUNTED updates at least, up to the end of one: rates are of whole updates.

        Raises:
            ProcessError: when no update ends.
        """
        until, enough = time.monotonic() + seconds, self.updates + COUNTED
        while time.monotonic() < until or self.updates < enough:
            self._updated.clear()
            if not self._updated.wait(GONE):
                raise ProcessError(f"the learner has made no update for {GONE:.0f} s")

    def _train(self) -> None:
        while not self._ended.is_set():
            for _ in range(PUBLISH_EVERY):
                version = get(self._learner.updates.remote(1)).version
                self.updates += 1
                self._updated.set()
                if self._ended.is_set():
                    return
            if self._server is not None:
                get(self._server.publish.remote(version, self._learner.weights.remote()))


def _measured(
    sweep: str,
    step: float,
    effort: Effort,
    pool: SimulatedPool | None = None,
    server: Any = None,
    trainer: _Trainer | None = None,
) -> Point:
    """What happens while the pool is watched."""
    if pool is not None:
        pool.watch(effort.warm)
    elif trainer is not None:
        trainer.wait(0.0)
    readings = [_reading(pool, server, trainer)]
    for _ in range(effort.repeats):
        if pool is not None:
            pool.watch(effort.seconds)
        elif trainer is not None:
            trainer.wait(effort.seconds)
        readings.append(_reading(pool, server, trainer))
    return Point.between(sweep, len(pool.members) if pool else 0, ENVIRONMENTS, step, readings)


def _reading(pool: SimulatedPool | None, server: Any, trainer: _Trainer | None) -> dict[str, float]:
    reading = {"time": time.perf_counter()}
    reading |= {f"cpu/{name}": seconds for name, seconds in cpu_seconds().items()}
    if pool is not None:
        reading |= vars(pool.counters()) | {"looks": pool.looks, "look_seconds": pool.look_seconds}
    if server is not None:
        stats = get(server.stats.remote())
        reading |= {name: stats[name] for name in ("batches", "rows", "act_seconds")}
        reading |= {f"thread/{thread}": seconds for thread, seconds in thread_seconds("policy server").items()}
    if trainer is not None:
        reading["updates"] = trainer.updates
    return reading


@contextlib.contextmanager
def _gate(replay: str) -> Iterator[str]:
    """The address of a gate to replay."""
    gate = Gate("gate of bench", replay)
    try:
        yield gate.address
    finally:
        gate.stop()


@contextlib.contextmanager
def _serving(begin: Start, actors: int) -> Iterator[Any]:
    """A policy server with room for so many actors."""
    server = serve(POLICY, put_weights(begin.model), Version(1, 0), actors * ENVIRONMENTS)
    try:
        yield server
    finally:
        kill(server)


@contextlib.contextmanager
def _crowds(begin: Start, server: Any, replay: str | None) -> Iterator[list[Any]]:
    """The processes of simulated actors."""
    crowds = [
        start(Crowd, begin.layouts[TASK], ENVIRONMENTS, _windows(), server, replay, concurrency=AT_ONCE)
        for _ in range(CROWDS)
    ]
    try:
        yield crowds
    finally:
        for crowd in crowds:
            kill(crowd)


def _windows() -> list[Trajectory]:
    """Of 1, 2, ... steps up to a whole context: as long as episodes are that end at any time within it."""
    whole = whole_windows(1, POLICY.context)[0]
    online = replace(whole, source=ONLINE, versions=np.tile(np.array([1, 0], dtype=np.int32), (len(whole), 1)))
    return [online.slice(0, steps) for steps in range(1, len(whole) + 1)]
