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

    def empty(self, n: int) -> Parts:
        """Room for n observations."""
        return {
            name: [""] * n if dtype is None else np.zeros((n, *shape), dtype=dtype)
            for name, (shape, dtype) in self._leaves.items()
        }

    def store(self, parts: Parts, row: int, observation: Any) -> None:
        """Puts one observation into its row. Raises ValueError where it is not finite or has another shape."""
        for name, (shape, dtype) in self._leaves.items():
            value = pick(observation, name)
            if dtype is None:
                parts[name][row] = value
                continue
            if np.shape(value) != shape:
                raise ValueError(f"observation {name!r} has shape {np.shape(value)}, its space {shape}")
            stored = parts[name][row] = np.asarray(value, dtype=dtype)
            if dtype.kind == "f" and not np.isfinite(stored).all():
                raise ValueError(f"observation {name!r} is not finite: {value}")

    def nest(self, parts: Parts) -> Any:
        """The stacked leaves in the nesting of the space."""
        return build(self.description, parts)


def unstack(description: Description, values: Any, n: int) -> Iterator[Any]:
    """The n actions (or observations) of a batch one by one, each nested as its space."""
    parts = {name: pick(values, name) for name, _ in leaves(description)}
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
