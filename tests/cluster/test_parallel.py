"""Pretraining by several workers under Ray Train: the run of one, told in time when it cannot be."""

import shutil
from pathlib import Path

import pytest
import torch

from cluster import pretrain as driver
from cluster.config import PretrainConfig
from cluster.config_files import load
from cluster.interrupt import Interrupted
from cluster.parallel.check import ParallelError, check, crowded
from cluster.pretrain import pretrain
from cluster.rundir import RunDirectory
from cluster.start import fresh
from cluster.trainee import Trainee
from learner.config import ParallelConfig
from learner.learner import Learner
from learner.types import MemoryFullError, ScheduleError
from policy import checkpoint
from replay.errors import DatasetError
from tests.cluster.processes_of import scalars
from tests.cluster.small import PRETRAIN, changed, write
from tests.cluster.test_pretrain import run_of


def begun(**changes) -> tuple[PretrainConfig, RunDirectory]:
    """A run in the current folder, so that it can be copied to another; its checkpoints are 3 updates apart."""
    settings = changed(PRETRAIN, run__folder=".", run__checkpoint_every=3, **changes)
    config = load(PretrainConfig, [write(Path("config.yaml"), settings)])
    return config, RunDirectory.create(config)


def copy_at(update: int, run: RunDirectory, folder: Path) -> None:
    """Leaves a copy of a run in a folder, as it was after so many updates."""
    copy = RunDirectory(folder / run.path.name)
    shutil.copytree(run.path, copy.path, symlinks=True)
    for found in copy.complete_checkpoints():
        if found.name > f"step_{update:06d}":
            shutil.rmtree(found)


def same(run: RunDirectory, other: RunDirectory, since: int = 0) -> None:
    """The weights of two finished runs agree, and the losses that they logged after so many updates."""
    first, second = (
        {update: loss for update, loss in scalars(each.path)["offline/losses/bc/loss"] if update > since}
        for each in (run, other)
    )
    assert 12 in first
    assert first == pytest.approx(second, abs=1e-5)
    one, two = (checkpoint.load(each.checkpoints / "step_000012").model for each in (run, other))
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, rtol=0.0, atol=1e-5, msg=name)


class AtOnce:
    """A stop request that is there from the beginning."""

    def __enter__(self) -> "AtOnce":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __bool__(self) -> bool:
        return True


@pytest.mark.timeout(600)
def test_two_workers_make_the_run_of_one(pretrained, ray_cluster, tmp_path):
    config, run = run_of(tmp_path, parallel__workers=2)
    assert pretrain(config, run).name == "step_000012"
    same(run, pretrained)
    assert not (run.path / ".ray_train").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_goes_on_with_another_number_of_workers(demonstrations, ray_cluster, tmp_path, monkeypatch, capsys):
    folders = [tmp_path / name for name in ("one", "two", "again")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[0])
    config, alone = begun()
    pretrain(config, alone)
    alone = RunDirectory(alone.path.absolute())
    copy_at(6, alone, folders[1])

    monkeypatch.chdir(folders[1])
    config, two = begun(parallel__workers=2)
    with monkeypatch.context() as patch:
        patch.setattr(driver, "stop_on_signals", AtOnce)
        with pytest.raises(Interrupted):
            pretrain(config, two)
    assert "the same command goes on from" in capsys.readouterr().err
    config, two = begun(parallel__workers=2, parallel__sharding="full")
    assert pretrain(config, two).name == "step_000012"
    two = RunDirectory(two.path.absolute())
    same(two, alone, since=9)  # 9 stands for what came after the stop
    copy_at(9, two, folders[2])

    monkeypatch.chdir(folders[2])
    config, again = begun()
    assert pretrain(config, again).name == "step_000012"
    same(again, alone, since=9)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_a_worker_raises_is_raised_here(demonstrations, ray_cluster, tmp_path):
    texts = [{"name": "nothing", "folder": str(tmp_path)}]
    config, run = run_of(tmp_path, parallel__workers=2, texts=texts)
    with pytest.raises(DatasetError, match=r"text/nothing: .* holds no \.txt file with"):
        pretrain(config, run)
    assert not run.begun()


def test_workers_that_cannot_share_a_batch_are_refused(demonstrations, tmp_path):
    config, run = run_of(tmp_path, parallel__workers=3)
    with pytest.raises(ScheduleError, match="3 workers cannot share a batch of 8 windows evenly; set batch to 6 or 9"):
        pretrain(config, run)
    assert not run.begun()


def test_more_workers_than_gpus_are_refused():
    with pytest.raises(ParallelError, match=r"there are 2 GPUs: set parallel\.workers to at most 2, or"):
        check(ParallelConfig(4, "nccl"), gpus=2.0, nccl=True)
    with pytest.raises(ParallelError, match=r"there are 0 GPUs: set parallel.backend to gloo"):
        check(ParallelConfig(4, "nccl"), gpus=0.0, nccl=True)
    check(ParallelConfig(4, "nccl"), gpus=4.0, nccl=True)
    with pytest.raises(ParallelError, match=r"one to the policy servers, and there are 4 GPUs: .* to at most 3, or"):
        check(ParallelConfig(4, "nccl"), gpus=4.0, nccl=True, serving=True)
    check(ParallelConfig(3, "nccl"), gpus=4.0, nccl=True, serving=True)
    check(ParallelConfig(1, "nccl"), gpus=1.0, nccl=True, serving=True)
    check(ParallelConfig(4, "gloo"), gpus=0.0, nccl=False)


def test_workers_without_cores_of_their_own_are_told_of():
    assert crowded(ParallelConfig(4), threads=1, cores=4) is None
    assert crowded(ParallelConfig(4, "nccl"), threads=1, cores=1) is None
    warning = crowded(ParallelConfig(4), threads=2, cores=4)
    assert warning is not None
    assert "keep 8 cores at work, and this machine has 4" in warning


@pytest.mark.skipif(torch.distributed.is_nccl_available(), reason="this PyTorch has NCCL")
def test_a_pytorch_without_nccl_is_named(demonstrations, ray_cluster, tmp_path):
    config, run = run_of(tmp_path, parallel__backend="nccl")
    with pytest.raises(ParallelError, match="has no NCCL: install one for CUDA"):
        pretrain(config, run)
    assert not run.begun()


def test_a_gpu_without_room_says_what_to_lower(demonstrations, tmp_path, monkeypatch):
    config, run = run_of(tmp_path)
    begin = fresh(config.policy, config.tasks, None, 0)
    trainee = Trainee(config, run.path, begin, None)

    def full(learner, fetch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(Learner, "update", full)
    with pytest.raises(
        MemoryFullError,
        match=r"Tried to allocate 2.00 GiB. The last checkpoint stands.*accumulation \(now 1 for 8 windows",
    ):
        trainee.updates(1, None)
