"""Loops of several libraries, measured alike: what is counted, and how it is reported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from cluster.bench import loop_contest as bench_loop_contest
from cluster.bench.loop_contest import ALONE, BAR, WITH_LEARNER, ContestError, figures
from cluster.bench.loop_meter import PARTS, Measured, Meter
from cluster.bench.loop_simulators import BUSY, FOLDER, TASKS, totals

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def clocks(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))


def play(task: str, steps: int) -> None:
    """Steps an environment, with episodes begun anew."""
    env = gymnasium.make(TASKS[task])
    env.reset(seed=0)
    for _ in range(steps):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()


@pytest.mark.parametrize("task", TASKS)
def test_steps_of_all_processes_are_counted(task):
    play(task, 3)
    play(task, 4)  # another environment of this process
    code = f"from tests.cluster.bench.test_loop_contest import play; play({task!r}, 5)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=100)
    count, seconds = totals("simulator")
    assert count == 12
    assert seconds > (12 * BUSY if task == "busy" else 0.0)


def test_slow_simulators_alone_take_nearly_all_the_time():
    meter = Meter("1.0", "simulator")
    play("busy", 60)
    measured = meter.stop()
    assert measured.steps_per_second > 0
    assert measured.memory_mib > 10
    assert measured.shares["simulator"] > BAR
    assert sum(measured.shares.values()) == pytest.approx(1.0)
    assert measured.shares["policy"] == 0.0


def measured(steps: float, simulator: float) -> Measured:
    return Measured("1.0", steps, 2.0, 300.0, 1.9, dict.fromkeys(PARTS, 0.0) | {"simulator": simulator})


def test_ours_is_held_against_the_fastest_of_the_others_and_simulators_against_their_bar():
    found = {ALONE: measured(350.0, 0.75), WITH_LEARNER: measured(200.0, 0.5), "RLlib IMPALA": measured(100.0, 0.5)}
    rows = {figure.name: figure for figure in figures("busy", found | {"stable-baselines3 PPO": measured(400.0, 0.9)})}
    assert rows["busy, Ocelot: environments"].baseline == 400.0
    assert rows["busy, Ocelot: environments"].ratio == 0.5
    assert rows["busy, RLlib IMPALA: environments"].baseline is None
    share = rows[f"busy, {ALONE}: time in simulator"]
    assert (share.baseline, share.ratio) == (BAR, 0.75 / BAR)
    assert rows["busy, Ocelot: time in simulator"].baseline is None
    assert len(rows) == 4 * (4 + len(PARTS))
    assert figures("cartpole", {WITH_LEARNER: found[WITH_LEARNER]})[0].baseline is None, "nobody to be held against"


def test_what_a_script_measured_comes_back(tmp_path):
    measured(100.0, 0.5).save(tmp_path / "result.json")
    assert Measured.load(tmp_path / "result.json") == measured(100.0, 0.5)


def test_a_python_without_the_library_is_named():
    with pytest.raises(ContestError, match=r"PPO under .*stable_baselines3.*README\.md says"):
        bench_loop_contest._other("stable-baselines3 PPO", sys.executable, "cartpole", 1.0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_contest_measures_both(tmp_path):
    code = "from cluster.cli import main; main()"
    command = [sys.executable, "-c", code, "bench", "contest", "cartpole", "--quick", "--json", tmp_path / "rows.json"]
    variables = {name: value for name, value in os.environ.items() if name != FOLDER}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "rows.json").read_text())
    rows = {row["name"]: row["value"] for row in content["rows"]}
    assert content["libraries"].keys() == {ALONE, WITH_LEARNER, "RLlib IMPALA"}
    for name in content["libraries"]:
        assert rows[f"cartpole, {name}: environments"] > 0
        shares = [rows[f"cartpole, {name}: time in {part}"] for part in PARTS]
        assert sum(shares) == pytest.approx(1.0)
        assert min(shares) >= 0.0
        assert rows[f"cartpole, {name}: time in policy"] > 0
    for name in (WITH_LEARNER, "RLlib IMPALA"):
        assert rows[f"cartpole, {name}: learner"] > 0
        assert rows[f"cartpole, {name}: time in learner"] > 0
    assert rows["cartpole, Ocelot without a learner: time in learner"] == 0.0
