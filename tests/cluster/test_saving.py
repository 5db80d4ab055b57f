"""Checkpoints that are written while the run goes on: one at a time, whole or not at all, and failures are told."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cluster.rundir import COMPLETE, DiskFull, RunDirectory
from cluster.saving import LenientSaving, Saving, Write
from cluster.start import fresh, from_checkpoint
from cluster.trainee import Trainee
from policy import checkpoint
from tests.cluster.conftest import ROOT
from tests.cluster.faults import MOUNTABLE, small_disk
from tests.cluster.test_pretrain import run_of
from tests.cluster.test_rundir import config

pytestmark = pytest.mark.timeout(120)
MIB = 2**20
WEIGHTS = "model.safetensors"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(config(tmp_path))


@pytest.fixture
def small_run(tmp_path: Path) -> Iterator[RunDirectory]:
    """One whose disk has 160 MB."""
    with small_disk(tmp_path) as folder:
        yield RunDirectory.create(config(folder))


class Slow:
    """Writes a file when it is let go."""

    def __init__(self, text: str):
        self.go = threading.Event()
        self._text = text

    def copy(self) -> Write:
        return self.write

    def write(self, folder: Path) -> None:
        (folder / WEIGHTS).write_text(self._text)
        assert self.go.wait(60.0)


def weights(mib: int) -> Callable[[], Write]:
    """Makes a copy of so many MiB."""
    return lambda: lambda folder: save_file({"weights": torch.zeros(mib * MIB // 4)}, folder / WEIGHTS)


def test_it_is_written_beside_the_run_and_exists_once_it_is_whole(run):
    saving, slow = Saving(run, keep=2), Slow("weights")
    assert saving.end() is None
    saving.begin(5, slow.copy)
    assert not saving.over
    assert run.latest_checkpoint() is None
    slow.go.set()
    folder = saving.end()
    assert folder == run.latest_checkpoint()
    assert (folder / WEIGHTS).read_text() == "weights"
    assert not saving.over


def test_a_second_waits_for_the_first_before_anything_is_copied(run):
    saving, first = Saving(run, keep=2), Slow("first")
    saving.begin(5, first.copy)
    found = []

    def copy() -> Write:
        found.append([each.name for each in run.complete_checkpoints()])
        return weights(1)()

    threading.Timer(0.3, first.go.set).start()
    saving.begin(6, copy)
    assert found == [["step_000005"]]
    assert saving.end() == run.checkpoints / "step_000006"
    saving.begin(6, copy)  # there already
    assert len(found) == 1
    assert saving.end() == run.checkpoints / "step_000006"


@pytest.mark.skipif(not MOUNTABLE, reason="a disk that is soon full is a tmpfs, which needs root to be mounted")
def test_a_full_disk_is_told_once_and_leaves_the_checkpoint_before(small_run):
    saving = Saving(small_run, keep=2)
    saving.begin(5, weights(50))
    good = saving.end()
    saving.begin(6, weights(140))
    with pytest.raises(DiskFull, match=r"no space left on the disk of .*; earlier checkpoints are untouched"):
        saving.begin(7, weights(1))
    assert small_run.complete_checkpoints() == [good]
    assert list(small_run.checkpoints.glob("step_*")) == [good]  # what was half written has given its space back
    saving.begin(8, weights(50))
    assert saving.end() == small_run.latest_checkpoint() == small_run.checkpoints / "step_000008"


@pytest.mark.skipif(not MOUNTABLE, reason="a disk that is soon full is a tmpfs, which needs root to be mounted")
def test_a_run_that_may_goes_on_and_counts(small_run, caplog):
    ballast = small_run.path / "ballast"
    ballast.write_bytes(bytes(100 * MIB))
    saving = LenientSaving(small_run, keep=2)
    saving.begin(5, weights(100))
    assert saving.written() is None
    assert saving.failed == 1
    assert "no checkpoint after update 5: no space left" in caplog.text
    threading.Timer(0.7, ballast.unlink).start()
    assert saving.save_when_there_is_room(6, weights(100)) == small_run.latest_checkpoint()
    assert saving.failed > 1


def test_what_else_goes_wrong_is_raised_too(run, caplog):
    saving = Saving(run, keep=2)

    def copy() -> Write:
        def write(folder: Path) -> None:
            raise PermissionError("not yours")

        return write

    saving.begin(5, copy)
    with pytest.raises(PermissionError, match="not yours"):
        saving.end()
    assert saving.end() is None
    saving.begin(5, copy)
    with caplog.at_level(logging.WARNING, "ocelot"):
        saving.settle()
    assert "is lost: not yours" in caplog.text


def test_a_copy_that_cannot_be_made_leaves_nothing(run):
    saving = Saving(run, keep=2)

    def copy() -> Write:
        raise ValueError("no copy")

    with pytest.raises(ValueError, match="no copy"):
        saving.begin(5, copy)
    assert saving.end() is None
    assert not run.checkpoints.exists()


HALF = """
import sys
import time
from pathlib import Path
from cluster.rundir import RunDirectory
from cluster.saving import Saving
from tests.cluster.test_saving import WEIGHTS, weights

