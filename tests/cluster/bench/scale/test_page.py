"""The page on scaling holds what the benchmark's result says."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cluster.bench.scale.page import filled
from cluster.bench.scale.points import Point

ROOT = Path(__file__).parents[4]
PAGE, RESULT = ROOT / "docs" / "scaling.md", ROOT / "benchmarks" / "results" / "scale.json"
ENVIRONMENT = {
    "hardware": {"cores": 2, "processor": "A processor", "memory_gb": 24.0, "gpus": []},
    "packages": {"ray": "2.50", "dm-reverb": "0.14", "torch": "2.6"},
}
IDLE = Point("", 0, 8, 0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {})


def served(sweep: str, actors: int, steps: float) -> Point:
    """A server whose batches take 4 ms and 0.5 ms an environment."""
    rows = min(8.0 * actors, 4.0 + steps / 100)
    return replace(
        IDLE,
        sweep=sweep,
        actors=actors,
        step_ms=50.0,
        steps_per_second=steps,
        calls_per_second=steps / 4,
        call_ms=20.0,
        call_bytes=200.0,
        batches_per_second=steps / rows,
        batch_rows=rows,
        busy=steps / rows * (0.004 + 0.0005 * rows),
        engine_cores=steps / rows * (0.004 + 0.0005 * rows),
        look_ms=0.1 * actors,
        cores={"policy server": steps / rows * (0.004 + 0.0005 * rows) + 0.0005 * steps / 4},
    )


def written(point: Point, cores: dict[str, float]) -> Point:
    """The same with a window for every 20 steps."""
    items = point.steps_per_second / 20
    return replace(
        point,
        items_per_second=items,
        item_bytes=1000.0,
        write_ms=1.0,
        cores=point.cores | {name: each * items for name, each in cores.items()},
    )


@pytest.fixture
def result() -> dict:
    points = [served("server", actors, 20.0 * min(actors, 70)) for actors in (25, 50, 100)]
    points += [written(served("loop", actors, 20.0 * actors), {"gate": 0.002, "replay": 5e-4}) for actors in (25, 50)]
    for sweep, cores in (("replay", {"replay": 2e-4}), ("gate", {"gate": 0.002, "replay": 2e-4})):
        load = replace(IDLE, sweep=sweep, actors=50, step_ms=2.0, steps_per_second=20_000.0)
        points += [written(load, cores), written(replace(load, actors=100, steps_per_second=24_000.0), cores)]
    points.append(replace(IDLE, sweep="learner", updates_per_second=1.0, cores={"learner": 1.0, "replay": 0.0032}))
    return {"points": [asdict(point) for point in points], "environment": ENVIRONMENT}


def rows(page: str, table: str) -> list[list[str]]:
    """Cells of a table's lines, without its head."""
    lines = page.split(f"<!-- {table}: begin -->\n")[1].split(f"\n<!-- {table}: end -->")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_part_that_breaks_first_stands_first(result: dict):
    found = rows(filled(PAGE.read_text(), result), "actors")
    learner, engine, *_ = found
    # 32 windows a second; a window is 20 steps, sampled four times: 160 steps a second, which 8 actors make.
    assert learner[:3] == ["learner, one core, 4 samples of each window", "32 windows/s", "8"]
    assert engine[:3] == ["policy server, one core, its engine", "1,400 env steps/s", "70"]
    # 10,000 actors of 50 ms make 200,000 steps a second.
    assert engine[3] == "200,000 (143 of them)"
    by_name = {row[0]: row for row in found}
    assert by_name["gate to replay"][1] == "500 windows/s"
    assert by_name["policy server, its calls, were its engine free"][1] == "2,000 calls/s"
    assert by_name["Reverb, one core, 4 samples of each window"][1] == "1,667 windows/s"
    assert by_name["driver, looking at each actor once a second"][1] == "10,000 actors"
    assert by_name["driver, looking at each actor once a second"][2] == "10,000"


def test_loads_that_hold_actors_up_are_marked(result: dict):
    found = [row for row in rows(filled(PAGE.read_text(), result), "loads") if row[0] == "policy server alone"]
    assert [row[4] for row in found] == ["1.00", "1.00", "**0.70**"]


def test_each_load_is_held_against_what_half_of_it_foretold(result: dict):
    found = rows(filled(PAGE.read_text(), result), "checks")
    assert found, "nothing was foretold"
    for what, _, fitted, actors, _, foretold, measured, error in found:
        assert int(actors) == 2 * int(fitted), what
        wrong = float(foretold.replace(",", "")) / float(measured.replace(",", "")) - 1
        assert float(error.rstrip("%")) / 100 == pytest.approx(wrong, abs=0.02)


def test_filling_in_again_changes_nothing(result: dict):
    once = filled(PAGE.read_text(), result)
    assert filled(once, result) == once
    assert "A processor" in once


@pytest.mark.skipif(not RESULT.exists(), reason="ocelot bench scale has left no result here yet")
def test_the_page_is_of_the_result_that_lies_beside_it():
    page = PAGE.read_text()
    assert filled(page, json.loads(RESULT.read_text())) == page, "python -m cluster.bench.scale.page makes it anew"
