"""How long a learner stands still for a checkpoint, against writing it."""

import tempfile
import time
from pathlib import Path

from cluster.bench.figures import Figure
from cluster.bench.train_windows import TASK, windows
from cluster.config import PretrainConfig, RunConfig, TaskConfig
from cluster.rundir import RunDirectory
from cluster.saving import Saving, Write
from cluster.start import TRAINING_STATE, Start
from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from learner.types import TaskInfo
from policy.config import PolicyConfig
from policy.model import Policy


def stall(size: str, config: PolicyConfig, repeats: int, device: str = "cpu") -> Figure:
    """Milliseconds until training goes on; the baseline is until the checkpoint is whole, flushed to the disk.

    Before the first of the repeats there is one more, which takes the memory that the others copy to.

    Args:
        size: what it is called.
        config: its dims.
    """
    import torch

    torch.manual_seed(0)
    begin = Start(Policy(config), {}, {TASK: TaskInfo()})
    learner = Learner(begin.model, begin.tasks, LearnerConfig(), Schedule([Entry("bc", batch=1)]), device=device)
    drawn = windows(1, config.context)
    learner.update(lambda table, count: drawn)  # moments are there

    def copy() -> Write:
        snapshot = learner.snapshot()

        def write(folder: Path) -> None:
            snapshot.write(folder / TRAINING_STATE)
            begin.save(folder, snapshot.published(), {})

        return write

    stood, wrote = [], []
    with tempfile.TemporaryDirectory() as folder:
        settings = PretrainConfig(run=RunConfig(name="bench", folder=folder, updates=1), tasks=[TaskConfig(name=TASK)])
        saving = Saving(RunDirectory.create(settings), keep=1)
        for step in range(repeats + 1):
            began = time.perf_counter()
            saving.begin(step, copy)
            stood.append(1000 * (time.perf_counter() - began))
            saving.end()
            wrote.append(1000 * (time.perf_counter() - began))
    return Figure.of(f"learner's stall for a checkpoint, {size}", stood[1:], "ms", sorted(wrote[1:])[repeats // 2])
