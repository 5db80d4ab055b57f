"""The server's benchmark: figures from real processes that ask a real server."""

import pytest
import torch

from cluster.bench import serve as bench_serve
from policy.config import PolicyConfig

SMALL = PolicyConfig(layers=1, width=16, heads=1, feedforward=16, context=64)


@pytest.mark.timeout(170)
def test_figures_hold_the_server_against_the_engine(monkeypatch):
    monkeypatch.setitem(bench_serve.MODELS, "small", SMALL)
    monkeypatch.setattr(bench_serve, "WARM", 0.1)
    monkeypatch.setattr(bench_serve, "CALLS", 5)
    threads = torch.get_num_threads()
    engine, server, latency, frozen = bench_serve.serve("small", "float32", seconds=0.5, repeats=2)
    assert torch.get_num_threads() == threads
    assert engine.value > server.value > 0
    assert server.baseline == pytest.approx(engine.value)
    assert latency.value > 0
    assert latency.repeats == 2
    assert frozen.value > 0.1 * frozen.baseline  # the third does not stop the others
