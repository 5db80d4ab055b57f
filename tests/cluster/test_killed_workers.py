"""A process that trains with others is killed: nobody waits for it, and nothing but a few updates is lost."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from cluster.config import FinetuneConfig
from cluster.config_files import load
from cluster.finetune import finetune
from cluster.parallel.check import ParallelError
from cluster.pretrain import pretrain
from cluster.rundir import RunDirectory
from tests.cluster.processes_of import find, scalars
from tests.cluster.small import FINETUNE, PRETRAIN, changed, write
from tests.cluster.test_parallel import same
from tests.cluster.test_pretrain import run_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], list[float]]:
    """kills(title, update): the younger of two processes with this title gets SIGKILL once, right after the checkpoint
    of that update, and what is returned will hold the time."""

    def after(title: str, update: int) -> list[float]:
        killed: list[float] = []
        save = RunDirectory.save_checkpoint

        def save_and_kill(run: RunDirectory, step: int, write: Callable[[Path], None], keep: int) -> Path:
            folder = save(run, step, write, keep)
            if step == update and not killed:
                _, younger = find(psutil.Process().pid, title)
                younger.kill()
                killed.append(time.monotonic())
            return folder

        monkeypatch.setattr(RunDirectory, "save_checkpoint", save_and_kill)
        return killed

    return after


def test_pretraining_ends_at_once_and_the_same_command_goes_on(pretrained, ray_cluster, tmp_path, kills):
    config, run = run_of(tmp_path, parallel__workers=2, run__checkpoint_every=3)
    killed = kills("ray::RayTrainWorker", 6)
    with pytest.raises(ParallelError, match=r"a training worker ended .* The same command goes on from the last"):
        pretrain(config, run)
    assert time.monotonic() - killed[0] < 60.0  # seconds, where nothing else is at work
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest.name == "step_000006"

    assert pretrain(config, run).name == "step_000012"
    same(run, pretrained, since=6)


def test_all_learners_are_replaced_when_one_dies(demonstrations, ray_cluster, tmp_path, kills):
    settings = changed(
        FINETUNE,
        run__folder=str(tmp_path),
        policy=PRETRAIN["policy"],
        schedule=[{"objective": name, "batch": 8, "data": {"expert": 0.5, "online": 0.5}} for name in ("bc", "iql")],
        parallel={"workers": 2, "sharding": "full"},
    )
    config = load(FinetuneConfig, [write(tmp_path / "config.yaml", settings)])
    run = RunDirectory.create(config)
    killed = kills("ray::LearnerProcess", 16)
    checkpoint = finetune(config, run)
    assert killed
    assert checkpoint.name == "step_000024"
    # Of those that were made while the checkpoint was written.
    assert re.search(r"the learner goes on from update 16; [0-8] are lost", (run.path / "ocelot.log").read_text())
    assert json.loads((checkpoint / "config.json").read_text())["extra"]["version"] == [2, 24]
    assert (checkpoint / "training_state" / "shards").is_dir()
    points = scalars(run.path)
    assert max(value for _, value in points["faults/learner_restarts"]) == 1
    for objective in ("bc", "iql"):
        assert np.isfinite([value for _, value in points[f"losses/{objective}/loss"]]).all()
    assert find(psutil.Process().pid, "ray::LearnerProcess") == []
