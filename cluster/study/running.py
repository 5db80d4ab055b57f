"""The runs of a study that are left: in their order, one after the other or several at the same time."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from multiprocessing.process import BaseProcess

from cluster.interrupt import INTERRUPTED, terminable
from cluster.study.jobs import PRETRAINED, Job, StudyError

LOOK = 0.2  # seconds between looks at processes


class Left:
    """Runs that are left.

    Args:
        waiting: in their order.
        every: run of the study.
    """

    def __init__(self, waiting: list[Job], every: list[Job]):
        self.waiting = list(waiting)
        self._every = every

    def take(self, running: Collection[str]) -> Job | None:
        """The first that can begin; None: there is none, or all wait for what runs (names).

        An arm begins with what its pretrained run has left. Where that is done, but not on this machine, it is done
        again; where it failed, the arm is noted as failed.
        """
        waiting = {job.name for job in self.waiting}
        for job in list(self.waiting):
            start = self._start(job)
            if start is not None and (start.name in waiting or start.name in running):
                continue
            if start is None or (start.is_done() and start.is_here()):
                self.waiting.remove(job)
                return job
            if start.is_done():
                print(f"  {start.name} is done, but its run is not on this machine: it is done again", flush=True)
                start.forget()
                return start
            job.fail(StudyError(f"it starts from {start.name}, which failed"))
            self.waiting.remove(job)
            print(f"  left out: {job.name}, because {start.name} failed", flush=True)
        return None

    def _start(self, job: Job) -> Job | None:
        """What it begins with."""
        if job.arm == PRETRAINED:
            return None
        return next(each for each in self._every if each.name == f"{job.group}/{PRETRAINED}-{job.seed}")


@terminable()
def do(left: Left, at_once: int, over: Callable[[], bool], told: Callable[[Job], None]) -> None:
    """Does them, until all are done or have failed, or time is over.

    Args:
        at_once: so many at the same time, each in a process of its own that writes a log beside its run; one: here.
        over: whether nothing should begin any more.
        told: is called with each that begins.

    Raises:
        KeyboardInterrupt, Interrupted: as a run does that is stopped, by SIGTERM too. Processes have stopped after a
            checkpoint then.
    """
    running: dict[str, tuple[Job, BaseProcess]] = {}
    try:
        while True:
            while len(running) < at_once and not over() and (job := left.take(running)) is not None:
                told(job)
                if at_once == 1:
                    attempt(job)
                else:
                    running[job.name] = job, _begun(job)
            if not running:
                return
            time.sleep(LOOK)
            for name in [name for name, (_, process) in running.items() if not process.is_alive()]:
                _ended(*running.pop(name))
    finally:
        _stop([process for _, process in running.values()])


def attempt(job: Job) -> None:
    """Does one. That it failed is noted and printed."""
    began = time.monotonic()
    try:
        job.do()
    except Exception as error:
        job.fail(error)
        print(f"  failed after {(time.monotonic() - began) / 60:.1f} minutes: {error}", flush=True)


def _begun(job: Job) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_alone, args=(job,))
    process.start()
    return process


def _alone(job: Job) -> None:
    """What the process of a run does. Ctrl-C is its parent's, which passes it on."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("a") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    attempt(job)


def _ended(job: Job, process: BaseProcess) -> None:
    if process.exitcode not in (0, INTERRUPTED):
        job.fail(StudyError(f"its process ended with status {process.exitcode}; {job.log} may say why"))
    if (row := job.row()) is not None:
        error = "" if row.error is None else f": {row.error}"
        print(f"  {job.name}: {row.status} after {row.hours:.2f} hours{error}", flush=True)


def _stop(processes: list[BaseProcess]) -> None:
    """Asks processes to stop after a checkpoint, and waits for them; asked to hurry, they stop at once."""
    hurry = False
    while alive := [process for process in processes if process.is_alive()]:
        for process in alive:
            with suppress(ProcessLookupError):
                os.kill(process.pid or 0, signal.SIGINT)
        try:
            for process in alive:
                process.join()
        except KeyboardInterrupt:
            if hurry:
                raise
            hurry = True
