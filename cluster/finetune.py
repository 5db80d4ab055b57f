"""The driver of `ocelot finetune`: asks the learner for a few updates at a time, and keeps everything else going."""

import contextlib
import logging
import time
from pathlib import Path
from typing import Any

from cluster.board import Board
from cluster.config import FinetuneConfig
from cluster.finetune_check import check
from cluster.interrupt import Interrupted, StopRequest, stop_on_signals
from cluster.local_ray import ProcessError, answered, connected_ray, get, local_ray
from cluster.meters import Meters, histograms
from cluster.pacing import Pacing
from cluster.processes import Processes
from cluster.provenance import weights_hash
from cluster.run_evaluation import evaluate_run
from cluster.rundir import RunDirectory, find_checkpoint
from cluster.saving import LenientSaving, Write
from cluster.serving import together as all_servers
from cluster.serving import weight_bytes
from cluster.start import Start, fresh, from_checkpoint
from cluster.stopwatch import Stopwatch
from cluster.telling import warn
from cluster.updates import Updates, following, together
from cluster.watching.cards import timing_card
from cluster.watching.introduction import introduce
from cluster.watching.live import LiveRun
from cluster.watching.state import Keeper, kept
from cluster.watching.timing_tree import timing_tree
from learner.types import DivergedError
from policy.errors import OcelotError
from policy.timing import Timing
from policy.types import Version

LOG = logging.getLogger("ocelot")
LOOK = 0.05  # seconds between looks at the processes
ASK_SERVER = 0.5  # seconds between questions to the policy server
STARVED = 1.0  # seconds that an update waits for windows before actors at their limit may go on
GIVE_UP = 60.0  # seconds that it waits once they have done all their steps
SILENT = 60.0  # seconds after which a policy server that does not answer counts as dead


def finetune(
    config: FinetuneConfig, run: RunDirectory, address: str | None = None, allow_open_replay: bool = False
) -> Path:
    """Trains a policy online until all updates are done; a run that was stopped goes on from its newest checkpoint.

    Args:
        config: of the run.
        run: its directory.
        address: of a Ray cluster, as in `connected_ray`; None: Ray on this machine for this run.
        allow_open_replay: as in `Processes`.

    Returns:
        The last checkpoint.

    Raises:
        OcelotError: what a person can put right; the checkpoints so far stay.
        Interrupted: stopped by Ctrl-C or SIGTERM, after a checkpoint.
    """
    check(config)
    resume = run.latest_checkpoint()
    before = None if config.checkpoint is None else find_checkpoint(config.checkpoint)
    begin = _begin(config, resume or before)
    if before is not None and not resume:
        run.note(start={"checkpoint": str(before), "weights_sha256": weights_hash(before)})
    update, steps = (begin.extra["updates"], begin.extra["env_steps"]) if resume else (0, 0)
    with run.logging(), kept(run, config.run.updates) as state, stop_on_signals() as stop, _ray(address, begin):
        board = Board(run.path, steps + 1 if resume else None)
        try:
            if not resume:
                introduce(board, config, run, begin.layouts)
            if update < config.run.updates:
                loop = Loop(
                    config,
                    run,
                    board,
                    state,
                    begin,
                    resume,
                    before,
                    update,
                    steps,
                    address is not None,
                    allow_open_replay,
                )
                try:
                    loop.run(stop)
                finally:
                    loop.processes.close()
                steps = loop.steps
            checkpoint = find_checkpoint(run.path)
            evaluate_run(config, run, checkpoint, config.run.updates, board, steps)
            board.close(ended=True)
        finally:
            board.close()
    return checkpoint


