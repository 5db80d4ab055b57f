"""dm_control's environments behind Gymnasium's interface."""

from collections import OrderedDict
from typing import Any

import gymnasium
import numpy as np

FRAME = 240, 320  # height and width of what `render` draws
UNLIMITED = 1e10  # MuJoCo's mjMAXVAL: how the suite writes an actuator without limits


class DmEnvironment(gymnasium.Env):
    """One environment of the suite.

    Observations are a Dict in the environment's order: images as uint8, everything else as float32 boxes; what has no
    elements is left out. A "/" in a
    key becomes a ".". Episodes that run out of time end truncated, those that the task ends (discount 0) terminated.

    Args:
        env: the environment; closed with this one.
        camera: which of its cameras `render` looks through.
    """

    render_mode = "rgb_array"

    def __init__(self, env: Any, camera: int | str = 0):
        self.env = env
        self.camera = camera
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": round(1.0 / env.control_timestep())}
        specs = env.observation_spec()
        self._keys = [(key, key.replace("/", "."), _dtype(spec)) for key, spec in specs.items() if np.prod(spec.shape)]
        self.observation_space = gymnasium.spaces.Dict(
            OrderedDict((name, _box(specs[key], dtype)) for key, name, dtype in self._keys)  # a plain dict is sorted
        )
        action = env.action_spec()
        low = np.where(action.minimum <= -UNLIMITED, -np.inf, action.minimum).astype(np.float32)
        high = np.where(action.maximum >= UNLIMITED, np.inf, action.maximum).astype(np.float32)
        self.action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, np.ndarray], dict]:
        super().reset(seed=seed)
        if seed is not None:
            self.seed(seed)
        return self._observation(self.env.reset()), {}

    def seed(self, seed: int) -> None:
        """Everything that is drawn from now on follows from the seed."""
        # The suite's tasks draw their starts from this generator and offer no other way to seed it once they are built.
        self.env.task._random = np.random.RandomState(seed)

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        timestep = self.env.step(action)
        ended = timestep.last()
        terminated = ended and timestep.discount == 0.0
        return self._observation(timestep), float(timestep.reward), terminated, ended and not terminated, {}

    def render(self) -> Any:
        """The scene, uint8 [height, width, 3]."""
        return self.env.physics.render(*FRAME, camera_id=self.camera)

    def close(self) -> None:
        self.env.close()

    def _observation(self, timestep: Any) -> dict[str, np.ndarray]:
        observation = timestep.observation
        return {name: np.asarray(observation[key], dtype=dtype) for key, name, dtype in self._keys}


class ComposerEnvironment(DmEnvironment):
    """One environment of dm_control's composer: locomotion and manipulation."""

    def seed(self, seed: int) -> None:
        self.env._random_state = np.random.RandomState(seed)  # as with the suite, there is no other way


def _dtype(spec: Any) -> type:
    return np.uint8 if spec.dtype == np.uint8 else np.float32


def _box(spec: Any, dtype: type) -> gymnasium.spaces.Box:
    low, high = (0, 255) if dtype is np.uint8 else (-np.inf, np.inf)
    return gymnasium.spaces.Box(low, high, spec.shape, dtype)
