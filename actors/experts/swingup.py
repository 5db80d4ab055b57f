"""The scripted expert of `control/cartpole-swingup`."""

import numpy as np

from actors.experts.lqr import discretise, gain

# dm_control's cartpole.xml: masses, the centre of the pole and its inertia around the hinge, force of action 1.
CART, POLE, CENTRE, INERTIA, FORCE, GRAVITY, SECONDS = 1.0, 0.1, 0.5, 0.0344246, 10.0, 9.81, 0.01


class CartPoleSwingUp:
    """Pumps energy into the pole with the cart held near the middle, then balances with a linear-quadratic regulator.

    The numbers were found by a random search in simulation, on the task's own reward.
    """

    name = "scripted-energy-lqr"

    PUMP = 0.88
    """Action that pumps: full force would cost more reward than it saves time."""
    MIDDLE = np.array([0.42, 0.22])
    """Pull on the cart towards the middle while it pumps, by position and velocity."""
    CATCH_COSINE, CATCH_ACTION = 0.74, 2.5
    """The regulator takes over above this cosine of the pole's angle, where it wants less than this action."""

    def __init__(self) -> None:
        mass = np.array([[CART + POLE, POLE * CENTRE], [POLE * CENTRE, INERTIA]])
        inverse = np.linalg.inv(mass)
        a = np.zeros((4, 4))  # position, angle, velocity, angular velocity; linear around upright
        a[0, 2] = a[1, 3] = 1.0
        a[2:, 1] = inverse[:, 1] * POLE * GRAVITY * CENTRE
        b = np.concatenate([[0.0, 0.0], inverse[:, 0] * FORCE])
        self.gain = gain(*discretise(a, b, SECONDS), np.array([1.5, 0.025, 0.017, 0.022]), 0.55)

    def act(self, observations: dict[str, np.ndarray]) -> np.ndarray:
        position, cosine, sine = observations["position"].astype(np.float64).T
        velocity, turning = observations["velocity"].astype(np.float64).T
        balance = -self.gain @ np.stack([position, np.arctan2(sine, cosine), velocity, turning])
        energy = INERTIA * turning**2 / 2.0 + POLE * GRAVITY * CENTRE * (cosine - 1.0)  # 0 at rest upright
        # A cart that accelerates against turning * cosine does work on the pole.
        along = np.where(turning * cosine >= 0.0, 1.0, -1.0)
        pump = self.PUMP * np.sign(energy) * along - self.MIDDLE @ np.stack([position, velocity])
        catch = (cosine > self.CATCH_COSINE) & (np.abs(balance) < self.CATCH_ACTION)
        return np.clip(np.where(catch, balance, pump), -1.0, 1.0)[:, None].astype(np.float32)
