"""A run in another process, seen from outside: its log, its checkpoints, and how long what takes."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from cluster.rundir import RunDirectory
from tests.cluster.processes_of import wait_for

PATIENCE = 600.0  # seconds for what takes a few on an idle machine


class Watched:
    """A run and the process of its command.

    Args:
        run: its directory.
        process: of the command.
    """

    def __init__(self, run: RunDirectory, process: subprocess.Popen):
        self.run = run
        self.process = process

    @property
    def log(self) -> str:
        """What the run has noted so far."""
        file = self.run.path / "ocelot.log"
        return file.read_text() if file.exists() else ""

    @property
    def extra(self) -> dict[str, Any]:
        """What the newest checkpoint says of itself; {"updates": 0, "env_steps": 0} before the first."""
        latest = self.run.latest_checkpoint()
        if latest is None:
            return {"updates": 0, "env_steps": 0}
        try:
            return json.loads((latest / "config.json").read_text())["extra"]
        except FileNotFoundError:  # it has made room for a newer one
            return self.extra

    def noted(self, *texts: str) -> tuple[int, ...]:
        """How often the log holds each text."""
        log = self.log
        return tuple(log.count(text) for text in texts)

    def line(self, text: str) -> str:
        """The last line of the log that holds a text."""
        return next(line for line in reversed(self.log.splitlines()) if text in line)

    def wait_for_log(self, text: str, before: int = 0) -> float:
        """Waits until the log holds a text more often than before; returns the seconds that took."""
        return self.wait(lambda: self.noted(text)[0] > before, f"'{text}' in the log")

    def wait_for_updates(self, count: int) -> float:
        """Waits for a checkpoint so many updates after the newest; returns the seconds that took."""
        target = self.extra["updates"] + count
        return self.wait(lambda: self.extra["updates"] >= target, f"a checkpoint after update {target}")

    def wait(self, condition: Callable[[], bool], what: str) -> float:
        """Waits for a condition while the command runs; returns the seconds that took."""
        began = time.monotonic()

        def come() -> bool:
            assert self.process.poll() is None, f"the run ended with {self.process.returncode}; its log:\n{self.log}"
            return condition()

        wait_for(come, PATIENCE, f"{what}; the log:\n{self.log}")
        return time.monotonic() - began
