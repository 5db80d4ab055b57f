"""Windows as bytes, and many windows as a few arrays, so that no store and no checkpoint needs pickle."""

import math
import struct
from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from replay.trajectory import DTYPES, Trajectory

FIELDS = {field.name: np.dtype(DTYPES.get(field.name, np.uint8)) for field in fields(Trajectory)}  # a task is text


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


def encode(window: Trajectory) -> bytes:
    """One window as bytes: for each field in order its number of dimensions and its shape (int32), then all values."""
    arrays = list(window.to_arrays().values())
    header = [number for array in arrays for number in (array.ndim, *array.shape)]
    return b"".join([np.asarray(header, dtype="<i4").tobytes(), *(array.tobytes() for array in arrays)])


def decode(data: bytes) -> Trajectory:
    """The inverse of `encode`."""
    shapes, at = [], 0
    for _ in FIELDS:
        (dimensions,) = struct.unpack_from("<i", data, at)
        shapes.append(struct.unpack_from(f"<{dimensions}i", data, at + 4))
        at += 4 * (1 + dimensions)
    arrays = {}
    for (name, dtype), shape in zip(FIELDS.items(), shapes, strict=True):
        count = math.prod(shape)
        # A copy, since arrays over bytes cannot be written to.
        arrays[name] = np.frombuffer(data, dtype=dtype, count=count, offset=at).reshape(shape).copy()
        at += count * dtype.itemsize
    return Trajectory.from_arrays(arrays)