saving = Saving(RunDirectory(Path(sys.argv[1])), keep=1)
saving.begin(5, weights(1))
saving.end()

def copy():
    def write(folder):
        weights(1)()(folder)
        print("half", flush=True)
        time.sleep(600)
    return write

saving.begin(6, copy)
sys.stdin.readline()
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_process_that_ends_in_the_middle_leaves_the_checkpoint_before(run, killed):
    command = [sys.executable, "-c", HALF, str(run.path)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    if killed:
        process.kill()
    process.communicate("\n" if not killed else None, timeout=60.0)  # it does not wait for what is being written
    assert (run.checkpoint(6) / WEIGHTS).exists()
    assert not (run.checkpoint(6) / COMPLETE).exists()
    assert run.latest_checkpoint() == run.checkpoint(5)
    saving = Saving(run, keep=1)
    saving.begin(6, weights(1))
    assert saving.end() == run.latest_checkpoint() == run.checkpoint(6)


def test_what_is_written_is_what_was_copied_while_training_goes_on(demonstrations, tmp_path):
    """To the bit, and so is what goes on from it."""
    settings, run = run_of(tmp_path, schedule=[{"objective": "iql", "batch": 8}])
    trainee = Trainee(settings, run.path, fresh(settings.policy, settings.tasks, None, 0), None)
    trainee.updates(3, None)
    before = trainee.learner.weights()
    saving = Saving(run, keep=2)
    updated = threading.Event()

    def copy() -> Write:
        trainee.copy({"updates": 3})

        def write(folder: Path) -> None:
            assert updated.wait(60.0)
            trainee.write(folder)

        return write

    saving.begin(3, copy)
    trainee.updates(4, None)
    updated.set()
    folder = saving.end()
    assert folder is not None
    for name, value in checkpoint.load(folder).model.state_dict().items():
        assert torch.equal(value, torch.from_numpy(before[name])), name

    again = Trainee(settings, run.path, from_checkpoint(folder, settings.tasks), folder)
    assert again.done() == 3
    again.updates(4, None)
    expected = trainee.learner.snapshot()
    found = again.learner.snapshot()
    assert found.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(value, found.tensors[name]) for name, value in expected.tensors.items())
    assert found.scalars == expected.scalars


def test_a_checkpoint_is_copied_into_the_same_memory_again(demonstrations, tmp_path):
    settings, run = run_of(tmp_path)
    trainee = Trainee(settings, run.path, fresh(settings.policy, settings.tasks, None, 0), None)
    trainee.updates(1, None)
    first = {name: value.data_ptr() for name, value in trainee.learner.snapshot().tensors.items()}
    trainee.updates(1, None)
    second = trainee.learner.snapshot()
    assert {name: value.data_ptr() for name, value in second.tensors.items()} == first
    own = {value.data_ptr() for value in trainee.learner.policy.state_dict().values()}
    assert not own & set(first.values())
    weights = trainee.learner.policy.state_dict()
    assert all(torch.equal(second.tensors[f"policy/{name}"], value) for name, value in weights.items())
