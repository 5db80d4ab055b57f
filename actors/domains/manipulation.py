"""dm_control's manipulation: `manipulation/stack_2_bricks_features`, `manipulation/reach_site_vision`.

A Jaco arm among bricks; the nearest to Gato's RGB stacking and playground that can be had. `features` tell where things
are, `vision` shows a frame of 64x64 beside the arm's own joints.
"""

from functools import cache
from typing import Any

import gymnasium

from actors import rendering
from actors.dm_environment import ComposerEnvironment
from actors.domains import naming
from actors.errors import TaskError

DISCOUNT = 0.99
PACKAGES = ("dm-control", "mujoco")
SIDE = 64  # pixels
UNSEEDED = "reassemble_5_bricks_random_order"  # shuffles in place, so that episodes do not follow from their seeds
SECONDS = 10.0  # of an episode, as in the package


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of a task.

    Raises:
        TaskError: unknown name (names the nearest), dm_control does not load here, or nothing can be drawn here.
    """
    naming.check("manipulation", name, names())
    if render or name.endswith("_vision"):
        rendering.require(f"manipulation/{name}")
    from dm_control import composer

    task = _manipulation().load(name).task
    for observable in task.observables.values():
        if hasattr(observable, "height"):  # a camera
            observable.height = observable.width = SIDE
    quality = task.root_entity.mjcf_model.visual.quality
    quality.shadowsize = quality.offsamples = 0  # three quarters of the time where drawing is done in software
    env = composer.Environment(task, time_limit=SECONDS, strip_singleton_obs_buffer_dim=True)
    return ComposerEnvironment(env)


@cache
def names() -> list[str]:
    """The package's tasks, with features and with vision. Raises TaskError when dm_control does not load."""
    return sorted(name for name in _manipulation().ALL if not name.startswith(UNSEEDED))


@cache
def _manipulation() -> Any:
    with rendering.unneeded():
        try:
            from dm_control import manipulation
        except rendering.BROKEN as error:
            raise TaskError(
                f"manipulation/ tasks need dm_control, which does not load here: {error}; install it with 'pip install "
                "dm-control', and unset MUJOCO_GL if it is set"
            ) from None
    return manipulation
