"""Faults that the tests inject into a run of their own, and what they need: a wall clock and a disk of that run."""

import contextlib
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from cluster.rundir import COMPLETE, RunDirectory
from tests.cluster.conftest import ROOT
from tests.cluster.processes_of import find, wait_for
from tests.cluster.reliability import Fault
from tests.cluster.watched import PATIENCE, Watched

COMPILER = shutil.which("cc")
MOUNTABLE = os.geteuid() == 0 and shutil.which("mount") is not None
HOUR = 3600
ROOM = 1 << 20  # bytes left on a full disk: a line in the log, and no checkpoint
KILLED = {
    "ray::Actor": ("an actor", "died and is replaced", ") acts", "its unfinished episodes"),
    "replay.reverb_main": (
        "the Reverb server",
        "restarting it from its last checkpoint",
        "is back",
        "windows since its last checkpoint",
    ),
    "ray::LearnerProcess": ("the learner", "the learner died", "the learner goes on", ""),
    "ray::PolicyServer": (
        "the policy server",
        "the policy server died",
        "the policy server is back",
        "unfinished episodes of all actors",
    ),
}
"""By the title of a process: its name, what the log says when it is missed and when it is back, and what is lost where
the log does not say it."""


class Clock:
    """The wall clock that a command and all that it starts see in Python; wall_clock.c is how."""

    def __init__(self, folder: Path):
        self._file, self._library = folder / "clock", folder / "wall_clock.so"
        self.set(0)
        source = Path(__file__).with_name("wall_clock.c")
        subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", self._library, source, "-ldl"], check=True)

    def set(self, seconds: int) -> None:
        """Ahead of the true time by so many seconds."""
        with open(self._file, "r+b" if self._file.exists() else "wb") as file:  # in place: it is mapped
            file.write(struct.pack("=q", seconds))

    @property
    def environment(self) -> dict[str, str]:
        """Of the command."""
        return {"LD_PRELOAD": str(self._library), "WALL_CLOCK": str(self._file)}


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 160 MB, mounted at a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def begin(command: list[str], clock: Clock) -> subprocess.Popen:
    """A command under that clock, with a process group of its own."""
    environment = os.environ | clock.environment | {"RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)


def there(watched: Watched, title: str, spared: int = 0) -> psutil.Process:
    """The oldest of the run's processes with this title but for `spared` ones; one that is being replaced is waited
    for."""
    wait_for(lambda: len(find(watched.process.pid, title)) > spared, 120.0, f"too few processes '{title}' in the run")
    return find(watched.process.pid, title)[spared]


def kill(watched: Watched, title: str, spared: int = 0) -> Fault:
    """SIGKILL of the oldest process with this title, one of KILLED, but for `spared` ones."""
    name, noticed, back_again, lost = KILLED[title]
    before = watched.noted(noticed, back_again)
    there(watched, title, spared).kill()
    detected = watched.wait_for_log(noticed, before[0])
    back = detected + watched.wait_for_log(back_again, before[1])
    lost = watched.line(back_again).partition("; ")[2].replace("are lost", "updates") or lost
    return Fault(f"SIGKILL of {name}", detected, back, lost)


def freeze_an_actor(watched: Watched, spared: int = 0) -> Fault:
    """SIGSTOP of the oldest actor but for `spared` ones."""
    died, acts = watched.noted("died and is replaced", "acts")
    there(watched, "ray::Actor", spared).suspend()
    detected = watched.wait_for_log("died and is replaced", died)
    back = detected + watched.wait_for_log("acts", acts)
    assert "has not answered for" in watched.log
    return Fault("an actor frozen (SIGSTOP)", detected, back, "its unfinished episodes")


def fill_the_disk(watched: Watched, disk: Path) -> Fault:
    """But for ROOM, until a checkpoint could not be written."""
    (before,) = watched.noted("no checkpoint after update")
    ballast = disk / "ballast"
    left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize
    with open(ballast, "wb") as file:
        file.write(bytes(left - ROOM))
    detected = watched.wait_for_log("no checkpoint after update", before)
    ballast.unlink()
    back = watched.wait_for_updates(1)
    assert "no space left" in watched.log
    return Fault("a full disk during a checkpoint", detected, back, "that checkpoint")


def set_the_clock(watched: Watched, clock: Clock, seconds: int, updates: int) -> Fault:
    """Ahead of the true time by so many seconds; back when the run is `updates` further."""
    clock.set(seconds)
    return Fault(
        f"the wall clock set an hour {'forth' if seconds > 0 else 'back'}",
        None,
        watched.wait_for_updates(updates),
        "nothing",
    )


def kill_everything_in_a_checkpoint(watched: Watched) -> None:
    """SIGKILL of the command and of all that it started, Ray's head too, while a checkpoint is half written."""
    family = [psutil.Process(watched.process.pid), *psutil.Process(watched.process.pid).children(recursive=True)]
    checkpoints = watched.run.checkpoints

    def half_written() -> bool:
        return any(not (folder / COMPLETE).exists() for folder in checkpoints.glob("step_*"))

    deadline = time.monotonic() + PATIENCE
    while not half_written():
        assert time.monotonic() < deadline, "no checkpoint is being written"
        time.sleep(0.0005)
    _kill(family)
    watched.process.wait()


def kill_family(process: subprocess.Popen) -> None:
    """SIGKILL of a command and of all that it started; nothing if it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        _kill([psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)])


def _kill(family: list[psutil.Process]) -> None:
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def damage_the_newest_checkpoint(run: RunDirectory) -> int:
    """Leaves of the newest checkpoint what a power failure could: half the weights, and no `complete`; its update."""
    newest = max(run.checkpoints.glob("step_*"), key=lambda folder: folder.name)
    (newest / COMPLETE).unlink(missing_ok=True)
    weights = newest / "model.safetensors"
    if weights.exists():
        os.truncate(weights, weights.stat().st_size // 2)
    return int(newest.name.removeprefix("step_"))
