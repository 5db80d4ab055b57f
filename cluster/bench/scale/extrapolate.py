"""From measured loads to ten thousand actors: what each part carries, what would be asked of it, and what splits it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cluster.bench.scale.model import ServerModel, cost
from cluster.bench.scale.points import Point
from replay.tables import TABLES

BATCH = 32  # windows of an update, as the benchmark's learner draws them
SAMPLES_PER_INSERT = TABLES["online"].samples_per_insert or 1.0
STALE = 1.0  # seconds that the driver may take to look at all its actors
LINK = 1.25e9  # bytes a second of a 10 Gbit/s network


@dataclass(frozen=True)
class Part:
    """One part of a run."""

    name: str
    unit: str
    carries: float
    """Units a second of one such part, with a core of its own."""
    per_step: float
    """Units for one environment step; 0: what is asked of it depends on the number of actors alone."""
    split: str
    """The setting that divides its work, or what would have to be built."""

    def asked(self, actors: int, step: float) -> float:
        """Units a second under so many actors, none of which waits; a step takes `step` seconds."""
        return actors / step * self.per_step if self.per_step else float(actors)

    def breaks_at(self, step: float) -> float:
        """Actors that one such part carries."""
        return self.carries / self.asked(1, step)


@dataclass(frozen=True)
class Check:
    """What loads up to one half foretold of a load, and what came."""

    sweep: str
    what: str
    step_ms: float
    fitted: int
    """Actors of the largest load that was fitted on."""
    actors: int
    """Of the load that was foretold, twice as many."""
    foretold: float
    measured: float

    @property
    def error(self) -> float:
        """Of the measured value, signed."""
        return self.foretold / self.measured - 1.0


def parts(points: Sequence[Point]) -> list[Part]:
    """Every part of a run that was measured."""
    server, loop = _of(points, "server"), _of(points, "loop")
    insert = cost(_of(points, "replay"), "replay", "items_per_second")
    learner = _of(points, "learner")
    sampled = BATCH * learner[0].updates_per_second
    sample = learner[0].cores["replay"] / sampled
    beside = sum(point.cores["policy server"] - point.engine_cores for point in server)
    per_call = beside / sum(point.calls_per_second for point in server)
    steps = sum(point.steps_per_second for point in loop)
    items = sum(point.items_per_second for point in loop) / steps
    calls = sum(point.calls_per_second for point in loop) / steps
    moved = sum(point.call_bytes_per_second + point.item_bytes_per_second for point in loop) / steps
    look = max(loop, key=lambda point: point.actors)
    return [
        Part(
            "learner, one core, 4 samples of each window",
            "windows/s",
            sampled,
            items * SAMPLES_PER_INSERT,
            "`replay.tables.online.samples_per_insert`, or `run.updates` for `actors.steps`; several learners",
        ),
        Part(
            "policy server, one core, its engine",
            "env steps/s",
            max(point.steps_per_second for point in server),
            1.0,
            "`server.replicas`",
        ),
        Part(
            "policy server, its calls, were its engine free",
            "calls/s",
            1.0 / per_call,
            calls,
            "`server.replicas`, `actors.environments`",
        ),
        Part(
            "gate to replay",
            "windows/s",
            1.0 / cost(_of(points, "gate"), "gate", "items_per_second"),
            items,
            "`replay.gates`",
        ),
        Part(
            "Reverb, one core, 4 samples of each window",
            "windows/s",
            1.0 / (insert + SAMPLES_PER_INSERT * sample),
            items,
            "`replay.shards`",
        ),
        Part(
            "driver, looking at each actor once a second",
            "actors",
            STALE / (look.look_ms / 1000.0 / look.actors),
            0.0,
            "`actors.environments`: fewer, larger actors",
        ),
        Part("the head's network, 10 Gbit/s", "bytes/s", LINK, moved, "`server.replicas` on other machines"),
    ]


def checks(points: Sequence[Point]) -> list[Check]:
    """Each load that is twice one that was fitted on, with at least two loads to fit on."""
    found = []
    for sweep, step in dict.fromkeys((point.sweep, point.step_ms) for point in points):
        loads = sorted(
            (point for point in points if (point.sweep, point.step_ms) == (sweep, step)), key=lambda each: each.actors
        )
        for known, next_ in pairwise(range(1, len(loads))):
            found += list(_foretold(loads[: known + 1], loads[next_]))
    return found


def _foretold(known: Sequence[Point], load: Point) -> list[Check]:
    def check(what: str, foretold: float, measured: float) -> Check:
        return Check(load.sweep, what, load.step_ms, known[-1].actors, load.actors, foretold, measured)

    found = []
    if load.batches_per_second:
        steps, answer = ServerModel.fit(known).predict(load.actors, load.step_ms / 1000.0)
        found.append(check("env steps/s", steps, load.steps_per_second))
        found.append(check("ms of a call", 1000.0 * answer, load.call_ms))
    if load.items_per_second:
        # What a core takes for the windows that came; how many come is what actors and server make of it.
        for process in ("replay", "gate") if load.sweep != "replay" else ("replay",):
            cores = cost(known, process, "items_per_second") * load.items_per_second
            if load.cores[process]:  # else less than the kernel's clock counts
                found.append(check(f"cores of the {process}", cores, load.cores[process]))
    return found


def _of(points: Sequence[Point], sweep: str) -> list[Point]:
    return [point for point in points if point.sweep == sweep]
