"""Whether a run goes on, and how it ended: a lock that dies with its process, and a small file beside it."""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from cluster.interrupt import Interrupted
from cluster.rundir import DiskFull, RunDirectory, RunError, writing

FILE, LOCK = "state.json", ".lock"
EVERY = 1.0  # seconds between two writings of progress


@dataclass(frozen=True)
class RunState:
    """What a run's state.json holds."""

    state: Literal["running", "finished", "interrupted", "failed"]
    updates: int
    total: int
    env_steps: int
    began: float
    """Seconds since 1970, when the command was given last."""
    seen: float
    """When this was written."""
    process: str
    """Host and process id."""
    message: str = ""
    """Of the error that ended it."""


class Keeper:
    """Writes the state of a run that goes on. Made by `kept`."""

    def __init__(self, run: RunDirectory, state: RunState):
        self._run = run
        self._state = state
        self._write(state)

    def progress(self, updates: int, env_steps: int = 0) -> None:
        """Notes how far the run is; writes it now and then only, and not on a full disk."""
        self._state = replace(self._state, updates=updates, env_steps=env_steps)
        if time.monotonic() - self._written >= EVERY:
            with contextlib.suppress(DiskFull):
                self._write(self._state)

    def ended(self, state: Literal["finished", "interrupted", "failed"], message: str = "") -> None:
        """Notes how the run ended."""
        self._write(replace(self._state, state=state, message=message))

    def _write(self, state: RunState) -> None:
        self._written = time.monotonic()
        with writing(self._run.path):
            new = self._run.path / f".{FILE}"
            new.write_text(json.dumps(asdict(replace(state, seen=time.time())), indent=1) + "\n")
            new.replace(self._run.path / FILE)


@contextlib.contextmanager
def kept(run: RunDirectory, total: int) -> Iterator[Keeper]:
    """Keeps a run's state while the context lasts, and notes how it ended.

    Args:
        run: its directory.
        total: learner updates in all.

    Raises:
        RunError: when another process has this run in hand; two would write over each other.
    """
    before = _read(run)
    with open(run.path / LOCK, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = f" by process {before.process}" if before else ""
            raise RunError(f"{run.path} is being trained already{who}; give this run another name (--name)") from None
        now = time.time()
        updates, steps = (before.updates, before.env_steps) if before else (0, 0)
        process = f"{os.getpid()} on {socket.gethostname()}"
        keeper = Keeper(run, RunState("running", updates, total, steps, now, now, process))
        try:
            yield keeper
        except (Interrupted, KeyboardInterrupt):
            keeper.ended("interrupted")
            raise
        except BaseException as error:
            keeper.ended("failed", (str(error).strip() or type(error).__name__).splitlines()[0])
            raise
        keeper.ended("finished")


def read_state(run: RunDirectory) -> RunState | None:
    """As it is now: a run whose process was killed is interrupted. None for a run that never kept a state."""
    state = _read(run)
    if state is not None and state.state == "running" and not _locked(run.path / LOCK):
        return replace(state, state="interrupted", message="its process was killed")
    return state


def _read(run: RunDirectory) -> RunState | None:
    try:
        return RunState(**json.loads((run.path / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _locked(file: Path) -> bool:
    try:
        with open(file) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
