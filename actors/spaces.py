"""Gymnasium spaces as the plain descriptions that layouts are made from (policy/spaces.py)."""

import numpy as np
from gymnasium import spaces

from policy.spaces import Description, refuse


def describe(space: spaces.Space, task: str, path: str = "") -> Description:
    """Box, Discrete, MultiDiscrete, MultiBinary, Text, Dict and Tuple, nested as they come.

    Args:
        space: of observations or actions.
        task: its task, for messages.
        path: the key of this space within the task's, "" for the whole.

    Raises:
        SpaceError: for any other space, and for those that a description cannot hold; named with task and key.
    """
    match space:
        case spaces.Box():
            return _box(space)
        case spaces.Discrete():
            return {"kind": "discrete", "n": int(space.n), "start": int(space.start)}
        case spaces.MultiDiscrete():
            if np.any(space.start):
                raise refuse(
                    task, path, "a MultiDiscrete that starts elsewhere than at 0; use Discrete spaces with start"
                )
            return {"kind": "multi_discrete", "nvec": space.nvec.tolist()}
        case spaces.MultiBinary():
            return {"kind": "multi_binary", "n": list(space.shape)}
        case spaces.Text():
            return {"kind": "text", "max_length": int(space.max_length)}
        case spaces.Dict():
            for key in space.spaces:
                if not isinstance(key, str) or not key or "/" in key:
                    raise refuse(task, path, f"the key {key!r}; keys are texts that are not empty and hold no '/'")
            return {
                "kind": "dict",
                "spaces": {key: describe(part, task, _join(path, key)) for key, part in space.spaces.items()},
            }
        case spaces.Tuple():
            parts = [describe(part, task, _join(path, str(index))) for index, part in enumerate(space.spaces)]
            return {"kind": "tuple", "spaces": parts}
    raise refuse(task, path, f"{type(space).__name__} spaces are not supported")


def _box(space: spaces.Box) -> Description:
    # Some environments write "no bound" as the greatest number of their type.
    dtype: np.dtype = space.low.dtype
    largest = float(np.finfo(dtype).max) if dtype.kind == "f" else np.inf
    low = space.low.astype(np.float64).reshape(-1)
    high = space.high.astype(np.float64).reshape(-1)
    if dtype == np.uint8 and len(space.shape) >= 2 and (low == low[:1]).all() and (high == high[:1]).all():
        low, high = low[:1], high[:1]  # an image has many elements, all with the same bounds
    return {
        "kind": "box",
        "shape": list(space.shape),
        "low": np.where(low <= -largest, -np.inf, low).tolist(),
        "high": np.where(high >= largest, np.inf, high).tolist(),
        "dtype": dtype.name,
    }


def _join(path: str, key: str) -> str:
    return f"{path}/{key}" if path else key
