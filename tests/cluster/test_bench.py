"""Benchmarks report what they are held against, and measure the real processes."""

import json

import pytest

from cluster import bench_engine, bench_loop
from cluster.bench import Figure, result
from cluster.bench_engine import TASK, play
from policy.config import PolicyConfig

SMALL = PolicyConfig(layers=1, width=16, heads=2, feedforward=16, context=32)


def test_a_figure_is_the_median_with_its_range():
    figure = Figure.of("speed", [3.0, 1.0, 2.0], "steps/s", baseline=4.0)
    assert (figure.value, figure.low, figure.high, figure.repeats) == (2.0, 1.0, 3.0, 3)
    assert figure.ratio == 0.5


def test_results_name_hardware_and_versions():
    content = json.loads(json.dumps(result([Figure.of("speed", [1.0], "steps/s")])))
    assert set(content["rows"][0]) == {"name", "value", "unit", "baseline", "ratio", "low", "high", "repeats"}
    assert content["environment"]["hardware"]["cores"] >= 1
    assert "torch" in content["environment"]["packages"]


def test_the_workload_is_whole_episodes():
    played = play(steps=60, slots=4)
    assert played.layout.task == TASK
    assert played.tokens.shape == (60, 4, played.layout.observation_tokens)
    assert played.reset[0].all()
    assert 4 < played.reset.sum() < 60


@pytest.mark.timeout(120)
def test_the_loop_is_held_against_the_engine_alone(ray_cluster, monkeypatch):
    monkeypatch.setattr(bench_engine, "POLICY", SMALL)
    monkeypatch.setattr(bench_loop, "POLICY", SMALL)
    figures = {figure.name: figure for figure in bench_loop.loop("float32", seconds=0.5, repeats=2)}
    alone = max(figure.value for name, figure in figures.items() if name.startswith("engine alone"))
    for name in ("loop without learner", "loop with learner"):
        assert figures[name].value > 0
        assert figures[name].baseline == alone
    assert figures["learner beside the loop, batches of 32"].value > 0
    for process in ("policy server", "learner", "replay", "driver"):
        assert 50 < figures[f"memory of {process}, PSS"].value <= figures[f"memory of {process}, RSS"].value
    assert sum(name.startswith("memory of actor") for name in figures) == 4  # two processes, PSS and RSS
