"""Incarnations of a run's learner: how often one was started, so that a version never means two sets of weights."""

import os
from pathlib import Path

from cluster.rundir import RunError, writing

FILE = "incarnation"


def next_incarnation(run: Path) -> int:
    """Counts one up and has the new number on the disk before it returns, so before anything is published under it.

    Args:
        run: the run directory.

    Raises:
        RunError: when the number cannot be read or written.
    """
    number = current_incarnation(run) + 1
    with writing(run), open(run / f".{FILE}", "w") as file:
        file.write(f"{number}\n")
        file.flush()
        os.fsync(file.fileno())
    (run / f".{FILE}").replace(run / FILE)
    return number


def current_incarnation(run: Path) -> int:
    """The number last given out; 0 in a run that never published."""
    file = run / FILE
    if not file.exists():
        return 0
    text = file.read_text()
    if not text.strip().isdigit():
        raise RunError(f"{file} should hold a number, found {text[:40]!r}; write the highest incarnation that was used")
    return int(text)
