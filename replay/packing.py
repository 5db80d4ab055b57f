"""Many windows as a few arrays, so that a checkpoint needs no pickle and no file for each."""

from collections.abc import Sequence

import numpy as np

from replay.trajectory import Trajectory


def pack(windows: Sequence[Trajectory]) -> dict[str, np.ndarray]:
    """For every field its values end to end (raveled), and its shapes: int64 [windows, dimensions]."""
    packed: dict[str, np.ndarray] = {}
    rows = [window.to_arrays() for window in windows]
    for name in rows[0] if rows else ():
        packed[name] = np.concatenate([row[name].reshape(-1) for row in rows])
        packed[f"{name}.shape"] = np.asarray([row[name].shape for row in rows], dtype=np.int64)
    return packed


def unpack(packed: dict[str, np.ndarray]) -> list[Trajectory]:
    """The inverse of `pack`."""
    names = [name for name in packed if not name.endswith(".shape")]
    if not names:
        return []
    columns = {}
    for name in names:
        shapes = packed[f"{name}.shape"]
        sizes = shapes.prod(axis=1, dtype=np.int64)  # a scalar has shape (), product 1
        parts = np.split(packed[name], np.cumsum(sizes)[:-1])
        columns[name] = [part.reshape(tuple(shape)).copy() for part, shape in zip(parts, shapes, strict=True)]
    count = len(columns[names[0]])
    return [Trajectory.from_arrays({name: columns[name][row] for name in names}) for row in range(count)]
