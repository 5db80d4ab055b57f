"""Meta-World, version 3: `metaworld/reach-v3`. A robot arm at a table, 50 tasks.

The goal is observed, and it and the objects' places are drawn anew at every reset (the benchmark's own goals are 50
draws of the same ranges). Episodes end truncated after 500 steps; success does not end them.
"""

from functools import cache
from typing import Any

import gymnasium
import numpy as np

from actors.domains import naming
from actors.errors import TaskError

DISCOUNT = 0.99
PACKAGES = ("metaworld", "mujoco")
OBSERVED = 39  # hand, gripper, objects; the same of the step before; goal
CAMERA = "corner2"


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of a task.

    Raises:
        TaskError: unknown name (names the nearest), or metaworld does not load on this machine.
    """
    naming.check("metaworld", name, names())
    return TableEnvironment(_classes()[name](render_mode="rgb_array" if render else None, camera_name=CAMERA))


@cache
def names() -> list[str]:
    """The 50 tasks. Raises TaskError when metaworld does not load."""
    return sorted(_classes())


class TableEnvironment(gymnasium.Wrapper):
    """A task with its goal observed, and everything that a reset draws following from the seed."""

    def __init__(self, env: Any):
        super().__init__(env)
        self._task = env
        # Most of what is observed is unbounded, and resets leave the bounds that are declared.
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBSERVED,), np.float32)
        env._partially_observable = False
        env.__dict__.pop("sawyer_observation_space", None)  # cached for the other setting, which hides the goal
        env._freeze_rand_vec = False
        env.seeded_rand_vec = True
        env._set_task_called = True  # there is nothing to set: starts are drawn, not taken from a benchmark

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        if seed is not None:
            self._task.seed(seed)
        observation, info = self.env.reset()
        return observation.astype(np.float32), info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation.astype(np.float32), float(reward), terminated, truncated, info


@cache
def _classes() -> dict[str, Any]:
    try:
        from metaworld import ALL_V3_ENVIRONMENTS
    except ImportError as error:
        raise TaskError(
            f"metaworld/ tasks need metaworld, which does not load here: {error}; install it with 'pip install "
            "metaworld'"
        ) from None
    return dict(ALL_V3_ENVIRONMENTS)
