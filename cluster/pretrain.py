"""The driver of `ocelot pretrain`: what is due between updates of a fresh policy that learns from demonstrations."""

import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from cluster.board import Board
from cluster.config import PretrainConfig
from cluster.interrupt import Interrupted, StopRequest, stop_on_signals
from cluster.progress import Progress
from cluster.run_evaluation import evaluate_run
from cluster.rundir import RunDirectory, find_checkpoint
from cluster.saving import Saving, Write
from cluster.start import Start, fresh, from_checkpoint
from cluster.telling import warn
from cluster.trainee import Stop, Trainee, Updates
from cluster.watching.introduction import introduce
from cluster.watching.state import Keeper, kept
from learner.schedule import Schedule
from learner.types import ScheduleError

LOG = logging.getLogger("ocelot")
HELD_OUT_EVERY = 50  # updates, where log_every divides it


class Trains(Protocol):
    """A `Trainee`, or several that are one."""

    def done(self) -> int: ...
    def updates(self, count: int, stop: Stop | None) -> Updates: ...
    def held_out(self) -> tuple[dict[str, float], int | None] | None: ...
    def finish(self) -> None: ...
    def copy(self, extra: dict[str, Any]) -> None: ...
    def write(self, folder: Path) -> None: ...


def pretrain(config: PretrainConfig, run: RunDirectory) -> Path:
    """Trains until all updates are done; a run that was stopped goes on from its newest checkpoint, to the bit.

    With other `parallel` settings than before it goes on too, to the rounding of sums.

    Args:
        config: of the run.
        run: its directory.

    Returns:
        The last checkpoint.

    Raises:
        OcelotError: what a person can put right; the checkpoints so far stay.
        Interrupted: stopped by Ctrl-C or SIGTERM, after a checkpoint.
    """
    import torch

    torch.set_num_threads(config.run.learner_threads)
    schedule = Schedule(config.schedule)
    if schedule.tables != {"expert"}:
        raise ScheduleError(
            f"schedule: pretraining has demonstrations only, and the schedule draws from {', '.join(schedule.tables)}; "
            "let every entry have data: {expert: 1.0}"
        )
    for entry in schedule.entries:
        entry.share(config.parallel.workers)
    resume = run.latest_checkpoint()
    begin = (
        from_checkpoint(resume, config.tasks)
        if resume
        else fresh(config.policy, config.tasks, config.text, config.run.seed, bool(config.texts or config.captions))
    )
    with (
        run.logging(),
        kept(run, config.run.updates) as state,
        stop_on_signals() as stop,
        _trainee(config, run, begin, resume) as trainee,
    ):
        board = Board(run.path, trainee.done() + 1 if resume else None, offline=True)
        try:
            if not resume:
                introduce(board, config, run, begin.layouts)
            Pretraining(config, run, trainee).run(board, state, stop)
            checkpoint = find_checkpoint(run.path)
            evaluate_run(config, run, checkpoint, config.run.updates, board, config.run.updates)
            board.close(ended=True)
        finally:
            board.close()
    return checkpoint


@contextlib.contextmanager
def _trainee(config: PretrainConfig, run: RunDirectory, begin: Start, resume: Path | None) -> Iterator[Trains]:
    """This process trains, or as many others as `parallel` says."""
    if config.parallel.alone:
        yield Trainee(config, run.path, begin, resume)
        return
    from cluster.local_ray import local_ray
    from cluster.parallel.team import team

    with local_ray(), team(config, run.path, begin, resume) as several:
        yield several


class Pretraining:
    """What is due between updates.

    Args:
        config: of the run.
        run: its directory.
        trainee: what trains.
    """

    def __init__(self, config: PretrainConfig, run: RunDirectory, trainee: Trains):
        self.config = config
        self.run_directory = run
        self.trainee = trainee
        self.update = trainee.done()
        self._saving = Saving(run, config.run.keep_checkpoints)

    def run(self, board: Board, state: Keeper, stop: StopRequest) -> None:
        """Trains until all updates are done. Raises as `pretrain`."""
        try:
            self._run(board, state, stop)
        except Exception:
            self._saving.settle()
            raise

    def _run(self, board: Board, state: Keeper, stop: StopRequest) -> None:
        config = self.config
        total = config.run.updates
        sums: dict[str, float] = defaultdict(float)
        seen: dict[str, int] = defaultdict(int)
        logged_at, logged, spent = time.monotonic(), self.update, dict[str, float]()
        with Progress(f"Pretraining {config.run.name}", total, "updates", done=self.update) as progress:
            while self.update < total:
                done = self.trainee.updates(self._next() - self.update, stop)
                self.update = update = done.update
                for name, value in done.sums.items():
                    sums[name] += value
                    seen[name] += done.seen[name]
                for warning in done.warnings:
                    warn(warning)
                if self._saving.over:
                    self._saving.end()
                if seen and (update % config.run.log_every == 0 or update == total):
                    values = {f"losses/{name}": sums[name] / seen[name] for name in sums}
                    now = time.monotonic()
                    passed = max(now - logged_at, 1e-9)
                    values["charts/updates_per_second"] = (update - logged) / passed
                    parts = {part: seconds - spent.get(part, 0.0) for part, seconds in done.seconds.items()}
                    values["time/learner/update"] = sum(parts.values()) / passed
                    values |= {f"time/learner/update/{part}": more / passed for part, more in parts.items()}
                    over = False
                    if update % HELD_OUT_EVERY == 0 or update == total:
                        over = self._look_at_held_out(values)
                    board.scalars(values, update)
                    board.histograms(done.histograms, update)
                    progress.update(update, _note(values))
                    state.progress(update)
                    sums.clear()
                    seen.clear()
                    logged_at, logged, spent = now, update, dict(done.seconds)
                    if over:
                        self.update = total
                if self.update == total:
                    self.trainee.finish()
                    self._save()
                    break
                if stop:
                    folder = self._save()
                    raise Interrupted(f"Stopped after update {update}; the same command goes on from {folder}")
                if update % config.run.checkpoint_every == 0:
                    self._begin_to_save()
                every = config.evaluation.every
                if every and update % every == 0:
                    evaluate_run(config, self.run_directory, self._save(), update, board, update)

    def _next(self) -> int:
        """The next update that something follows."""
        run, evaluation = self.config.run, self.config.evaluation
        every = (run.log_every, run.checkpoint_every, evaluation.every)
        return min([(self.update // period + 1) * period for period in every if period] + [run.updates])

    def _look_at_held_out(self, values: dict[str, float]) -> bool:
        """Adds the held-out loss to what is logged. Returns whether it is time to stop."""
        found = self.trainee.held_out()
        if found is None:
            return False
        losses, best = found
        values |= {f"losses/{name}": loss for name, loss in losses.items()}
        if best is None:
            return False
        LOG.info("held-out loss is least at update %d: stopped after %d", best, self.update)
        return True

    def _save(self) -> Path:
        """The checkpoint of this update, once it is written."""
        self._begin_to_save()
        folder = self._saving.end()
        assert folder is not None
        return folder

    def _begin_to_save(self) -> None:
        extra = {
            "arm": self.config.run.arm or self.config.run.name,
            "seed": self.config.run.seed,
            "updates": self.update,
            "env_steps": 0,
            "provenance": self.run_directory.provenance(),
        }

        def copy() -> Write:
            self.trainee.copy(extra)
            return self.trainee.write

        self._saving.begin(self.update, copy)


def _note(values: dict[str, float]) -> str:
    losses = [f"{name.split('/')[1]} {value:.3f}" for name, value in values.items() if name.endswith("/loss")]
    return ", ".join(losses)
