"""Loads are measured on the real processes, and what is said of larger loads is held against a queue played out."""

import heapq

import numpy as np
import pytest

from cluster.bench.figures import Figure
from cluster.bench.scale import measure as bench_scale
from cluster.bench.scale import pool as bench_scale_pool
from cluster.bench.scale.extrapolate import Part, checks, parts
from cluster.bench.scale.model import ServerModel, cost
from cluster.bench.scale.points import Point
from policy.config import PolicyConfig

READING = {"time": 0.0, "steps": 0, "calls": 0, "call_seconds": 0.0, "cpu/gate": 0.0, "items": 0}


def test_a_point_is_the_rates_between_readings():
    readings = [
        READING,
        READING | {"time": 2.0, "steps": 100, "calls": 20, "call_seconds": 0.4, "cpu/gate": 1.0, "items": 4},
        READING | {"time": 3.0, "steps": 110, "calls": 30, "call_seconds": 0.5, "cpu/gate": 1.5, "items": 6},
    ]
    point = Point.between("gate", actors=5, environments=8, step=0.02, readings=readings)
    assert (point.steps_low, point.steps_per_second, point.steps_high) == (10.0, 30.0, 50.0)
    assert point.call_ms == pytest.approx(15.0)
    assert point.cores == {"gate": 0.5}
    assert point.look_ms == 0.0  # nobody looked
    assert cost([point], "gate", "items_per_second") == pytest.approx(0.25)


def played(actors: int, step: float, batch: float, row: float, environments: int = 8, seconds: float = 60.0) -> Point:
    """A server and actors, event by event: batches of whoever waits, halves that step in turn."""
    random = np.random.default_rng(0)
    half = environments // 2
    # Events: (time, what, actor, half). An actor's halves step one after the other; `free` is when it may step again.
    free = random.uniform(0, half * step, actors)
    waiting: list[tuple[float, int, int]] = []
    events = [(random.uniform(0, half * step), number, side) for number in range(actors) for side in (0, 1)]
    heapq.heapify(events)
    now = busy = waited = 0.0
    calls = batches = rows = 0
    while now < seconds:
        if not waiting:
            waiting.append(heapq.heappop(events))
            now = max(now, waiting[0][0])
        start = max(now, min(waiting[0][0] + 0.005, _third(events, waiting, actors, half)))
        while events and events[0][0] <= start:
            waiting.append(heapq.heappop(events))
        taken, waiting = waiting, []
        lasts = batch + row * half * len(taken)
        now = start + lasts
        busy += lasts
        batches += 1
        for asked, number, side in taken:
            waited += now - asked
            calls += 1
            rows += half
            free[number] = max(free[number], now) + half * step * random.uniform(0.9, 1.1)
            heapq.heappush(events, (free[number], number, side))
    empty = dict.fromkeys([*READING, "batches", "rows", "act_seconds"], 0.0)
    full = empty | {"time": now, "steps": rows, "calls": calls, "call_seconds": waited, "batches": batches}
    full |= {"rows": rows, "act_seconds": busy}
    return Point.between("server", actors, environments, step, [empty, full])


def _third(events: list, waiting: list, actors: int, half: int) -> float:
    """When a third of all environments wait."""
    missing = -(-actors * 2 // 3) - len(waiting)
    return 0.0 if missing <= 0 else heapq.nsmallest(missing, events)[-1][0]


@pytest.mark.parametrize("step", [0.02, 0.05])
def test_a_queue_is_foretold_at_twice_the_load(step: float):
    """Below, around and beyond what the server can do: 2,000 steps a second at most."""
    loads = [6, 12, 25, 50, 100, 200]
    points = [played(actors, step, batch=0.004, row=0.0005, seconds=20.0) for actors in loads]
    for fitted, after in ((2, 2), (3, 3), (4, 4), (5, 5)):
        model = ServerModel.fit(points[:fitted])
        steps, answer = model.predict(loads[after], step)
        assert steps == pytest.approx(points[after].steps_per_second, rel=0.1), loads[after]
        assert answer == pytest.approx(points[after].call_ms / 1000, rel=0.35), loads[after]


@pytest.fixture(scope="module")
def points(ray_cluster) -> list[Point]:
    """Of a few actors on a small policy, from the real processes."""
    small = PolicyConfig(layers=1, width=16, heads=2, feedforward=16, context=256)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_scale, "POLICY", small)
        patch.setattr(bench_scale_pool, "POLICY", small)
        effort = bench_scale.Effort(bench_scale.loads(8, 3), [0.005], warm=1.0, seconds=2.0, repeats=1)
        return [point for sweep in bench_scale.scale(effort) for point in sweep]


@pytest.mark.timeout(300)
def test_every_part_is_driven_and_counted(points: list[Point]):
    by_sweep = {
        sweep: [point for point in points if point.sweep == sweep] for sweep in ("replay", "gate", "server", "loop")
    }
    for sweep, loads in by_sweep.items():
        assert [point.actors for point in loads] == [2, 4, 8], sweep
        assert all(point.steps_per_second > 0 for point in loads), sweep
        assert all(point.look_ms > 0 for point in loads), sweep
    for sweep, process in (("replay", "replay"), ("gate", "gate"), ("server", "policy server"), ("loop", "learner")):
        assert all(point.cores[process] > 0 for point in by_sweep[sweep]), sweep
    for point in by_sweep["server"] + by_sweep["loop"]:
        # Two halves of four environments: a call is one half's.
        assert point.steps_per_second == pytest.approx(4 * point.calls_per_second, rel=0.3)
        assert 0 < point.busy <= 1.05
        assert point.batch_rows >= 4
        assert 0 < point.engine_cores < point.cores["policy server"] + 0.1
    for point in by_sweep["replay"] + by_sweep["gate"]:
        assert point.items_per_second > 0
        assert point.calls_per_second == 0
    (learner,) = (point for point in points if point.sweep == "learner")
    assert learner.updates_per_second > 0
    # Never more than the pauses let through.
    assert all(
        point.steps_per_second <= 1.3 * point.actors / (point.step_ms / 1000) for point in points if point.actors
    )


def test_what_is_reported_holds_foretold_against_measured(points: list[Point]):
    figures = bench_scale.report(points)
    assert all(isinstance(figure, Figure) for figure in figures)
    held = [figure for figure in figures if figure.baseline is not None]
    found = checks(points)
    assert len(held) == len(found) > 0
    assert all(check.actors == 2 * check.fitted for check in found)
    assert {check.sweep for check in found} == {"replay", "gate", "server", "loop"}


def test_parts_break_where_they_are_asked_for_more_than_they_carry(points: list[Point]):
    for part in parts(points):
        assert part.carries > 0, part.name
        breaks = part.breaks_at(0.05)
        assert part.asked(1, 0.05) * breaks == pytest.approx(part.carries), part.name
    server = Part("server", "steps/s", carries=2000.0, per_step=1.0, split="")
    assert server.breaks_at(0.05) == pytest.approx(100.0)
    assert server.asked(10_000, 0.05) == pytest.approx(200_000.0)
