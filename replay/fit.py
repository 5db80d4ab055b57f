"""Does a dataset's space fit the layout that is to read it?"""

from typing import Any

import numpy as np

from policy.spaces import Description


def mismatch(description: Description, space: Any, path: str = "") -> str | None:
    """How a Gymnasium space differs from a layout's description, in words; None when they fit.

    Args:
        description: as in `policy.spaces`.
        space: a Gymnasium space.
        path: key of this part within the whole.
    """
    kind = type(space).__name__
    where = f"key '{path}'" if path else "the space"
    expected = {
        "box": "Box",
        "discrete": "Discrete",
        "multi_discrete": "MultiDiscrete",
        "multi_binary": "MultiBinary",
        "text": "Text",
        "dict": "Dict",
        "tuple": "Tuple",
    }[description["kind"]]
    if kind != expected:
        return f"{where} is a {kind}, the task has a {expected}"
    if kind == "Dict":
        wanted, found = sorted(description["spaces"]), sorted(space.spaces)
        if wanted != found:
            return f"{where} has the keys {found}, the task has {wanted}"
        parts = [(key, description["spaces"][key], space.spaces[key]) for key in wanted]
    elif kind == "Tuple":
        if len(description["spaces"]) != len(space.spaces):
            return f"{where} has {len(space.spaces)} parts, the task has {len(description['spaces'])}"
        parts = [
            (str(index), *pair) for index, pair in enumerate(zip(description["spaces"], space.spaces, strict=True))
        ]
    else:
        return _leaf_mismatch(description, space, where)
    for key, inner, part in parts:
        found_wrong = mismatch(inner, part, f"{path}/{key}" if path else key)
        if found_wrong:
            return found_wrong
    return None


def _leaf_mismatch(description: Description, space: Any, where: str) -> str | None:
    kind = description["kind"]
    if kind == "box":
        if tuple(space.shape) != tuple(description["shape"]):
            return f"{where} has shape {tuple(space.shape)}, the task has {tuple(description['shape'])}"
        for bound in ("low", "high"):
            found = _unbounded(np.asarray(getattr(space, bound), dtype=np.float64).reshape(-1))
            wanted = _unbounded(np.asarray(description[bound], dtype=np.float64).reshape(-1))
            wanted = np.broadcast_to(wanted, found.shape)
            if not np.allclose(found, wanted, rtol=1e-5, atol=1e-6):
                at = int(np.flatnonzero(~np.isclose(found, wanted, rtol=1e-5, atol=1e-6))[0])
                return f"{where} has {bound} {found[at]:g} at element {at}, the task has {wanted[at]:g}"
    elif kind == "discrete":
        found_range, wanted_range = (int(space.start), int(space.n)), (description["start"], description["n"])
        if found_range != wanted_range:
            return f"{where} has (start, n) {found_range}, the task has {wanted_range}"
    elif kind == "multi_discrete":
        counts, wanted = np.asarray(space.nvec), np.asarray(description["nvec"])
        if counts.shape != wanted.shape:
            return f"{where} has shape {counts.shape}, the task has {wanted.shape}"
        if (counts != wanted).any():
            first = np.argwhere(counts != wanted)[0].tolist()
            had, has = counts[tuple(first)], wanted[tuple(first)]
            return f"{where} has {had} values at element {first}, the task has {has}"
    elif kind == "multi_binary" and tuple(space.shape) != tuple(np.atleast_1d(description["n"]).tolist()):
        return f"{where} has shape {tuple(space.shape)}, the task has {description['n']}"
    return None


def _unbounded(bounds: np.ndarray) -> np.ndarray:
    """Some environments write "no bound" as the greatest number of their type."""
    return np.where(np.abs(bounds) >= np.finfo(np.float32).max, np.copysign(np.inf, bounds), bounds)
