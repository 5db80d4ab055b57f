"""The whole loop through the command line: everything is killed once, Ctrl-C stops it, the same command finishes it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import psutil
import pytest

from cluster.config import FinetuneConfig
from cluster.config_files import load
from cluster.finetune import finetune
from cluster.incarnation import current_incarnation
from cluster.interrupt import INTERRUPTED
from cluster.provenance import weights_hash
from cluster.rundir import RunDirectory
from learner.objectives import OBJECTIVES
from policy import checkpoint as files
from tests.cluster.faults import KILLED, kill
from tests.cluster.processes_of import scalars, wait_for
from tests.cluster.reliability import Fault
from tests.cluster.small import CARTPOLE, FINETUNE, PENDULUM, changed, write
from tests.cluster.watched import Watched

pytestmark = pytest.mark.timeout(400)

UPDATES = 160
STEPS = 8000
PATIENCE = 120.0  # seconds for what takes a few on an idle machine


@dataclass
class Story:
    """What was seen from outside while the run was killed, stopped and finished."""

    run: RunDirectory
    stopped_with: int
    said: str
    left_over: list[psutil.Process]
    stopped_at: dict
    """What the checkpoint of Ctrl-C says of itself."""
    incarnation: int
    """When it was stopped."""
    finished_with: int


def extra(run: RunDirectory) -> dict:
    latest = run.latest_checkpoint()
    return json.loads((latest / "config.json").read_text())["extra"] if latest else {"updates": 0}


@pytest.fixture(scope="module")
def story(pretrained: RunDirectory, tmp_path_factory: pytest.TempPathFactory, reliability: list[Fault]) -> Story:
    folder = tmp_path_factory.mktemp("finetuned")
    config = changed(
        FINETUNE,
        run__folder=str(folder),
        run__updates=UPDATES,
        actors__steps=STEPS,
        checkpoint=str(pretrained.path),
        evaluation={"episodes": 2},
    )
    file = write(folder / "finetune.yaml", config)
    command = [sys.executable, "-c", "from cluster.cli import main; main()", "finetune", str(file)]
    run = RunDirectory(folder / "finetuned")
    # A process group of its own: a terminal's Ctrl-C goes to every process of the group.
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        progressed(run, process)
        watched = Watched(run, process)
        for title in KILLED:
            reliability.append(kill(watched, title))
            progressed(run, process)
        children = psutil.Process(process.pid).children(recursive=True)
        incarnation = current_incarnation(run.path)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    psutil.wait_procs(children, timeout=10)
    left_over = [child for child in children if child.is_running()]
    stopped_at = extra(run)
    finished = subprocess.run(command, timeout=2 * PATIENCE, capture_output=True, text=True)
    print(finished.stderr)
    return Story(run, process.returncode, said, left_over, stopped_at, incarnation, finished.returncode)


def progressed(run: RunDirectory, process: subprocess.Popen) -> None:
    """Waits for two checkpoints more: the second was begun after now."""
    before = extra(run)["updates"]

    def further() -> bool:
        assert process.poll() is None, f"the run ended: {process.stderr.read() if process.stderr else ''}"
        return extra(run)["updates"] >= before + 16

    wait_for(further, PATIENCE, f"two checkpoints after update {before}")


@pytest.fixture(scope="module")
def points(story: Story) -> dict[str, list[tuple[int, float]]]:
    return scalars(story.run.path)


def test_ctrl_c_ends_in_a_checkpoint_and_leaves_no_process(story: Story):
    assert story.stopped_with == INTERRUPTED
    assert f"Stopped after update {story.stopped_at['updates']}" in story.said
    assert "Traceback" not in story.said
    assert 0 < story.stopped_at["updates"] < UPDATES
    assert story.left_over == []


def test_the_same_command_finishes_the_run(story: Story):
    assert story.finished_with == 0
    end = extra(story.run)
    assert end["updates"] == UPDATES
    assert STEPS <= end["env_steps"] <= STEPS + 50  # halves of actors step together
    assert end["env_steps"] > story.stopped_at["env_steps"]


def test_every_process_that_was_killed_was_replaced(story: Story, points):
    for name in ("replay_restarts", "learner_restarts", "server_restarts"):
        assert max(value for _, value in points[f"faults/{name}"]) == 1, name
    # One actor was killed; the death of the policy server may end both before the driver has seen it.
    assert 1 <= max(value for _, value in points["faults/actor_restarts"]) <= 3
    assert "died" in (story.run.path / "ocelot.log").read_text()


def test_versions_and_steps_only_go_up(story: Story, points):
    # The first learner, the one after the kill, and the one of the second command.
    assert story.incarnation == 2
    assert current_incarnation(story.run.path) == 3
    assert story.stopped_at["version"] == [2, story.stopped_at["updates"]]
    assert extra(story.run)["version"] == [3, UPDATES]
    steps = [step for step, _ in points["charts/updates"]]
    assert steps == sorted(steps)


def test_tensorboard_shows_every_part(points):
    for objective in OBJECTIVES:
        assert np.isfinite([value for _, value in points[f"losses/{objective}/loss"]]).all()
    for task in (CARTPOLE, PENDULUM):
        assert points[f"charts/episodic_return/{task}"]
        assert points[f"charts/episodic_length/{task}"]
        assert points[f"eval/return/{task}/greedy"]
        assert points[f"eval/score/{task}/temperature_1"]
    for tag in (
        "charts/steps_per_second",
        "eval/interquartile_mean/greedy",
        "replay/size/expert",
        "replay/size/online",
        "replay/samples_per_insert/online",
        "replay/age",
        "policy/batch_fill",
        "policy/queue_wait_ms",
        "policy/version_lag",
        "policy/rebuilds",
        "time/actors/env",
        "time/learner/update",
    ):
        assert points[tag], tag


def test_contexts_slid_and_new_weights_acted(points):
    assert max(value for _, value in points["policy/slides"]) > 0
    assert max(value for _, value in points["policy/rebuilds"]) > 0
    assert max(value for _, value in points["replay/age"]) < UPDATES


def test_evaluations_are_of_the_last_weights(story: Story):
    rows = story.run.evaluations()
    assert {(row["task"], row["temperature"]) for row in rows} == {
        (task, temperature) for task in (CARTPOLE, PENDULUM) for temperature in (0.0, 1.0)
    }
    for row in rows:
        assert row["version"] == [3, UPDATES]
        assert row["updates"] == UPDATES
        assert row["env_steps"] == extra(story.run)["env_steps"]
        assert row["arm"] == "finetuned"
        assert len(row["returns"]) == 2


def test_a_checkpoint_is_whole_and_names_its_replay(story: Story):
    latest = story.run.latest_checkpoint()
    assert latest is not None
    assert set(files.load(latest).layouts) == {CARTPOLE, PENDULUM}
    manifest = json.loads((latest / "replay.json").read_text())
    assert manifest["updates"] == UPDATES
    assert (latest / manifest["replay_checkpoint"]).exists()
    assert (
        len(story.run.complete_checkpoints())
        == load(FinetuneConfig, [story.run.path / "config.yaml"]).run.keep_checkpoints
    )


def test_replay_paces_a_run_without_a_number_of_steps(ray_cluster, pretrained: RunDirectory, tmp_path):
    """With return tokens, evaluating on the way, on the memory backend, from two policy servers that keep caches."""
    config = load(
        FinetuneConfig,
        [
            write(
                tmp_path / "config.yaml",
                changed(
                    FINETUNE,
                    run__folder=str(tmp_path),
                    checkpoint=str(pretrained.path),
                    schedule=[{"objective": "return_conditioned", "batch": 8, "data": {"online": 1.0}}],
                    replay={
                        "backend": "memory",
                        "tables": {"online": {"min_size": 8, "samples_per_insert": 2.0, "error_buffer": 16.0}},
                    },
                    actors__steps=None,
                    actors__with_return=True,
                    server={"publish_every": 4, "replicas": 2, "on_new_weights": "keep"},
                    learner={"publish": "average", "optimiser_at_switch": "keep"},
                    evaluation={"every": 12, "episodes": 2, "temperatures": [0.0]},
                ),
            )
        ],
    )
    run = RunDirectory.create(config)
    finetune(config, run)
    evaluations = run.evaluations()
    assert [row["updates"] for row in evaluations] == [0, 0, 12, 12, 24, 24]
    assert [row["env_steps"] for row in evaluations[:2]] == [0, 0]
    seconds = [row["training_seconds"] for row in evaluations[::2]]
    assert 0.0 <= seconds[0] < seconds[1] < seconds[2]
    begun = json.loads((run.path / "environment.json").read_text())["start"]
    start = pretrained.latest_checkpoint()
    assert start is not None
    assert begun["checkpoint"] == str(start)
    assert begun["weights_sha256"] == weights_hash(start)
    ratio = scalars(run.path)["replay/samples_per_insert/online"][-1][1]
    assert 0.5 < ratio < 4.0
    assert extra(run)["acting"]["with_return"]
