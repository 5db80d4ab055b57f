"""The training benchmark: alike work for all contestants, and rates from real updates."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from actors.domains import task_layout
from cluster.bench import train as bench_train
from cluster.bench.train_plain import plain
from cluster.bench.train_sizes import SIZES, training_flops
from cluster.bench.train_windows import ATARI, CARTPOLE, windows
from policy.config import PolicyConfig
from replay.batch import collate

SMALL = PolicyConfig(layers=1, width=16, heads=2, feedforward=16, context=32)


def test_figures_hold_ours_against_the_baselines(monkeypatch):
    monkeypatch.setattr(bench_train, "SIZES", {"small": (SMALL, 4), "4x128": (SMALL, 4)})
    parts = bench_train.train(["small"], seconds=0.2, repeats=2)
    figures = {figure.name: figure for part in parts for figure in part}
    for name in ("plain PyTorch", "ocelot bc", "ocelot iql"):
        for precision in bench_train.PRECISIONS:
            assert figures[f"{name} small {precision}"].value > 0
    assert figures["ocelot bc small against plain PyTorch"].repeats == 2
    assert figures["ocelot bc, Atari windows small against ocelot bc"].value > 0
    assert 0 < figures["ocelot bc small, of the rate of large matrix products"].value < 1
    stall = figures["learner's stall for a checkpoint, 4x128"]
    assert stall.repeats == 2
    assert 0 < stall.value < stall.baseline
    assert 0 <= figures["share of the time that ocelot bc 4x128 waits for Reverb"].value < 1


def test_the_plain_transformer_learns():
    """It is no straw man: the same batch again and again is learned by heart."""
    batch = collate(windows(2, 32))
    update = plain(SMALL, batch, "float32", learning_rate=1e-2)
    losses = [update() for _ in range(80)]
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("layout", [CARTPOLE, ATARI])
def test_windows_fill_the_context(layout):
    (window,) = windows(1, 256, layout)
    assert window.tokens.size <= 256 < window.tokens.size + window.tokens.shape[1]
    window.check()
    assert len(window.tail_patches) == layout.patches


def test_atari_windows_are_those_of_the_domain():
    """As many tokens, of which as many are patches, as a game has."""
    (window,) = windows(1, 256, ATARI)
    game = task_layout("atari/boxing")
    assert window.tokens.shape[1] == game.step_tokens
    np.testing.assert_array_equal(window.patch_intervals, game.patch_intervals)


@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_those_that_they_are_called(size):
    config, _ = SIZES[size]
    assert size == f"{config.layers}x{config.width}"


def test_operations_are_those_that_pytorch_counts():
    batch = collate(windows(3, 32))
    update = plain(SMALL, batch, "float32")
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        update()
    tokens, length = batch.tokens.numel(), batch.tokens.shape[1]
    config = replace(SMALL, context=length)
    hidden = 12 * SMALL.layers * SMALL.width * (length - 1) / 2  # of attention, which the kernel computes for nothing
    logits = 6 * SMALL.width * CARTPOLE.actions * len(batch.action_at)
    assert counter.get_total_flops() == tokens * (training_flops(config) + hidden) + logits


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_measured(monkeypatch):
    monkeypatch.setattr(bench_train, "GATO", {"small": (SMALL, 4)})
    parts = list(bench_train.train(["small"], seconds=0.2, repeats=2, device="cuda"))
    figures = {figure.name: figure for part in parts for figure in part}
    assert figures["ocelot bc small bfloat16"].unit == "tokens/s"
    assert figures["ocelot bc, compiled small against ocelot bc"].value > 0
