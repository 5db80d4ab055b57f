"""Updates on another device than the CPU: nothing is left behind, and nothing comes out differently."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from learner.config import LearnerConfig
from learner.learner import Learner
from learner.objectives import OBJECTIVES
from learner.schedule import Entry, Schedule
from policy.model import Policy
from replay.trajectory import Trajectory
from tests.elsewhere import pretended
from tests.learner import crew
from tests.learner.windows import mixed

ENTRIES = [Entry(name, batch=crew.BATCH, entropy=0.01) for name in OBJECTIVES]


def fetch(table: str, count: int) -> list[Trajectory]:
    """Windows of three tasks, some with images and some with a prompt."""
    plain = mixed(4)
    prompt = np.repeat(plain[0].tokens[:1], 2, axis=0)
    # Training draws a place in the interval of each patch, on each device another one: here there is but one.
    seen = [replace(each, patch_intervals=np.full((1, 2, 2), 5, dtype=np.int32)) for each in crew.unlike(0)[:2]]
    return [replace(plain[0], prompt=prompt), *plain[1:], *seen]


def trained(device: str, folder: Path, updates: int, dtype: torch.dtype, steps: int | None, **config: Any) -> Any:
    """Figures of so many updates, the training state read again half-way; and the weights."""
    torch.manual_seed(1)
    sizes = replace(crew.SIZES, attention_steps=steps)
    settings = LearnerConfig(warmup_updates=2, **config)
    learner = Learner(Policy(sizes).to(dtype), crew.TASKS, settings, Schedule(ENTRIES), 3, device)
    figures = [learner.update(fetch) for _ in range(updates // 2)]
    learner.save(folder)
    learner.restore(folder)
    return figures + [learner.update(fetch) for _ in range(updates // 2)], learner.weights()


@pytest.mark.filterwarnings("ignore:.*which is a no-op:UserWarning")  # copying to such a tensor: here it is none
@pytest.mark.parametrize(("steps", "parts"), [(None, 2), (0, 1)])
def test_no_objective_leaves_a_tensor_on_the_cpu(tmp_path, steps, parts):
    count = 2 * len(ENTRIES)
    figures, weights = trained("cpu", tmp_path / "here", count, torch.float64, steps, accumulation=parts)
    with pretended() as device:
        there = trained(device, tmp_path / "there", count, torch.float64, steps, accumulation=parts)
    for found, expected in zip(there[0], figures, strict=True):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True)
    for name, value in weights.items():
        np.testing.assert_allclose(there[1][name], value, rtol=0, atol=1e-6, err_msg=name)


def test_the_pretended_device_notices_what_is_left_behind(monkeypatch, tmp_path):
    monkeypatch.setattr("replay.batch.Batch.to", lambda self, device: self)
    with pretended() as device, pytest.raises(RuntimeError, match="on one device, but these are on the CPU"):
        trained(device, tmp_path, 2, torch.float64, None)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_gpu_learns_what_a_cpu_does(tmp_path, dtype):
    count = 2 * len(ENTRIES)
    figures, _ = trained("cpu", tmp_path / "here", count, torch.float64, None)
    there, _ = trained("cuda", tmp_path / "there", count, dtype, None)
    tolerance = 1e-8 if dtype == torch.float64 else 1e-2
    for found, expected in zip(there, figures, strict=True):
        assert found == pytest.approx(expected, rel=tolerance, abs=tolerance, nan_ok=True)
