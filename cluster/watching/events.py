"""Reading a run's TensorBoard files, without TensorFlow."""

import sys
import types
from pathlib import Path
from typing import Any


def without_tensorflow() -> None:
    """Before TensorBoard is imported: it looks for this module to learn that it has to do without TensorFlow, which
    costs 0.45 GB."""
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of every point of a run, by tag, oldest first; what a resumed run replaced is left out."""
    without_tensorflow()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = {"scalars": 0, "images": 1, "histograms": 1, "compressedHistograms": 1, "tensors": 1}  # 0: keep all
    events: Any = EventAccumulator(str(folder), size_guidance=everything)
    events.Reload()
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
