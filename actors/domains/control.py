"""DM Control Suite from state: `control/cartpole-swingup`, `control/ball_in_cup-catch`."""

import difflib
import os
import sys
from collections import OrderedDict
from functools import cache
from typing import Any

import gymnasium
import numpy as np

from actors.errors import TaskError

DISCOUNT = 0.99

FRAME = 240, 320  # height and width of what `render` draws
UNLIMITED = 1e10  # MuJoCo's mjMAXVAL: how the suite writes an actuator without limits


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of `domain-task`.

    Raises:
        TaskError: unknown name (names the nearest), or dm_control does not load on this machine (says why).
    """
    if render and sys.platform == "linux":
        os.environ.setdefault("MUJOCO_GL", "egl")  # draws without a display, in software where there is no GPU
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(f'control/{other}' for other in near)}?" if near else f"known: {known}"
        raise TaskError(f"unknown task 'control/{name}': {hint}")
    return SuiteEnv(*name.split("-"))


@cache
def names() -> list[str]:
    """Every task of the suite, as `domain-task`. Raises TaskError when dm_control does not load."""
    return sorted(f"{domain}-{task}" for domain, task in _suite().ALL_TASKS)


class SuiteEnv(gymnasium.Env):
    """One task of the suite behind Gymnasium's interface.

    Observations are a Dict of float32 boxes, in the suite's order; episodes that run out of time end truncated, those
    that the task ends (discount 0) terminated.
    """

    render_mode = "rgb_array"

    def __init__(self, domain: str, task: str):
        self._env = _suite().load(domain, task, task_kwargs={"random": 0})
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": round(1.0 / self._env.control_timestep())}
        self.observation_space = gymnasium.spaces.Dict(
            OrderedDict(
                (key, gymnasium.spaces.Box(-np.inf, np.inf, spec.shape, np.float32))
                for key, spec in self._env.observation_spec().items()
            )
        )
        action = self._env.action_spec()
        low = np.where(action.minimum <= -UNLIMITED, -np.inf, action.minimum).astype(np.float32)
        high = np.where(action.maximum >= UNLIMITED, np.inf, action.maximum).astype(np.float32)
        self.action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, np.ndarray], dict]:
        super().reset(seed=seed)
        if seed is not None:
            # Tasks draw their starts from this generator and offer no other way to seed it after they are built.
            self._env.task._random = np.random.RandomState(seed)
        return self._observation(self._env.reset()), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        timestep = self._env.step(action)
        ended = timestep.last()
        terminated = ended and timestep.discount == 0.0
        return self._observation(timestep), float(timestep.reward), terminated, ended and not terminated, {}

    def render(self) -> Any:
        """The scene from the task's first camera, uint8 [height, width, 3]. RuntimeError without a GL library."""
        return self._env.physics.render(*FRAME, camera_id=0)

    def close(self) -> None:
        self._env.close()

    def _observation(self, timestep: Any) -> dict[str, np.ndarray]:
        return {key: np.asarray(value, dtype=np.float32) for key, value in timestep.observation.items()}


@cache
def _suite() -> Any:
    # State tasks draw nothing; without this, importing dm_control looks for a display or a GL library.
    os.environ.setdefault("MUJOCO_GL", "disabled")
    try:
        from dm_control import suite
    except ImportError as error:
        raise TaskError(
            f"control/ tasks need dm_control, which does not load here: {error}; install it with 'pip install "
            "dm-control', and if a GL library is what is missing, set MUJOCO_GL=disabled"
        ) from None
    except (AttributeError, OSError, RuntimeError) as error:  # what its GL back ends raise on a broken GL set-up
        raise TaskError(
            f"control/ tasks: dm_control does not load with MUJOCO_GL={os.environ['MUJOCO_GL']}: {error}; "
            "set MUJOCO_GL=disabled, which is enough for state tasks"
        ) from None
    return suite
