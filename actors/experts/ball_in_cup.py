"""A planner for the DM Control Suite's ball in a cup: it tries throws out in a copy of the simulator's state."""

from copy import copy

import gymnasium
import numpy as np

from actors.experts.physics import physics_of

KNOTS, HOLD = 8, 5
"""A throw is so many forces, each held for so many of the environment's steps of 0.02 s."""
DRAWN, KEPT, ROUNDS = 48, 8, 12
"""Cross-entropy method (Rubinstein, 1999): throws of a round, best of it, rounds at most."""
ENOUGH = 40
"""Steps in the cup with which a throw is good enough."""
SPREAD = 0.3
"""Least deviation of a round's draws."""


class BallInCup:
    """Plans one throw of the episode's first state, plays it, and then holds still with the ball in the cup."""

    name = "planned-throw"

    def __init__(self, environment: gymnasium.Env):
        self.physics, self.steps = physics_of(environment)
        self._forces = list(self._plan())

    def __call__(self) -> np.ndarray:
        return self._forces.pop(0) if self._forces else np.zeros(2, np.float32)

    def _plan(self) -> np.ndarray:
        """The best throw found: float32 [steps, 2]."""
        generator = np.random.default_rng(0)
        mean, deviation = np.zeros((KNOTS, 2)), np.ones((KNOTS, 2))
        best, highest = np.zeros((KNOTS, 2)), -np.inf
        for _ in range(ROUNDS):
            throws = np.clip(generator.normal(mean, deviation, (DRAWN, KNOTS, 2)), -1.0, 1.0)
            scores = np.array([self._score(throw) for throw in throws])
            order = np.argsort(-scores)[:KEPT]
            if scores[order[0]] > highest:
                best, highest = throws[order[0]], scores[order[0]]
            if highest >= ENOUGH:
                break
            mean = throws[order].mean(axis=0)
            deviation = np.maximum(throws[order].std(axis=0), SPREAD)
        return np.repeat(best, HOLD, axis=0).astype(np.float32)

    def _score(self, throw: np.ndarray) -> float:
        """Steps with the ball in the cup, of the throw and as many of holding still; if none, how near it came."""
        import mujoco

        model, data = self.physics.model.ptr, copy(self.physics.data.ptr)
        ball, target = (self.physics.model.name2id(name, kind) for name, kind in (("ball", "body"), ("target", "site")))
        room = model.site_size[target, [0, 2]] - model.geom_size[self.physics.model.name2id("ball", "geom"), 0]
        inside, nearest = 0, np.inf
        for force in np.concatenate([np.repeat(throw, HOLD, axis=0), np.zeros((KNOTS * HOLD, 2))]):
            data.ctrl[:] = force
            mujoco.mj_step(model, data, self.steps)
            offset = (data.site_xpos[target] - data.xpos[ball])[[0, 2]]
            inside += bool(np.all(np.abs(offset) < room))
            if offset[1] < 0.0:  # the ball is above: only from there can it fall in
                nearest = min(nearest, float(np.linalg.norm(offset)))
        return float(inside) or -nearest
