"""What trains in a pretraining run: the learner, its demonstrations, and what is measured of them.

Alone it is an object of the driver; of several workers each has one, and all do the same at the same time.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cluster.config import PretrainConfig
from cluster.early_stopping import EarlyStopping
from cluster.room import room
from cluster.rundir import writing
from cluster.start import TRAINING_STATE, Start
from cluster.texts import TEXT, text_corpora
from cluster.texts import weights as shares_of
from learner.learner import Learner
from learner.schedule import Schedule
from learner.shards import let_go
from learner.state import Snapshot
from learner.statistics import mean, sums, together
from learner.view import View
from learner.workers import Alone, Workers
from policy.devices import best
from replay.batch import collate
from replay.mixing import shares
from replay.pretraining import DemonstrationStream
from replay.trajectory import Trajectory

HELD_OUT_WINDOWS = 32  # of each task, but fewer of each where tasks are many:
HELD_OUT_IN_ALL = 256
HELD_OUT_AT_ONCE = 32  # windows of one forward pass
STREAM = "stream.json"  # position of the demonstrations, beside the training state


class Stop(Protocol):
    """True once somebody asks to stop."""

    def __bool__(self) -> bool: ...


@dataclass(frozen=True)
class Updates:
    """What a few updates in a row did."""

    update: int
    """How many there are after them."""
    sums: dict[str, float]
    """Of what they logged, by name."""
    seen: dict[str, int]
    """How many of them logged it."""
    seconds: dict[str, float]
    """Spent since the process began on each part of an update."""
    histograms: dict[str, np.ndarray]
    """float32 [n] by tag, of the last batch (of several workers: the first one's share)."""
    warnings: list[str]
    """Of the learner, since the last ones."""


@dataclass(frozen=True)
class _Copied:
    """What a checkpoint is written from."""

    snapshot: Snapshot
    stream: str
    """Position of the demonstrations, as JSON."""
    extra: dict[str, Any]


class Trainee:
    """Trains a policy from demonstrations.

    Args:
        config: of the run.
        folder: of the run.
        begin: policy and tasks.
        resume: a checkpoint of this run to go on from, whatever the number of workers that made it.
        workers: who trains together; every one sees the same stream of windows and takes its own of each batch.
        device: where to train; None: on a GPU if there is one.

    Raises:
        OcelotError: what a person can put right.
    """

    def __init__(
        self,
        config: PretrainConfig,
        folder: Path,
        begin: Start,
        resume: Path | None,
        workers: Workers | None = None,
        device: str | None = None,
    ):
        self._config = config
        self._begin = begin
        self._workers = workers or Alone()
        context = begin.model.config.context
        texts = text_corpora(config, begin.text, context)
        known = begin.tasks | dict.fromkeys(texts, TEXT)
        schedule = Schedule(config.schedule)
        with room(self._config):
            self.learner = Learner(
                begin.model,
                known,
                config.learner,
                schedule,
                config.run.seed,
                device or best(),
                self._workers,
                sharded=config.parallel.sharding == "full",
            )
        self._stream = DemonstrationStream(
            {task.name: task.datasets for task in config.tasks},
            begin.layouts,
            context,
            shares(shares_of(config), config.domain_weights),
            config.run.seed,
            attention_steps=begin.model.config.attention_steps,
            held_out=config.held_out,
            prompts=config.prompts.share,
            prompt_steps=config.prompts.steps,
            texts=texts,
        )
        few = max(2, min(HELD_OUT_WINDOWS, HELD_OUT_IN_ALL // len(config.tasks)))
        self._held_out = self._stream.held_out_windows(few)
        self._copied: _Copied | None = None
        self._best = None if config.patience is None else EarlyStopping(folder, config.patience)
        if resume is not None:
            with room(self._config):
                self.learner.restore(resume / TRAINING_STATE)
            self._stream.restore(json.loads((resume / TRAINING_STATE / STREAM).read_text()))

    def done(self) -> int:
        """Updates so far."""
        return self.learner.updates

    def updates(self, count: int, stop: Stop | None) -> Updates:
        """So many updates, or fewer when stopped.

        Args:
            stop: looked at before each update; with several workers it is the first one's that counts.

        Raises:
            DivergedError: a loss that is not finite.
            DatasetError: an episode that turns out damaged.
            MemoryFullError: the GPU has no room for an update.
        """
        sums: dict[str, float] = defaultdict(float)
        seen: dict[str, int] = defaultdict(int)
        with room(self._config):
            for _ in range(count):
                if any(self._workers.gather(bool(stop))):
                    break
                for name, value in self.learner.update(self._fetch).items():
                    sums[name] += value
                    seen[name] += 1
        learner = self.learner
        warnings = [each for own in self._workers.gather(learner.clipping.take()) for each in own]
        seconds = dict(learner.timing.seconds)
        once = list(dict.fromkeys(warnings))
        return Updates(learner.updates, dict(sums), dict(seen), seconds, self._histograms(), once)

    def held_out(self) -> tuple[dict[str, float], int | None] | None:
        """Mean cross-entropy of the held-out action tokens (`held_out`) and of each task's (`held_out/TASK`), and the
        update of the least of the former when it is time to stop.

        None where nothing is held out.
        """
        if not self._held_out:
            return None
        losses = self._held_out_losses()
        if self._best is None:
            return losses, None
        whole = self.learner.whole()
        least = losses["held_out"]
        over = whole is not None and self._workers.rank == 0 and self._best.stop(self.learner.updates, least, whole)
        over, update = self._workers.gather((over, self._best.update))[0]
        return losses, update if over else None

    def finish(self) -> None:
        """The run is over: with early stopping, the weights become the best ones."""
        if self._best is not None:
            self._best.finish(self.learner, self._config.run.updates)

    def copy(self, extra: dict[str, Any]) -> None:
        """Copies what a checkpoint holds, for `write`, in the place of the one before."""
        extra = {**extra, "version": list(self.learner.version)}
        self._copied = _Copied(self.learner.snapshot(), json.dumps(self._stream.state()), extra)

    def write(self, folder: Path) -> None:
        """Writes a checkpoint's files, as they were when they were copied. Updates may go on meanwhile."""
        assert self._copied is not None
        snapshot, stream, extra = self._copied.snapshot, self._copied.stream, self._copied.extra
        with writing(folder):
            snapshot.write(folder / TRAINING_STATE)
            if self._workers.rank == 0:
                self._begin.save(folder, snapshot.published(), extra)
                (folder / TRAINING_STATE / STREAM).write_text(stream)
                if self._best is not None:
                    self._best.settle()

    def _held_out_losses(self) -> dict[str, float]:
        import torch

        published = self.learner.published()
        training = published.training
        parts = []
        try:
            with torch.no_grad():
                for first in range(0, len(self._held_out), HELD_OUT_AT_ONCE):
                    batch = collate(self._held_out[first : first + HELD_OUT_AT_ONCE]).to(self.learner.device)
                    view = View(published.eval(), batch)
                    of_tasks = {f"held_out/{task}": figure for task, figure in view.cross_entropies().items()}
                    parts.append(sums({"held_out": mean(-view.action_log_probs), **of_tasks}))
        finally:
            published.train(training)
            if self.learner.sharded:
                let_go(published)
        return together(parts)

    def _fetch(self, table: str, count: int) -> list[Trajectory]:
        # The whole batch is drawn by each worker, so the stream has one position, and any number can go on from it.
        return self._stream.windows(count * self._workers.size)[self._workers.rank :: self._workers.size]

    def _histograms(self) -> dict[str, np.ndarray]:
        objective = self.learner.schedule.at(self.learner.updates - 1).objective
        values = self.learner.distributions.items()
        return {f"losses/{objective}/{name}": value.float().cpu().numpy() for name, value in values}
