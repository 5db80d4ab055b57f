"""The driver of `ocelot study`: demonstrations, the runs that are left, each with its row, and the results."""

import os
import signal
import threading
from pathlib import Path

from cluster.interrupt import Interrupted
from cluster.quickstart import record
from cluster.reference_scores import find
from cluster.study import results
from cluster.study.config import StudyConfig
from cluster.study.jobs import DONE, Job, StudyError, jobs
from cluster.study.running import Left, do


def study(file: Path, config: StudyConfig, command: str, at_once: int = 1) -> bool:
    """Does what is left of a study, and writes its results as far as they go.

    A run that fails is noted, and the others go on; the same command tries it again. One that time ran out for stops
    after a checkpoint, and the same command goes on with it.

    Args:
        file: the study's file.
        config: its settings.
        command: that was given, for the page.
        at_once: so many runs at the same time.

    Returns:
        Whether all runs are done.

    Raises:
        OcelotError: before anything is run, when settings, references or rows cannot be used.
    """
    every = jobs(config, file.parent)
    _check_floors(config)
    left = [job for job in every if not job.is_done()]
    os.environ["MINARI_DATASETS_PATH"] = str((Path(config.folder) / "datasets").resolve())
    Path(os.environ["MINARI_DATASETS_PATH"]).mkdir(parents=True, exist_ok=True)
    print(f"{len(every) - len(left)} of {len(every)} runs are done, {len(left)} are left.", flush=True)
    if config.hours == 0:
        results.write(config, every, command)
        return not left
    clock = Deadline(config.hours)
    queue = Left(left, every)

    def told(job: Job) -> None:
        if job in left:
            number, hours = left.index(job) + 1, _estimate(every, [job, *queue.waiting], at_once)
            print(f"[{number}/{len(left)}] {job.name}; {hours}", flush=True)

    try:
        if left:
            for group in config.groups.values():
                record(group.demonstrations, config.demonstrations_seed)
        do(queue, at_once, lambda: clock.over, told)
    except (Interrupted, KeyboardInterrupt):
        if not clock.over:
            raise
        print("The hours are over; the same command goes on.", flush=True)
    finally:
        clock.stop()
    results.write(config, every, command)
    return all(job.is_done() for job in every)


class Deadline:
    """Asks this process to stop, as Ctrl-C does, when the hours are over."""

    def __init__(self, hours: float | None):
        self._timer: threading.Timer | None = None
        self.over = False
        if hours is not None:
            if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background command has it ignored
                signal.signal(signal.SIGINT, signal.default_int_handler)
            self._timer = threading.Timer(hours * 3600, self._end)
            self._timer.daemon = True
            self._timer.start()

    def stop(self) -> None:
        """It will ask no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self.over = True
        os.kill(os.getpid(), signal.SIGINT)


def _estimate(every: list[Job], left: list[Job], at_once: int) -> str:
    """Hours that what is left will take, from those of done runs of the same group and arm, or else of any."""
    known: dict[tuple[str, str], list[float]] = {}
    for job in every:
        row = job.row()
        if row is not None and row.status == DONE:
            known.setdefault((job.group, job.arm), []).append(row.hours)
    if not known:
        return "no estimate before the first run is done"
    means = {key: sum(hours) / len(hours) for key, hours in known.items()}
    usual = sum(means.values()) / len(means)
    hours = sum(means.get((job.group, job.arm), usual) for job in left) / at_once
    return f"about {hours:.1f} hours are left"


def _check_floors(config: StudyConfig) -> None:
    for task, floor in config.floors.items():
        known = find(task)
        if known is None or known.expert < floor:
            found = "none" if known is None else f"{known.expert:.1f}"
            raise StudyError(
                f"{task}: the study wants an expert whose mean return is at least {floor:g}, the reference is {found}; "
                f"measure a better one (`ocelot experts measure {task}`) or lower floors"
            )
