"""The learner as a process of its own: a Learner, the stream of windows that it reads, the feeder of demonstrations."""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cluster.config import FinetuneConfig
from cluster.rundir import writing
from cluster.start import TRAINING_STATE, Start
from learner.learner import Learner
from learner.schedule import Schedule
from policy.types import Version
from replay.errors import ReplayTimeout
from replay.interface import TableInfo
from replay.stream import newest_update
from replay.trajectory import ONLINE, Trajectory


@dataclass(frozen=True)
class Updates:
    """What a few updates in a row did."""

    version: Version
    """After them."""
    metrics: dict[str, float]
    """Means over the updates that logged them."""
    seconds: dict[str, float]
    """Spent since the process began on: update and its parts (update/forward, ...), wait (for windows)."""
    replay: dict[str, float]
    """Of the window stream, as its `stats`."""
    window_bytes: float
    """Mean size of the windows of the last update."""
    warnings: list[str]
    """Of the learner, since the last ones."""
    distributions: dict[str, np.ndarray]
    """float32 [n] by name: of each objective's last batch (OBJECTIVE/...), and the ages of its windows (age)."""


class LearnerProcess:
    """Made for Ray: calls run in the order in which they were made, so `weights` are those of the updates before it.
    Only `waiting` and `stop` go past them, in a line of their own.

    Args:
        start: policy and tasks; the policy is where a run begins that does not resume.
        config: of the run.
        replay: address of the tables.
        incarnation: of the versions that it publishes.
        resume: a checkpoint of this run to go on from.
        before: the checkpoint that a fresh run starts from, for its optimiser.
    """

    def __init__(
        self,
        start: Start,
        config: FinetuneConfig,
        replay: str,
        incarnation: int,
        resume: Path | None = None,
        before: Path | None = None,
    ):
        import torch

        from policy.devices import best
        from replay.feeder import Feeder
        from replay.interface import connect
        from replay.pretraining import DemonstrationStream
        from replay.prompts import PromptWindows
        from replay.stream import WindowStream

        torch.set_num_threads(config.run.learner_threads)
        schedule = Schedule(config.schedule)
        self._start = start
        self._learner = Learner(start.model, start.tasks, config.learner, schedule, config.run.seed, best())
        self._learner.incarnation = incarnation
        if resume is not None:
            self._learner.restore(resume / TRAINING_STATE, incarnation)
        elif before is not None and config.learner.optimiser_at_switch == "keep":
            self._learner.restore_optimiser(before / TRAINING_STATE)
        self._replay = connect(replay, config.replay.patience)
        self._feeders: list[Feeder] = []
        tables = sorted(schedule.tables)
        self._stream = WindowStream(
            self._replay, tables, max_policy_lag=config.replay.max_policy_lag, patience=config.replay.patience
        )
        if "expert" in tables:
            # Here and not in the driver, for each process that holds a Reverb client pays 0.45 GB for it.
            demonstrations = DemonstrationStream(
                {task.name: task.datasets for task in config.tasks if task.datasets},
                start.layouts,
                start.model.config.context,
                {task.name: task.weight for task in config.tasks},
                # A learner that comes back begins elsewhere in the data: not all over again.
                config.run.seed if incarnation == 1 else _seed(config.run.seed, incarnation),
                attention_steps=start.model.config.attention_steps,
                prompts=config.prompts.share,
                prompt_steps=config.prompts.steps,
            )
            self._feeders.append(Feeder(self._replay, demonstrations))
        if config.actors.prompts:
            prompts = PromptWindows(
                {task.name: task.datasets for task in config.tasks},
                start.layouts,
                start.model.config.context,
                config.run.seed,
                config.prompts.steps,
            )
            self._feeders.append(Feeder(self._replay, prompts, "prompts"))
        self._waiting_since: float | None = None
        self._stop = threading.Event()
        self._seconds = {"update": 0.0, "wait": 0.0}
        self._windows: list[Trajectory] = []
        """Of the last update."""

    def updates(self, count: int) -> Updates:
        """So many updates, or fewer when stopped.

        Raises:
            DivergedError: a loss that is not finite.
            ReplayError: the tables are gone.
        """
        sums: dict[str, float] = defaultdict(float)
        seen: dict[str, int] = defaultdict(int)
        distributions: dict[str, np.ndarray] = {}
        for _ in range(count):
            self._stream.current_update = self._learner.updates
            self._windows.clear()
            began, waited = time.perf_counter(), self._seconds["wait"]
            try:
                metrics = self._learner.update(self._fetch)
            except _StoppedError:
                break
            self._seconds["update"] += time.perf_counter() - began - (self._seconds["wait"] - waited)
            objective = self._learner.schedule.at(self._learner.updates - 1).objective
            for name, values in self._learner.distributions.items():
                distributions[f"{objective}/{name}"] = values.float().cpu().numpy()
            for name, value in metrics.items():
                sums[name] += value
                seen[name] += 1
        ages = [self._learner.updates - newest_update(each) for each in self._windows if each.source == ONLINE]
        return Updates(
            self._learner.version,
            {name: total / seen[name] for name, total in sums.items()},
            self._spent(),
            self._stream.stats(),
            float(np.mean([_size(each) for each in self._windows])) if self._windows else float("nan"),
            self._learner.clipping.take(),
            distributions | {"age": np.asarray(ages, dtype=np.float32)},
        )

    def version(self) -> Version:
        """Of the weights as they are now."""
        return self._learner.version

    def weights(self) -> dict[str, np.ndarray]:
        """The weights that act, at the last update."""
        return self._learner.weights()

    def tables(self) -> dict[str, TableInfo]:
        """State of replay, asked here because the driver holds no client of it."""
        return self._replay.info()

    def save(self, folder: Path, extra: dict[str, Any]) -> None:
        """Writes a checkpoint's files: what acting needs, and the training state."""
        version = list(self._learner.version)
        with writing(folder):
            self._start.save(folder, self._learner.published(), {"version": version, **extra})
            self._learner.save(folder / TRAINING_STATE)

    def waiting(self) -> float:
        """Seconds for which the current update has waited for windows; 0 when it does not."""
        since = self._waiting_since
        return 0.0 if since is None else time.monotonic() - since

    def stop(self) -> None:
        """Ends `updates` before its next update, or while it waits for windows."""
        self._stop.set()

    def _spent(self) -> dict[str, float]:
        parts = dict(self._learner.timing.seconds)
        parts["batch"] -= self._seconds["wait"]  # the update's time is without waiting
        return self._seconds | {f"update/{name}": seconds for name, seconds in parts.items()}

    def _fetch(self, table: str, count: int) -> list[Trajectory]:
        began = time.perf_counter()
        self._waiting_since = time.monotonic()
        try:
            while True:
                if self._stop.is_set():
                    raise _StoppedError
                try:
                    windows = self._stream.windows(table, count, timeout=0.5)
                    self._windows += windows
                    return windows
                except ReplayTimeout:
                    for feeder in self._feeders:
                        feeder.check()
        finally:
            self._waiting_since = None
            self._seconds["wait"] += time.perf_counter() - began


def _size(window: Trajectory) -> int:
    """Bytes of a window's arrays."""
    return sum(array.nbytes for array in window.to_arrays().values())


def _seed(*entropy: int) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


class _StoppedError(Exception):
    """The process was asked to stop while an update waited for windows."""
