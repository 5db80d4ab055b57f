"""Offline training: to the bit over a stop, and mistakes that are told at once."""

import json
from pathlib import Path

import pytest

from cluster import pretrain as driver
from cluster.config import PretrainConfig
from cluster.config_files import load
from cluster.interrupt import INTERRUPTED, Interrupted, StopRequest
from cluster.pretrain import pretrain
from cluster.rundir import RunDirectory
from learner.learner import Learner
from learner.types import ScheduleError
from replay.errors import DatasetError
from tests.cluster.processes_of import scalars
from tests.cluster.small import PRETRAIN, changed, write


def run_of(folder: Path, **changes) -> tuple[PretrainConfig, RunDirectory]:
    file = write(folder / "pretrain.yaml", changed(PRETRAIN, run__folder=str(folder), **changes))
    config = load(PretrainConfig, [file])
    return config, RunDirectory.create(config)


def weights(run: RunDirectory) -> bytes:
    latest = run.latest_checkpoint()
    assert latest is not None
    return (latest / "model.safetensors").read_bytes()


@pytest.mark.timeout(120)
def test_a_run_that_was_stopped_goes_on_to_the_bit(pretrained: RunDirectory, tmp_path, monkeypatch, capsys):
    config, run = run_of(tmp_path)
    stop = StopRequest()
    monkeypatch.setattr(driver, "stop_on_signals", lambda: _Given(stop))
    updates = Learner.update

    def update(learner, fetch):
        stop.requested = learner.updates == 6
        return updates(learner, fetch)

    monkeypatch.setattr(Learner, "update", update)
    with pytest.raises(Interrupted) as stopped:
        pretrain(config, run)
    assert stopped.value.code == INTERRUPTED
    assert "step_000007" in capsys.readouterr().err

    monkeypatch.undo()
    checkpoint = pretrain(config, run)
    assert checkpoint.name == "step_000012"
    assert weights(run) == weights(pretrained)


def test_a_finished_run_given_again_changes_nothing(pretrained: RunDirectory):
    before = weights(pretrained)
    config = load(PretrainConfig, [pretrained.path / "config.yaml"])
    assert pretrain(config, RunDirectory.create(config)).name == "step_000012"
    assert weights(pretrained) == before


def test_what_a_run_leaves(pretrained: RunDirectory):
    points = scalars(pretrained.path)
    assert [step for step, _ in points["offline/losses/bc/loss"]] == [3, 6, 9, 12]
    assert [step for step, _ in points["offline/charts/updates_per_second"]] == [3, 6, 9, 12]
    extra = json.loads((pretrained.checkpoints / "latest" / "config.json").read_text())["extra"]
    assert extra["updates"] == 12
    assert extra["env_steps"] == 0
    assert extra["return_scales"].keys() == {"gym/CartPole-v1", "gym/Pendulum-v1"}


def test_episodes_are_held_out_and_their_loss_is_logged(demonstrations, tmp_path):
    config, run = run_of(tmp_path, held_out=0.25, run__updates=50, run__log_every=25)
    pretrain(config, run)
    points = {tag.removeprefix("offline/losses/"): values for tag, values in scalars(run.path).items()}
    ((step, loss),) = points["held_out"]
    tasks = [points[f"held_out/{task.name}"][0][1] for task in config.tasks]
    assert step == 50
    assert min(tasks) < loss < max(tasks)


def test_a_task_with_returns_beyond_the_value_heads_is_told_of_once(demonstrations, tmp_path, capsys):
    schedule = [{"objective": "awr", "batch": 8, "settings": {"lambda_": 1.0}}]
    # The value heads reach 19; nine steps of Pendulum cost twice that.
    config, run = run_of(tmp_path, policy__value_limit=3.0, schedule=schedule)
    pretrain(config, run)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Warning: ")]
    assert len(told) == 1
    assert "gym/Pendulum-v1: " in told[0]
    assert "policy.value_limit (now 3)" in told[0]
    assert told[0].removeprefix("Warning: ") in (run.path / "ocelot.log").read_text()


def test_a_schedule_that_needs_actors_is_refused(demonstrations, tmp_path):
    config, run = run_of(tmp_path, schedule=[{"objective": "bc", "data": {"online": 1.0}}])
    with pytest.raises(ScheduleError, match="draws from online"):
        pretrain(config, run)


def test_a_dataset_that_is_not_there_is_named(demonstrations, tmp_path):
    config, run = run_of(tmp_path, tasks=[{"name": "gym/CartPole-v1", "datasets": ["ocelot/none-v0"]}])
    with pytest.raises(DatasetError, match="no dataset 'ocelot/none-v0'"):
        pretrain(config, run)


class _Given:
    """A context manager around a stop request that the test holds."""

    def __init__(self, stop: StopRequest):
        self.stop = stop

    def __enter__(self) -> StopRequest:
        return self.stop

    def __exit__(self, *_: object) -> None:
        pass
