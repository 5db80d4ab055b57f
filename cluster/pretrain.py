"""The driver of `ocelot pretrain`: one process that trains a fresh policy from demonstrations."""

import json
import logging
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from cluster.board import Board
from cluster.config import PretrainConfig
from cluster.early_stopping import EarlyStopping
from cluster.interrupt import Interrupted, StopRequest, stop_on_signals
from cluster.progress import Progress
from cluster.run_evaluation import evaluate_run
from cluster.rundir import RunDirectory, find_checkpoint
from cluster.start import TRAINING_STATE, Start, fresh, from_checkpoint
from cluster.telling import warn
from cluster.texts import TEXT, text_corpora, weights
from cluster.watching.introduction import introduce
from cluster.watching.state import Keeper, kept
from learner.learner import Learner
from learner.schedule import Schedule
from learner.types import ScheduleError
from learner.view import View
from replay.batch import collate
from replay.mixing import shares
from replay.pretraining import DemonstrationStream
from replay.trajectory import Trajectory

LOG = logging.getLogger("ocelot")
HELD_OUT_EVERY = 50  # updates, where log_every divides it
HELD_OUT_WINDOWS = 32  # of each task, but fewer of each where tasks are many:
HELD_OUT_IN_ALL = 256
HELD_OUT_AT_ONCE = 32  # windows of one forward pass
STREAM = "stream.json"  # position of the demonstrations, beside the training state


