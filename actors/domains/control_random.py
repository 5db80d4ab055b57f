"""DM Control Suite with bodies scaled at random: `control-random/cartpole-swingup-small`, `...-large`.

Every episode has a body of its own, drawn from the episode's seed: each part keeps its shape and density and is scaled
by a factor between 1/s and s. The observations are those of `control`; they do not tell the factors.
"""

import contextlib
from typing import Any

import gymnasium
import numpy as np

from actors import rendering
from actors.dm_environment import DmEnvironment
from actors.domains import control, naming

DISCOUNT = 0.99
PACKAGES = control.PACKAGES
RANGES = {"small": 1.1, "large": 1.4}  # s
MESHES = ("dog",)  # bodies of meshes cannot be scaled in a compiled model
UNBOUNDED = ("lqr",)  # their actions cannot become tokens
STARTS = 2000  # poses that a task may draw for one that touches nothing; on unscaled bodies none needs 300


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of `domain-task-range`.

    Raises:
        TaskError: unknown name (names the nearest), or dm_control does not load on this machine (says why).
    """
    naming.check("control-random", name, names())
    if render:
        rendering.require(f"control-random/{name}")
    task, _, scale = name.rpartition("-")
    return RandomBodyEnvironment(control.load(task), RANGES[scale])


def names() -> list[str]:
    """Every task of the suite that can be scaled, in both ranges."""
    tasks = [name for name in control.names() if name.split("-")[0] not in (*MESHES, *UNBOUNDED)]
    return [f"{task}-{scale}" for task in tasks for scale in RANGES]


class RandomBodyEnvironment(DmEnvironment):
    """A task of the suite whose body parts are scaled anew at every reset, by factors of 1/spread to spread."""

    def __init__(self, env: Any, spread: float):
        super().__init__(env)
        self.spread = spread
        self._scaler = Scaler(env.physics.model)
        self._poses = 0
        self._after_reset = env.physics.after_reset
        env.physics.after_reset = self._count_pose

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, np.ndarray], dict]:
        gymnasium.Env.reset(self, seed=seed)
        if seed is not None:
            self.seed(seed)
        while True:
            exponents = self.np_random.uniform(-1.0, 1.0, self._scaler.bodies)
            self._scaler.scale(self.spread**exponents)
            self._poses = 0
            with contextlib.suppress(_NoStart):
                return self._observation(self.env.reset()), {"scale": self._scaler.factors}

    def _count_pose(self) -> None:
        self._poses += 1
        if self._poses > STARTS:
            raise _NoStart
        self._after_reset()


class _NoStart(Exception):
    """The suite draws poses until no parts touch; parts scaled into each other touch in every pose."""


class Scaler:
    """Scales the bodies of a compiled MuJoCo model, always from their first sizes.

    Lengths within a body and the places of its children go with its factor, masses with the third power of it and
    inertias with the fifth. The world and its geometry stay.
    """

    LENGTHS = (
        ("geom_size", "geom_bodyid"),
        ("geom_pos", "geom_bodyid"),
        ("geom_rbound", "geom_bodyid"),
        ("geom_aabb", "geom_bodyid"),
        ("site_size", "site_bodyid"),
        ("site_pos", "site_bodyid"),
        ("jnt_pos", "jnt_bodyid"),
        ("cam_pos", "cam_bodyid"),
    )

    def __init__(self, model: Any):
        self.model = model
        self.bodies = int(model.nbody)
        self.factors = np.ones(self.bodies)
        own = np.arange(self.bodies)
        # (field, body whose factor holds, power, value at factor 1)
        self._fields = [(name, np.asarray(getattr(model, of)), 1) for name, of in self.LENGTHS]
        self._fields += [
            ("body_pos", np.asarray(model.body_parentid), 1),
            ("body_ipos", own, 1),
            ("body_mass", own, 3),
            ("body_inertia", own, 5),
        ]
        self._first = {name: np.array(getattr(model, name)) for name, _, _ in self._fields}

    def scale(self, factors: np.ndarray) -> None:
        """Sets the factor of every body, float [bodies]; that of the world is ignored."""
        import mujoco

        self.factors = np.where(np.arange(self.bodies) == 0, 1.0, factors)
        for name, body, power in self._fields:
            first = self._first[name]
            scale = self.factors[body] ** power
            getattr(self.model, name)[:] = first * scale.reshape(-1, *[1] * (first.ndim - 1))
        # What the compiler derives from the above: masses of subtrees, inverse weights, lengths of tendons.
        model = self.model.ptr
        mujoco.mj_setConst(model, mujoco.MjData(model))
