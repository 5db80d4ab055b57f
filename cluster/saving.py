"""Checkpoints that are written while the run goes on: what is written is a copy of what there was."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cluster.rundir import DiskFull, RunDirectory

LOG = logging.getLogger("ocelot")
DISK = 600.0  # seconds that the last checkpoint waits for room on a full disk
AGAIN = 0.5  # seconds between its attempts

Write = Callable[[Path], None]
"""Writes everything but `complete` into the folder that it is given."""


class Saving:
    """The checkpoints of a run, written by a thread, one at a time.

    The thread is not waited for when the process ends: `end` is what waits, and what is not whole does not exist.

    Args:
        run: its directory.
        keep: so many checkpoints stay.
    """

    def __init__(self, run: RunDirectory, keep: int):
        self._run = run
        self._keep = keep
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._folder: Path | None = None
        self._step = 0

    def begin(self, step: int, copy: Callable[[], Write]) -> None:
        """Copies what a checkpoint holds, and begins to write it; none is written of a step that has one.

        The one before is waited for, because its copy would be overwritten.

        Args:
            step: learner updates so far.
            copy: makes the copy, while the run waits, and returns what writes it.

        Raises:
            RunError: as `end`, of the one before; the copy is not made then.
        """
        self.end()
        self._step, self._folder = step, None
        folder = self._run.checkpoint(step)
        if not self._run.is_complete(folder):
            self._thread = threading.Thread(target=self._save, args=(step, copy()), name="checkpoint", daemon=True)
            self._thread.start()
        self._folder = folder

    @property
    def over(self) -> bool:
        """One was written, or could not be: `end` will not wait."""
        return self._thread is not None and not self._thread.is_alive()

    def end(self) -> Path | None:
        """Waits until the checkpoint that was begun last is written. Returns its folder; None when none was begun.

        Raises:
            RunError: the disk was full; earlier checkpoints are still there. And whatever else writing it raised. Once.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if (error := self._error) is not None:
            self._error = self._folder = None
            raise error
        return self._folder

    def settle(self) -> None:
        """Waits as `end` does, before an error ends the run: of another one there is but a line in the log."""
        try:
            self.end()
        except Exception as error:
            LOG.warning("the checkpoint that was being written is lost: %s", error)

    def _save(self, step: int, write: Write) -> None:
        try:
            self._run.save_checkpoint(step, write, self._keep)
        except BaseException as error:
            self._error = error


class LenientSaving(Saving):
    """Checkpoints of a run that goes on without one when the disk is full."""

    failed = 0
    """How many were not written."""

    def written(self) -> Path | None:
        """Waits as `end`; None when the disk was full, which is counted, or the learner died, which others see to."""
        import ray

        try:
            return self.end()
        except DiskFull as error:
            self._count(error)
        except ray.exceptions.RayActorError:
            LOG.warning("no checkpoint after update %d: the learner died", self._step)
        return None

    def save(self, step: int, copy: Callable[[], Write]) -> Path:
        """A checkpoint, once it is written; the one before may fail.

        Raises:
            DiskFull: there is no room for it.
        """
        self.written()
        self.begin(step, copy)
        folder = self.end()
        assert folder is not None
        return folder

    def save_when_there_is_room(self, step: int, copy: Callable[[], Write]) -> Path:
        """The last checkpoint.

        Raises:
            DiskFull: it waited in vain.
        """
        given_up = time.monotonic() + DISK
        while True:
            try:
                return self.save(step, copy)
            except DiskFull as error:
                self._count(error)
                if time.monotonic() > given_up:
                    raise
            time.sleep(AGAIN)

    def _count(self, error: DiskFull) -> None:
        self.failed += 1
        LOG.warning("no checkpoint after update %d: %s", self._step, error)