class Loop:
    """The driver's state while a run goes on.

    Args:
        board: for TensorBoard; its steps are environment steps.
        state: of the run, for the list of runs.
        begin: policy and tasks.
        resume, before: as in `Processes`.
        update, steps: learner updates and environment steps done so far.
        cluster, allow_open_replay: as in `Processes`.
    """

    def __init__(
        self,
        config: FinetuneConfig,
        run: RunDirectory,
        board: Board,
        state: Keeper,
        begin: Start,
        resume: Path | None,
        before: Path | None,
        update: int,
        steps: int,
        cluster: bool,
        allow_open_replay: bool,
    ):
        self.config = config
        self.run_directory = run
        self.board = board
        self.state = state
        self.processes = Processes(config, run, begin, resume, before, update, cluster, allow_open_replay)
        assert self.processes.pool is not None
        self.pool = self.processes.pool
        self.version = Version(self.processes.incarnation, update)
        self.pacing: Pacing | None = None
        if config.actors.steps is not None:
            self.pacing = Pacing(config.run.updates, config.actors.steps, config.actors.lead)
        self._steps_before = steps
        self._stopwatch = Stopwatch(begin.extra.get("seconds", 0.0) if resume else 0.0)
        self._extra_steps = 0
        self._publishing: Any = None
        self._serving: Any = None
        """Statistics of the policy server to come."""
        self._asked_server = 0.0
        self._meters = Meters()
        self._timing = Timing("learner", "wait", "log", "checkpoint", "evaluation")
        self._live = LiveRun(config.run.name, [task.name for task in config.tasks], config.run.updates, update)
        self._next_look = 0.0
        self._looked_after = update  # learner updates at the last look
        self._unlogged: Updates | None = None
        self._saving = LenientSaving(run, config.run.keep_checkpoints)

    @property
    def update(self) -> int:
        """Learner updates so far."""
        return self.version.update

    @property
    def steps(self) -> int:
        """Environment steps so far."""
        return self._steps_before + self.pool.steps

    def run(self, stop: StopRequest) -> None:
        """Trains until all updates are done.

        Raises:
            OcelotError: after a checkpoint, unless the learner diverged.
            Interrupted: after a checkpoint.
        """
        total = self.config.run.updates
        with self._live:
            try:
                if self.config.evaluation.every and self.update == 0:
                    self._evaluate(self._save())  # where the curves of all arms begin
                while self.update < total and not stop:
                    count = self._updates_now()
                    if count == 0:
                        with self._timing.add("wait"):
                            self._look(waiting=False)
                            time.sleep(LOOK)
                        continue
                    self._train(count, stop)
                    self._live.update(self.update, self.steps)
                    self.state.progress(self.update, self.steps)
            except DivergedError:
                self._saving.settle()
                raise  # weights that may be bad already are no checkpoint
            except OcelotError:
                self._save_if_possible()
                raise
            if stop:
                folder = self._save()
                LOG.info("stopped after update %d; checkpoint %s", self.update, folder)
                raise Interrupted(f"Stopped after update {self.update}; the same command goes on from {folder}")

    def _updates_now(self) -> int:
        """Updates to ask for: up to the next that something follows, and as many as pacing lets through."""
        if self.pool.here < self.config.actors.min_processes:
            return 0
        run = self.config.run
        every = (self.config.server.publish_every, run.log_every, run.checkpoint_every, self.config.evaluation.every)
        stops = [(self.update // period + 1) * period for period in every if period] + [run.updates]
        allowed = min(stops)
        if self.pacing is not None:
            allowed = min(allowed, self.pacing.updates_allowed(self.steps))
        return max(0, allowed - self.update)

    def _train(self, count: int, stop: StopRequest) -> None:
        """So many updates, while the rest is looked after, and what is due after them. A learner that dies is replaced
        by one that goes on from the newest checkpoint."""
        import ray

        try:
            with self._timing.add("learner"):
                done = self._updates(count, stop)
            self._follow(done)
        except ray.exceptions.RayActorError:
            self._saving.settle()  # else it might become the newest when another has been chosen
            update = self.processes.restore_learner()
            LOG.info("the learner goes on from update %d; %d are lost", update, self.update - update)
            self.version = Version(self.processes.incarnation, update)

    def _updates(self, count: int, stop: StopRequest) -> Updates:
        learners = self.processes.learners
        asked = learners.updates(count)
        stopped = False
        while not learners.ended(asked, LOOK):
            self._look(waiting=True)
            if stop and not stopped:
                learners.stop()
                stopped = True
        done = together(learners.answers(asked))
        for warning in done.warnings:
            warn(warning)
        self.version = done.version
        self._extra_steps = 0
        return done

    def _look(self, waiting: bool) -> None:
        """Looks after actors, replay and the policy server; now and then, however often it is called.

        Args:
            waiting: an update is asked for and not done.
        """
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK
        self._look_at_server()
        if self._saving.over:
            self._saving.written()
        self.pool.poll(fresh=not waiting or self.update != self._looked_after)
        self._looked_after = self.update
        if self.pacing is None:
            return
        if waiting and self.pool.all_at_limit():
            self._feed_starved(self.pacing)
        allowed = self.pacing.steps_allowed(self.update) + self._extra_steps
        self.pool.allow(min(self.pacing.steps, allowed) - self._steps_before)

    def _feed_starved(self, pacing: Pacing) -> None:
        """Lets actors at their limit go on when the learner waits for windows that only they can bring."""
        import ray

        try:
            waited = self.processes.learners.waiting(GIVE_UP)
        except ray.exceptions.GetTimeoutError:
            LOG.warning("the learner has not answered for %.0f s and is ended", GIVE_UP)
            self.processes.learners.kill()  # `_train` sees it in the updates that it asked for
            return
        if self.steps >= pacing.steps and waited > GIVE_UP:
            raise ProcessError(
                f"all {pacing.steps} environment steps are done, but the learner has waited {waited:.0f} s for windows "
                f"at update {self.update}: lower replay.tables.online.min_size, raise replay.max_policy_lag, or give "
                "more actors.steps"
            )
        if waited > STARVED:
            self._extra_steps += max(1, pacing.steps * pacing.lead // pacing.updates)

    def _look_at_server(self) -> None:
        """Takes in what the policy server has answered, and asks it now and then; one that died is replaced."""
        import ray

        try:
            if self._publishing is not None and _done(self._publishing):
                published, self._publishing = self._publishing, None
                get(published)
            if self._serving is not None and _done(self._serving):
                stats, self._serving = self._serving, None
                self._meters.serving(all_servers(get(stats)), self.update)
        except ray.exceptions.RayActorError:
            # Weights of a learner that died fail as well, in a server that lives.
            if not self.processes.server_alive():
                self._restore_server()
        if self._serving is not None and time.monotonic() - self._asked_server > SILENT:
            LOG.warning("the policy server has not answered for %.0f s", SILENT)
            self._restore_server()
        if self._serving is None and time.monotonic() - self._asked_server > ASK_SERVER:
            self._asked_server = time.monotonic()
            self._serving = self.processes.server.stats()

    def _restore_server(self) -> None:
        self._publishing = self._serving = None
        self.processes.restore_server()

    def _follow(self, done: Updates) -> None:
        """What is due after updates: publishing, scalars, a checkpoint, an evaluation."""
        config, update = self.config, self.update
        last = update == config.run.updates
        # Where actors are slow there are many calls between two points, and few updates in each.
        done = done if self._unlogged is None else following(self._unlogged, done)
        self._unlogged = done
        if update % config.server.publish_every == 0 or last:
            self._look_at_server()
            if self._publishing is None:  # else the server is still busy with the one before
                self._publishing = self.processes.publish(self.version)
        if update % config.run.log_every == 0 or last:
            with self._timing.add("log"):
                self._log(done)
            self._unlogged = None
        evaluate = config.evaluation.every and update % config.evaluation.every == 0
        if last or evaluate or update % config.run.checkpoint_every == 0:
            with self._timing.add("checkpoint"):
                folder = self._checkpoint(last, bool(evaluate))
            if evaluate and folder is not None and not last:
                self._evaluate(folder)

    def _checkpoint(self, last: bool, wait: bool) -> Path | None:
        """Begins a checkpoint of this update, which is written while the run goes on; the one before is waited for.

        Args:
            last: waits until it is written, and for room on the disk.
            wait: until it is written.

        Returns:
            Its folder; None when it was not waited for, or could not be written.
        """
        if last:
            return self._saving.save_when_there_is_room(self.update, self._copy)
        self._saving.written()
        self._saving.begin(self.update, self._copy)
        return self._saving.written() if wait else None

    def _evaluate(self, checkpoint: Path) -> None:
        with self._stopwatch.paused(), self._timing.add("evaluation"):
            values = evaluate_run(self.config, self.run_directory, checkpoint, self.update, self.board, self.steps)
        self._live.scalars(values)

    def _log(self, done: Updates) -> None:
        tables = self.processes.tables()
        values = self._meters.scalars(self.update, self.steps, done, self.pool, tables, self._timing.seconds)
        values |= self.processes.faults() | {"faults/failed_checkpoints": self._saving.failed}
        self.board.scalars(values, self.steps)
        self.board.histograms(histograms(done), self.steps)
        if self.update == self.config.run.updates:
            self.board.card("time", timing_card(timing_tree(self._meters.shares())), self.steps)
        self._live.scalars(values)

    def _save(self) -> Path:
        """The checkpoint of this update, once it is written."""
        with self._timing.add("checkpoint"):
            return self._saving.save(self.update, self._copy)

    def _copy(self) -> Write:
        config = self.config
        extra = {
            "arm": config.run.arm or config.run.name,
            "seed": config.run.seed,
            "updates": self.update,
            "env_steps": self.steps,
            "seconds": self._stopwatch.seconds,
            "provenance": self.run_directory.provenance(),
            "acting": {"with_return": config.actors.with_return, "return_kappa": config.actors.return_kappa},
        }
        return self.processes.copy(extra)

    def _save_if_possible(self) -> None:
        """A checkpoint before an error ends the run; the error itself is what matters."""
        try:
            self.processes.learners.stop()  # else saving waits for an update that may wait for windows for ever
            LOG.info("an error ends the run after checkpoint %s", self._save())
        except Exception as error:
            LOG.warning("no checkpoint before the error that ends the run: %s", error)


def _done(calls: list[Any]) -> bool:
    """Whether all have been answered, or have failed."""
    return len(answered(calls)) == len(calls)


def _ray(address: str | None, begin: Start) -> contextlib.AbstractContextManager[None]:
    return local_ray(weight_bytes(begin.model)) if address is None else connected_ray(address)


def _begin(config: FinetuneConfig, checkpoint: Path | None) -> Start:
    if checkpoint is not None:
        return from_checkpoint(checkpoint, config.tasks)
    assert config.policy is not None
    return fresh(config.policy, config.tasks, config.text, config.run.seed)
