"""DM Control Suite from images: `control-pixels/cartpole-swingup`, one 64x64 frame a step."""

from typing import Any

import gymnasium
import numpy as np

from actors import rendering
from actors.dm_environment import DmEnvironment
from actors.domains import control, naming

DISCOUNT = 0.99
PACKAGES = control.PACKAGES
SIDE = 64  # pixels
CAMERAS = {"quadruped": 2}  # the suite's habit: its first camera elsewhere


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of `domain-task`; `render` draws the same scene at a greater size.

    Raises:
        TaskError: unknown name (names the nearest), or nothing can be drawn on this machine (says what to install).
    """
    naming.check("control-pixels", name, names())
    rendering.require(f"control-pixels/{name}")
    return PixelEnvironment(control.load(name), CAMERAS.get(name.split("-")[0], 0))


def names() -> list[str]:
    """Every task of the suite whose actions are bounded, as `domain-task`."""
    return [name for name in control.names() if not name.startswith("lqr-")]


class PixelEnvironment(DmEnvironment):
    """A task of the suite, seen through a camera: uint8 [64, 64, 3], without shadows and anti-aliasing.

    Those two cost three quarters of the time where drawing is done in software.
    """

    def __init__(self, env: Any, camera: int):
        super().__init__(env, camera)
        quality = env.physics.model.vis.quality
        quality.shadowsize = quality.offsamples = 0
        self.observation_space = gymnasium.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)

    def _observation(self, timestep: Any) -> Any:
        return self.env.physics.render(SIDE, SIDE, camera_id=self.camera)
