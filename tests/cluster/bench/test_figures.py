"""Benchmarks report what they are held against, and measure the real processes."""

import json
from dataclasses import replace

import pytest
import torch

from cluster.bench import decode as bench_decode
from cluster.bench import engine as bench_engine
from cluster.bench import loop as bench_loop
from cluster.bench import serve as bench_serve
from cluster.bench.decode import compare
from cluster.bench.engine import TASK, play
from cluster.bench.figures import Figure, result
from cluster.bench.plain import PlainDecoder
from cluster.bench.works import CONTEXT, Work
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


def test_decoding_is_held_against_what_a_person_would_write(monkeypatch):
    monkeypatch.setitem(bench_decode.MODELS, "small", replace(SMALL, context=CONTEXT))
    work = Work("64 tokens", observed=61, acting=2, choices=8, patches=2)
    figures = {figure.name.partition(": ")[2]: figure for figure in compare("small", work, threads=2, repeats=2)}
    for name in ("engine", "plain", "staggered", "sliding"):
        for dtype in ("float32", "bfloat16"):
            assert figures[f"{name}, {dtype}"].value > 0
    plain = max(figures[f"plain, {dtype}"].value for dtype in ("float32", "bfloat16"))
    assert figures["engine against plain"].baseline == plain
    assert figures["engine against recompute"].baseline == figures["recompute, float32"].value
    assert figures["sliding against engine"].ratio > 0
    assert "gpt2" not in " ".join(figures)  # which sees no images


def test_the_plain_decoder_is_one():
    """Its cache gives what it gives without one, so that it is held against nothing easier than the engine's work."""
    work = Work("3 tokens", observed=1, acting=1, choices=4)
    torch.manual_seed(0)
    plain = PlainDecoder(replace(SMALL, context=CONTEXT), work, torch.float32)
    tokens = torch.cat([plain.tokens[0], plain.separator, plain.separator + 0, plain.tokens[1]], dim=1)
    whole = plain.hidden(tokens, 0)
    plain.hidden(tokens[:, :2], 0)
    assert torch.allclose(plain.hidden(tokens[:, 2:], 2), whole, atol=1e-5)


def test_the_server_is_held_against_the_engine(ray_cluster, monkeypatch):
    monkeypatch.setitem(bench_serve.MODELS, "small", replace(SMALL, context=CONTEXT))
    figures = bench_serve.serve("small", "float32", seconds=0.3, repeats=2)
    assert [figure.unit for figure in figures] == ["env steps/s", "env steps/s", "ms", "env steps/s"]
    alone, served, _, frozen = figures
    assert served.baseline == alone.value
    assert served.value > 0
    assert frozen.value > 0


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
