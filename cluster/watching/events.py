"""Reading a run's TensorBoard files, without TensorFlow."""

import sys
import types
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple


def without_tensorflow() -> None:
    """Before TensorBoard is imported: it looks for this module to learn that it has to do without TensorFlow, which
    costs 0.45 GB."""
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))


class Point(NamedTuple):
    """One point of a scalar."""

    seconds: float
    """Since 1970."""
    step: int
    value: float


def read_scalars(folder: Path) -> dict[str, list[Point]]:
    """Every point of a run, by tag, oldest first; what a resumed run replaced is left out."""
    without_tensorflow()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = {"scalars": 0, "images": 1, "histograms": 1, "compressedHistograms": 1, "tensors": 1}  # 0: keep all
    events: Any = EventAccumulator(str(folder), size_guidance=everything)
    events.Reload()
    return {
        tag: [Point(each.wall_time, each.step, each.value) for each in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def mean_over_time(points: list[Point]) -> float:
    """Of a rate or share whose points each stand for the time since the point before."""
    if len(points) == 1:
        return points[0].value
    lasted = [now.seconds - before.seconds for before, now in pairwise(points)]
    return sum(time * point.value for time, point in zip(lasted, points[1:], strict=True)) / max(sum(lasted), 1e-9)