def pretrain(config: PretrainConfig, run: RunDirectory) -> Path:
    """Trains until all updates are done; a run that was stopped goes on from its newest checkpoint, to the bit.

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
    resume = run.latest_checkpoint()
    begin = (
        from_checkpoint(resume, config.tasks)
        if resume
        else fresh(config.policy, config.tasks, config.text, config.run.seed, bool(config.texts or config.captions))
    )
    with run.logging(), kept(run, config.run.updates) as state, stop_on_signals() as stop:
        training = Pretraining(config, run, begin, schedule, resume)
        board = Board(run.path, training.learner.updates + 1 if resume else None, offline=True)
        try:
            if not resume:
                introduce(board, config, run, begin.layouts)
            training.run(board, state, stop)
            checkpoint = find_checkpoint(run.path)
            evaluate_run(config, run, checkpoint, config.run.updates, board, config.run.updates)
            board.close(ended=True)
        finally:
            board.close()
    return checkpoint


class Pretraining:
    """The learner, its demonstrations, and what is due between updates. Arguments as `pretrain`."""

    def __init__(
        self, config: PretrainConfig, run: RunDirectory, begin: Start, schedule: Schedule, resume: Path | None
    ):
        self.config = config
        self.run_directory = run
        self.begin = begin
        texts = text_corpora(config, begin.text, begin.model.config.context)
        known = begin.tasks | dict.fromkeys(texts, TEXT)
        self.learner = Learner(begin.model, known, config.learner, schedule, config.run.seed)
        self.stream = DemonstrationStream(
            {task.name: task.datasets for task in config.tasks},
            begin.layouts,
            begin.model.config.context,
            shares(weights(config), config.domain_weights),
            config.run.seed,
            attention_steps=begin.model.config.attention_steps,
            held_out=config.held_out,
            prompts=config.prompts.share,
            prompt_steps=config.prompts.steps,
            texts=texts,
        )
        few = max(2, min(HELD_OUT_WINDOWS, HELD_OUT_IN_ALL // len(config.tasks)))
        self.held_out = self.stream.held_out_windows(few)
        self.best: EarlyStopping | None = None
        if config.patience is not None:
            self.best = EarlyStopping(run.path, config.patience)
        if resume is not None:
            self.learner.restore(resume / TRAINING_STATE)
            self.stream.restore(json.loads((resume / TRAINING_STATE / STREAM).read_text()))

    def run(self, board: Board, state: Keeper, stop: StopRequest) -> None:
        """Trains until all updates are done. Raises as `pretrain`."""
        config, learner = self.config, self.learner
        total = config.run.updates
        sums: dict[str, float] = defaultdict(float)
        seen: dict[str, int] = defaultdict(int)
        logged_at, logged, spent = time.monotonic(), learner.updates, dict(learner.timing.seconds)
        with Progress(f"Pretraining {config.run.name}", total, "updates", done=learner.updates) as progress:
            while learner.updates < total:
                for name, value in learner.update(self._fetch).items():
                    sums[name] += value
                    seen[name] += 1
                for warning in learner.clipping.take():
                    warn(warning)
                update = learner.updates
                if update % config.run.log_every == 0 or update == total:
                    values = {f"losses/{name}": sums[name] / seen[name] for name in sums}
                    now = time.monotonic()
                    passed = max(now - logged_at, 1e-9)
                    values["charts/updates_per_second"] = (update - logged) / passed
                    parts = {part: seconds - spent[part] for part, seconds in learner.timing.seconds.items()}
                    values["time/learner/update"] = sum(parts.values()) / passed
                    values |= {f"time/learner/update/{part}": more / passed for part, more in parts.items()}
                    if self.held_out and (update % HELD_OUT_EVERY == 0 or update == total):
                        held_out = values["losses/held_out"] = self._held_out_loss()
                        if self.best is not None and self.best.stop(update, held_out, learner.published()):
                            LOG.info("held-out loss is least at update %d: stopped after %d", self.best.update, update)
                            self.best.finish(learner, total)
                    board.scalars(values, update)
                    board.histograms(self._histograms(), update)
                    progress.update(update, _note(values))
                    state.progress(update)
                    sums.clear()
                    seen.clear()
                    logged_at, logged, spent = now, update, dict(learner.timing.seconds)
                if learner.updates == total:
                    if self.best is not None:
                        self.best.finish(learner, total)
                    self._save()
                    break
                if update % config.run.checkpoint_every == 0 or stop:
                    folder = self._save()
                    if stop:
                        raise Interrupted(f"Stopped after update {update}; the same command goes on from {folder}")
                every = config.evaluation.every
                if every and update % every == 0 and update < total:
                    evaluate_run(config, self.run_directory, self._save(), update, board, update)

    def _histograms(self) -> dict[str, np.ndarray]:
        """Of the last batch, by tag."""
        objective = self.learner.schedule.at(self.learner.updates - 1).objective
        values = self.learner.distributions.items()
        return {f"losses/{objective}/{name}": value.float().cpu().numpy() for name, value in values}

    def _held_out_loss(self) -> float:
        """Mean cross-entropy of the held-out action tokens."""
        import torch

        published = self.learner.published()
        training = published.training
        parts = []
        try:
            with torch.no_grad():
                for first in range(0, len(self.held_out), HELD_OUT_AT_ONCE):
                    batch = collate(self.held_out[first : first + HELD_OUT_AT_ONCE])
                    parts.append(View(published.eval(), batch).action_log_probs)
        finally:
            published.train(training)
        return -float(torch.cat(parts).mean())

    def _fetch(self, table: str, count: int) -> list[Trajectory]:
        return self.stream.windows(count)

    def _save(self) -> Path:
        update = self.learner.updates
        extra = {
            "arm": self.config.run.arm or self.config.run.name,
            "seed": self.config.run.seed,
            "updates": update,
            "env_steps": 0,
            "version": list(self.learner.version),
            "provenance": self.run_directory.provenance(),
        }

        def write(folder: Path) -> None:
            self.begin.save(folder, self.learner.published(), extra)
            self.learner.save(folder / TRAINING_STATE)
            (folder / TRAINING_STATE / STREAM).write_text(json.dumps(self.stream.state()))

        return self.run_directory.save_checkpoint(update, write, self.config.run.keep_checkpoints)


def _note(values: dict[str, float]) -> str:
    losses = [f"{name.split('/')[1]} {value:.3f}" for name, value in values.items() if name.endswith("/loss")]
    return ", ".join(losses)
