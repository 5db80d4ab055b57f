"""Several learners of a fine-tuning run: the losses of one, waiting together, and nobody who waits for the dead."""

import errno
import os
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from torch import distributed, multiprocessing
from torch.distributed.checkpoint import HuggingFaceStorageWriter

from cluster import learners as module
from cluster.config import FinetuneConfig
from cluster.learner_process import LearnerProcess
from cluster.learners import Learners
from cluster.rundir import DiskFull
from cluster.start import Start
from cluster.updates import Updates, following, together
from policy import checkpoint
from policy.model import Policy
from policy.types import Version
from replay import interface
from replay.errors import ReplayError, ReplayTimeout
from replay.trajectory import Trajectory
from tests.cluster.small import FINETUNE, changed
from tests.learner import crew
from tests.learner.windows import mixed

UPDATES = 40  # 20 of each objective
SHARDINGS = ("none", "full")


class Given:
    """In place of replay: windows in an order of their own, of which each of some learners gets every so many-th."""

    def __init__(self, rank: int, size: int):
        self._windows = mixed(40)
        self._next, self._size = rank, size
        self.fault: Exception | None = None

    def sample(self, table: str, count: int, timeout: float) -> list[Trajectory]:
        if (fault := self.fault) is not None:
            time.sleep(0.05)
            raise fault
        places = range(self._next, self._next + count * self._size, self._size)
        self._next = places.stop
        return [self._windows[place % len(self._windows)] for place in places]


def learner(replay: Given, rank: int = 0, meeting: Path | None = None, **parallel: Any) -> LearnerProcess:
    """One that is given its windows, in float64."""
    schedule = [{"objective": name, "batch": 8, "data": {"online": 1.0}} for name in ("bc", "iql")]
    tasks = [{"name": name} for name in crew.NAMES]
    settings = changed(FINETUNE, tasks=tasks, policy={}, schedule=schedule, parallel=parallel, replay__patience=0.1)
    torch.manual_seed(7)
    begin = Start(Policy(crew.SIZES).double(), {}, crew.TASKS)

    def connect(address: str, patience: float = 60.0) -> Any:
        return replay

    interface.connect = connect
    return LearnerProcess(begin, FinetuneConfig.model_validate(settings), "", 1, None, None, rank, meeting)


def trained(process: LearnerProcess) -> list[Updates]:
    """One update after the other."""
    return [process.updates(1) for _ in range(UPDATES)]


def member(rank: int, folder: Path) -> None:
    """What one of two learners does, one thing after the other, and leaves in a file."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for sharding in SHARDINGS:
        process = learner(Given(rank, 2), rank, folder / f"meeting {sharding}", workers=2, sharding=sharding)
        found[sharding] = trained(process), process.weights()
        save(process, folder / sharding)
        if sharding == "full":
            if rank:
                setattr(HuggingFaceStorageWriter, "write_data", on_a_full_disk)  # noqa: B010  # mypy knows its type
            with pytest.raises(DiskFull):
                save(process, folder / "never")
            found["after a full disk"] = process.updates(1).version.update
        distributed.destroy_process_group()
    replay = Given(rank, 2)
    process = learner(replay, rank, folder / "meeting", workers=2)
    process.updates(2)
    for fault in (ReplayError("the tables are gone"), ReplayTimeout("nothing yet")):
        replay.fault = fault if rank else None
        if isinstance(fault, ReplayTimeout) and rank == 0:
            threading.Thread(target=stop_once_it_waits, args=(process,)).start()
        try:
            found[type(fault).__name__] = process.updates(200).version
        except ReplayError as error:
            found[type(fault).__name__] = str(error)
            replay.fault = None
            while not process._stream.stats()["ready"]:
                time.sleep(0.05)
            found["after it"] = process.updates(2).version.update
    distributed.destroy_process_group()
    (folder / str(rank)).write_bytes(pickle.dumps(found))


def save(process: LearnerProcess, folder: Path) -> None:
    process.copy({"updates": UPDATES})
    process.write(folder)


def on_a_full_disk(*_: Any) -> Any:
    raise OSError(errno.ENOSPC, "no space left on device")


def stop_once_it_waits(process: LearnerProcess) -> None:
    while process.waiting() < 1.0:
        time.sleep(0.05)
    process.stop()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    """What each of two learners found, and the folder of their checkpoints."""
    folder = tmp_path_factory.mktemp("learners")
    multiprocessing.spawn(member, (folder,), nprocs=2, daemon=True)
    return [pickle.loads((folder / str(rank)).read_bytes()) for rank in range(2)], folder


@pytest.fixture(scope="module")
def one() -> tuple[list[Updates], Any]:
    """What one learner tells of its updates, and its weights after them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interface, "connect", interface.connect)  # put back when the context ends
        process = learner(Given(0, 1))
        return trained(process), process.weights()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("sharding", SHARDINGS)
