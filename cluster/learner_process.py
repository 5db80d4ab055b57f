"""A learner as a process of its own: a Learner, the stream of windows that it reads, the feeder of demonstrations."""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cluster.config import FinetuneConfig
from cluster.feeding import feeders
from cluster.parallel.meeting import DEVICES, meet
from cluster.room import room
from cluster.rundir import writing
from cluster.start import TRAINING_STATE, Start
from cluster.updates import Updates
from learner.learner import Learner
from learner.schedule import Schedule
from learner.state import Snapshot
from learner.workers import Alone, Workers
from policy.errors import OcelotError
from policy.types import Version
from replay.errors import ReplayTimeout
from replay.interface import TableInfo
from replay.stream import newest_update
from replay.trajectory import ONLINE, Trajectory


class LearnerProcess:
    """Made for Ray: calls run in the order in which they were made, so `weights` are those of the updates before it.
    Only `waiting` and `stop` go past them, in a line of their own, and `write`, in another.

    Several learners train together: each samples its own share of every batch, and meets the others in `updates`,
    `weights`, `copy` and `write`, which all are asked for in the same order. The first one feeds demonstrations to all.

    Args:
        start: policy and tasks; the policy is where a run begins that does not resume.
        config: of the run.
        replay: address of the tables.
        incarnation: of the versions that it publishes.
        resume: a checkpoint of this run to go on from.
        before: the checkpoint that a fresh run starts from, for its optimiser.
        rank: number of this learner, from 0 on.
        meeting: the file by which learners meet, as in `meet`; None for one that is alone.
        beside: as in `learner.memory.check`.
    """

    def __init__(
        self,
        start: Start,
        config: FinetuneConfig,
        replay: str,
        incarnation: int,
        resume: Path | None = None,
        before: Path | None = None,
        rank: int = 0,
        meeting: Path | None = None,
        beside: Mapping[str, int] | None = None,
    ):
        import torch

        from policy.devices import best
        from replay.interface import connect
        from replay.stream import WindowStream

        torch.set_num_threads(config.run.learner_threads)
        schedule = Schedule(config.schedule)
        self._start = start
        self._config = config
        self._workers: Workers = Alone() if meeting is None else meet(config.parallel, rank, meeting)
        with room(config):
            self._learner = Learner(
                start.model,
                start.tasks,
                config.learner,
                schedule,
                config.run.seed,
                best() if config.parallel.alone else DEVICES[config.parallel.backend],
                self._workers,
                sharded=config.parallel.sharding == "full",
                beside=beside,
            )
            self._learner.incarnation = incarnation
            if resume is not None:
                self._learner.restore(resume / TRAINING_STATE, incarnation)
            elif before is not None and config.learner.optimiser_at_switch == "keep":
                self._learner.restore_optimiser(before / TRAINING_STATE)
        self._replay = connect(replay, config.replay.patience)
        tables = sorted(schedule.tables)
        self._stream = WindowStream(
            self._replay, tables, max_policy_lag=config.replay.max_policy_lag, patience=config.replay.patience
        )
        self._feeders = feeders(config, start, self._replay, incarnation) if rank == 0 else []
        self._copied: tuple[Snapshot, dict[str, Any]] | None = None
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
            MemoryFullError: the GPU has no room for an update.
        """
        sums: dict[str, float] = defaultdict(float)
        seen: dict[str, int] = defaultdict(int)
        distributions: dict[str, np.ndarray] = {}
        for _ in range(count):
            self._stream.current_update = self._learner.updates
            self._windows.clear()
            began, waited = time.perf_counter(), self._seconds["wait"]
            try:
                with room(self._config):
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
            dict(seen),
            self._spent(),
            self._stream.stats(),
            float(np.mean([_size(each) for each in self._windows])) if self._windows else float("nan"),
            self._learner.clipping.take(),
            distributions | {"age": np.asarray(ages, dtype=np.float32)},
        )

    def version(self) -> Version:
        """Of the weights as they are now."""
        return self._learner.version

    def weights(self) -> dict[str, np.ndarray] | None:
        """The weights that act, at the last update; None from any learner but the first."""
        return self._learner.weights()

    def tables(self) -> dict[str, TableInfo]:
        """State of replay, asked here because the driver holds no client of it."""
        return self._replay.info()

    def copy(self, extra: dict[str, Any]) -> None:
        """Copies what a checkpoint holds at the last update, for `write`, in the place of the one before."""
        self._copied = self._learner.snapshot(), {"version": list(self._learner.version), **extra}

    def write(self, folder: Path) -> None:
        """Writes a checkpoint's files as they were when they were copied: what acting needs, and the training state.

        Updates may go on meanwhile.

        Raises:
            DiskFull: there is no room; of sharded learners all raise it.
        """
        assert self._copied is not None
        snapshot, extra = self._copied
        with writing(folder):
            snapshot.write(folder / TRAINING_STATE)
            if self._workers.rank == 0:
                self._start.save(folder, snapshot.published(), extra)

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
        windows: list[Trajectory] = []
        try:
            while True:
                error: Exception | None = _StoppedError() if self._stop.is_set() else None
                if not windows and error is None:
                    try:
                        windows = self._sampled(table, count)
                    except OcelotError as raised:
                        error = raised
                # Learners wait for windows together: one that stops, or whose tables are gone, tells the others.
                told = self._workers.gather((bool(windows), error))
                for _, error in told:
                    if error is not None:
                        raise error
                if all(there for there, _ in told):
                    self._windows += windows
                    return windows
        finally:
            self._waiting_since = None
            self._seconds["wait"] += time.perf_counter() - began

    def _sampled(self, table: str, count: int) -> list[Trajectory]:
        """So many windows; none when the table had not enough of them for a moment."""
        try:
            return self._stream.windows(table, count, timeout=0.5)
        except ReplayTimeout:
            for feeder in self._feeders:
                feeder.check()
            return []


def _size(window: Trajectory) -> int:
    """Bytes of a window's arrays."""
    return sum(array.nbytes for array in window.to_arrays().values())


class _StoppedError(Exception):
    """The process was asked to stop while an update waited for windows."""
