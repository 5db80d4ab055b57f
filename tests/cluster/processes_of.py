"""Processes and events of a run that goes on in another process."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil


def find(root: int, title: str) -> list[psutil.Process]:
    """Living descendants of a process whose command line holds a text, oldest first."""
    found = []
    for process in psutil.Process(root).children(recursive=True):
        try:
            if title in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return sorted(found, key=lambda process: process.create_time())


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits until a condition holds; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of every point in a run's TensorBoard files, by tag, in the order of writing."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    points: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(folder.glob("events.out.*"), key=lambda file: file.stat().st_mtime):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    number = tensor_util.make_ndarray(value.tensor)
                    points.setdefault(value.tag, []).append((event.step, float(number)))
    return points
