"""DM Control Suite from state: `control/cartpole-swingup`, `control/ball_in_cup-catch`."""

import os
from functools import cache
from typing import Any

import gymnasium

from actors import rendering
from actors.dm_environment import DmEnvironment
from actors.domains import naming
from actors.errors import TaskError

DISCOUNT = 0.99
PACKAGES = ("dm-control", "mujoco")
DRAWING = ("quadruped-escape",)  # uploads its terrain to the GL library at every reset


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of `domain-task`.

    Raises:
        TaskError: unknown name (names the nearest), or dm_control does not load on this machine (says why).
    """
    if render:
        rendering.require(f"control/{name}")
    naming.check("control", name, names())
    return DmEnvironment(load(name))


@cache
def names() -> list[str]:
    """Every task of the suite, as `domain-task`. Raises TaskError when dm_control does not load."""
    return sorted(f"{domain}-{task}" for domain, task in _suite().ALL_TASKS)


def load(name: str) -> Any:
    """The suite's own environment of `domain-task`. Raises TaskError where it needs a GL library that is not there."""
    if name in DRAWING:
        rendering.require(f"control/{name}")
    return _suite().load(*name.split("-"), task_kwargs={"random": 0})


@cache
def _suite() -> Any:
    with rendering.unneeded():
        try:
            from dm_control import suite
        except ImportError as error:
            raise TaskError(
                f"control/ tasks need dm_control, which does not load here: {error}; install it with 'pip install "
                "dm-control', and if a GL library is what is missing, set MUJOCO_GL=disabled"
            ) from None
        except rendering.BROKEN as error:
            raise TaskError(
                f"control/ tasks: dm_control does not load with MUJOCO_GL={os.environ['MUJOCO_GL']}: {error}; "
                "set MUJOCO_GL=disabled, which is enough for state tasks"
            ) from None
    return suite