def test_two_learners_equal_one_at_the_same_global_batch(one, two, sharding):
    (first, weights), (second, nothing) = (found[sharding] for found in two[0])
    assert nothing is None
    for expected, *told in zip(one[0], first, second, strict=True):
        for mine in told:
            assert mine.version == expected.version
            assert mine.metrics == pytest.approx(expected.metrics, abs=1e-9, nan_ok=True)
    saved = checkpoint.load(two[1] / sharding)
    assert saved.extra["updates"] == UPDATES
    for name, value in one[1].items():
        np.testing.assert_allclose(weights[name], value, rtol=0.0, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(saved.model.state_dict()[name].numpy(), value, rtol=0.0, atol=1e-6, err_msg=name)


@pytest.mark.timeout(400)
def test_learners_go_on_after_a_disk_was_full_for_one_of_them(two):
    assert [found["after a full disk"] for found in two[0]] == [UPDATES + 1, UPDATES + 1]


@pytest.mark.timeout(400)
def test_learners_fail_and_stop_together(two):
    first, second = two[0]
    assert "the tables are gone" in first["ReplayError"]
    assert second["ReplayError"] == first["ReplayError"]
    assert first["after it"] == second["after it"] > 4
    assert first["ReplayTimeout"] == second["ReplayTimeout"]


def test_calls_one_after_the_other_are_one_by_the_number_of_their_updates():
    def told(update: int, **metrics: tuple[float, int]) -> Updates:
        means = {name: mean for name, (mean, _) in metrics.items()}
        logged = {name: count for name, (_, count) in metrics.items()}
        return Updates(Version(1, update), means, logged, {"update": float(update)}, {}, 1.0, [], {})

    first = following(told(3, loss=(1.0, 3), bc=(4.0, 2)), told(4, loss=(5.0, 1), iql=(2.0, 1)))
    assert first.version.update == 4
    assert first.metrics == {"loss": 2.0, "bc": 4.0, "iql": 2.0}
    assert first.logged == {"loss": 4, "bc": 2, "iql": 1}
    assert first.seconds == {"update": 4.0}  # which count from the process's beginning
    assert following(first, told(8, bc=(1.0, 4))).metrics["bc"] == 2.0


def test_what_learners_tell_is_put_together():
    def told(mean: float, warnings: list[str], **kinds: list[float]) -> Updates:
        distributions = {name: np.asarray(values) for name, values in kinds.items()}
        replay = {"dropped": 2.0, "age": mean}
        return Updates(
            Version(1, 3), {"loss": 0.5}, {"loss": 1}, {"update": 1.0}, replay, 100.0, warnings, distributions
        )

    both = together([told(4.0, ["one"], age=[1.0]), told(float("nan"), ["one", "two"], age=[2.0], values=[3.0])])
    assert both.version == Version(1, 3)
    assert both.metrics == {"loss": 0.5}
    assert both.replay == {"dropped": 4.0, "age": 4.0}
    assert both.warnings == ["one", "two"]
    assert {name: values.tolist() for name, values in both.distributions.items()} == {"age": [1.0, 2.0], "values": [3]}


class Stand:
    """Stands in for a learner in Ray: updates do what their number says."""

    def updates(self, what: int) -> None:
        if what == 0:
            time.sleep(600.0)  # waits for one that does not come
        if what == 1:
            raise MemoryError("this learner alone")
        if what == 2:
            raise RuntimeError("connection closed by peer")
        os._exit(1)


@pytest.mark.timeout(300)
def test_learners_that_wait_for_one_that_failed_are_ended(ray_cluster, monkeypatch):
    monkeypatch.setattr(module, "END", 2.0)
    first, second, third = (ray.remote(num_cpus=0)(Stand).remote() for _ in range(3))
    learners = Learners([first, second, third])
    with pytest.raises(ray.exceptions.RayTaskError, match="this learner alone"):
        learners.answers([first.updates.remote(0), second.updates.remote(1)])
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(first.updates.remote(2))


@pytest.mark.timeout(300)
def test_a_learner_that_died_is_the_reason_that_the_others_fail(ray_cluster):
    first, second = (ray.remote(num_cpus=0)(Stand).remote() for _ in range(2))
    with pytest.raises(ray.exceptions.RayActorError):
        Learners([first, second]).answers([first.updates.remote(2), second.updates.remote(3)])
