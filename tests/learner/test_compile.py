"""Compiled blocks learn what blocks that are not learn, and what it takes to compile is asked for at the start."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import torch

from learner import compiling
from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from learner.workers import Alone, Workers
from policy.model import Policy
from tests.learner import crew
from tests.learner.test_parts import batch, gradients, policy

BOTH = [Entry("bc", batch=crew.BATCH), Entry("iql", batch=crew.BATCH)]
UPDATES = 6
LESS = {"accumulation": 2, "checkpointing": True}
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(600)  # where nothing is compiled yet, and cores have other work
THERE = shutil.which("g++") is not None and (Path(sysconfig.get_path("include")) / "Python.h").exists()
needs_compiler = pytest.mark.skipif(not THERE, reason="needs g++ and Python's headers")


def scenarios(workers: Workers, folder: Path) -> list[tuple[list[dict[str, float]], dict[str, torch.Tensor]]]:
    """What two workers learn with compiled blocks: with all weights each, with shares, and with less memory."""
    found = []
    for sharded in (False, True):
        for config in ({}, LESS):
            learner = crew.make(workers, BOTH, sharded, compile=True, **config)
            found.append((crew.updates(learner, UPDATES), crew.weights(learner)))
    return found


def same(found: tuple[list[dict[str, float]], dict[str, torch.Tensor]]) -> None:
    """Losses, figures and weights after updates, in float64, are those of one worker that compiles nothing."""
    losses, weights = crew.alone(BOTH, UPDATES)
    for one, other in zip(found[0], losses, strict=True):
        assert one == pytest.approx(other, abs=1e-9, nan_ok=True)
    assert found[1].keys() == weights.keys()
    for name, value in weights.items():
        torch.testing.assert_close(found[1][name], value, rtol=0.0, atol=1e-9)


@needs_compiler
def test_a_learner_that_compiles_learns_the_same():
    same(crew.alone(BOTH, UPDATES, compile=True))
    same(crew.alone(BOTH, UPDATES, compile=True, **LESS))


@needs_compiler
def test_a_run_goes_on_compiled_or_not(tmp_path):
    losses: list[dict[str, float]] = []
    for part, on in enumerate((False, True, False)):
        learner = crew.make(Alone(), BOTH, compile=on)
        if part:
            learner.restore(tmp_path)
        losses += crew.updates(learner, UPDATES // 3)
        learner.save(tmp_path)
    same((losses, crew.weights(learner)))


@needs_compiler
@pytest.mark.parametrize("steps", [None, 0, 2])
def test_gradients_of_windows_with_images_and_prompts(steps):
    subject, whole = policy(layers=3, stochastic_depth=0.4, attention_steps=steps), batch()
    expected = gradients(subject, whole)
    compiling.switch(subject, True)
    found = gradients(subject, whole)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9)


@needs_compiler
def test_blocks_are_compiled_once_for_all_layers_and_lengths():
    few, many = policy(layers=1), policy(layers=4)
    for each in (few, many):
        compiling.switch(each, True)
    gradients(few, batch())
    crew.alone(BOTH, 1, compile=True)
    with torch.compiler.set_stance("fail_on_recompile"):
        for number in (1, 2, 3):
            gradients(many, batch(), number)
        crew.alone(BOTH, UPDATES, compile=True)


@needs_compiler
@pytest.mark.slow
def test_compiled_bfloat16_is_as_near_to_float64_as_it_is_without():
    exact = _gradient(torch.float64)
    plain, compiled = (_gradient(torch.float32, precision="bfloat16", compile=on) for on in (False, True))
    assert 0.0 < float((compiled - exact).norm()) < 1.2 * float((plain - exact).norm())


def _gradient(dtype: torch.dtype, **config: Any) -> torch.Tensor:
    """Of one update of a learner with weights of this type, all in one."""
    torch.manual_seed(7)
    settings = LearnerConfig(clip=1e9, **config)
    learner = Learner(Policy(crew.SIZES).to(dtype), crew.TASKS, settings, Schedule(BOTH))
    crew.updates(learner, 1)
    return torch.cat([p.grad.flatten().double() for p in learner.policy.parameters() if p.grad is not None])


@needs_compiler
@pytest.mark.slow
def test_two_workers_that_compile_learn_what_one_does(tmp_path):
    for worker in crew.together(scenarios, tmp_path):
        for found in worker:
            same(found)


def test_without_a_compiler_it_is_said_at_the_start_what_to_do(tmp_path):
    code = "from tests.learner import crew; crew.make(crew.Alone(), [crew.Entry('bc')], compile=True)"
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("learner.types.CompileError: learner.compile is true, but PyTorch cannot compile for cpu")
    assert last.endswith("Install g++ and Python's headers, or set learner.compile to false")


def test_what_a_compiler_says_is_told(monkeypatch):
    def failing(*_: Any) -> Any:
        raise RuntimeError("CppCompileError: C++ compile error\n\nCommand:\ng++ x\n\nOutput:\nx:1: fatal error: no y.h")

    monkeypatch.setattr(torch, "compile", failing)
    with pytest.raises(compiling.CompileError, match=r"for cpu here: x:1: fatal error: no y\.h\. Install g\+\+"):
        compiling.check(torch.device("cpu"))
