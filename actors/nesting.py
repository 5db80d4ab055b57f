"""Nested observations and actions of several environments, stacked leaf by leaf."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from policy.spaces import Description, build, leaves, pick

Parts = dict[str, Any]  # by leaf: an array [n, ...], or for text a list of n strings


class Observations:
    """Stacks observations of one space, and refuses those that do not belong to it."""

    def __init__(self, description: Description):
        self.description = description
        self._leaves = {name: (_shape(space), _dtype(space)) for name, space in leaves(description)}
        self._flat = description["kind"] == "dict" and not any("/" in name for name in self._leaves)
        self._floats = [name for name, (_, dtype) in self._leaves.items() if dtype is not None and dtype.kind == "f"]
        floats = set(self._floats)
        self._stored = [(name, *self._leaves[name], name not in floats) for name in self._leaves]

    def empty(self, n: int) -> Parts:
        """Room for n observations."""
        return {
            name: [""] * n if dtype is None else np.zeros((n, *shape), dtype=dtype)
            for name, (shape, dtype) in self._leaves.items()
        }

    def store(self, parts: Parts, row: int, observation: Any) -> None:
        """Puts one observation into its row. Raises ValueError where it has another shape, or fractions for integers.

        Whether it is finite is asked of many rows at once: `not_finite`.
        """
        for name, shape, dtype, whole in self._stored:
            value = observation[name] if self._flat else pick(observation, name)  # most are flat, and picking is slow
            if dtype is None:
                parts[name][row] = value
                continue
            if not isinstance(value, np.ndarray):
                value = np.asarray(value)
            if value.shape != shape:
                raise ValueError(f"observation {name!r} has shape {value.shape}, its space {shape}")
            if whole and value.dtype.kind == "f":
                raise ValueError(f"observation {name!r} has dtype {value.dtype}, its space {dtype}")
            parts[name][row] = value

    def not_finite(self, parts: Parts) -> dict[int, str]:
        """Rows that hold NaN or infinity, and the leaf that does."""
        found: dict[int, str] = {}
        for name in self._floats:
            finite = np.isfinite(parts[name])
            if not finite.all():
                found |= {int(row): name for row in np.flatnonzero(~finite.reshape(len(finite), -1).all(axis=1))}
        return found

    def nest(self, parts: Parts) -> Any:
        """The stacked leaves in the nesting of the space."""
        return build(self.description, parts)


def unstack(description: Description, values: Any, n: int) -> Iterator[Any]:
    """The n actions (or observations) of a batch one by one, each nested as its space."""
    parts = {name: pick(values, name) for name, _ in leaves(description)}
    if "" in parts:  # nothing is nested
        yield from parts[""]
        return
    for row in range(n):
        yield build(description, {name: part[row] for name, part in parts.items()})


def _dtype(space: Description) -> np.dtype | None:
    """None for text."""
    return None if space["kind"] == "text" else np.dtype(space.get("dtype", "int64"))


def _shape(space: Description) -> tuple[int, ...]:
    match space["kind"]:
        case "box":
            return tuple(space["shape"])
        case "multi_discrete":
            return np.shape(space["nvec"])
        case "multi_binary":
            return tuple(space["n"])
    return ()
