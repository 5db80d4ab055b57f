"""The linear-quadratic regulator that scripted experts balance with."""

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
