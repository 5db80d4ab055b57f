"""The linear-quadratic regulator that scripted experts balance with."""

from typing import Any

import numpy as np


def gain(a: np.ndarray, b: np.ndarray, state_cost: np.ndarray, action_cost: float) -> np.ndarray:
    """Feedback K of u = -K x that minimises the sum of x' diag(state_cost) x + action_cost u^2.

    Args:
        a, b: of the dynamics x' = a x + b u from one step to the next; [states, states] and [states].
        state_cost: [states].
        action_cost: greater than 0.

    Returns:
        K, float64 [states], from the fixed point of the discrete Riccati recursion.
    """
    b = b[:, None]
    cost = np.diag(state_cost).astype(np.float64)
    value = cost
    while True:
        k = np.linalg.solve(action_cost + b.T @ value @ b, b.T @ value @ a)
        following = cost + a.T @ value @ (a - b @ k)
        if np.allclose(following, value, rtol=1e-10, atol=0.0):
            return k[0]
        value = following


def discretise(a: np.ndarray, b: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Continuous dynamics dx/dt = a x + b u, held for one step, to (a, b) of `gain`: to second order in the step."""
    return np.eye(len(a)) + a * seconds + a @ a * seconds**2 / 2.0, (b * seconds + a @ b * seconds**2 / 2.0)


def linearise(physics: Any, position: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(a, b) of `gain` for a MuJoCo model with one actuator, around a rest; the state is positions, then velocities.

    Args:
        physics: of dm_control.
        position: [positions] at which it rests without action.
        steps: of the simulation that one action lasts.
    """
    import mujoco

    model = physics.model.ptr
    rest = np.concatenate([position, np.zeros(model.nv)])

    def after(state: np.ndarray, action: float) -> np.ndarray:
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:], data.ctrl[:] = state[: model.nq], state[model.nq :], action
        mujoco.mj_step(model, data, steps)
        return np.concatenate([data.qpos, data.qvel])

    small = 1e-5
    nudges = small * np.eye(len(rest))
    a = np.stack([after(rest + nudge, 0.0) - after(rest - nudge, 0.0) for nudge in nudges], axis=1) / (2 * small)
    return a, (after(rest, small) - after(rest, -small)) / (2 * small)
