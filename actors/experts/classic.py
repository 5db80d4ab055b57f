"""Scripted experts of Gymnasium's classic control tasks. Constants of the physics are those of Gymnasium's sources."""

from collections.abc import Sequence

import gymnasium
import numpy as np

from actors.experts.lqr import discretise, gain


class CartPole:
    """`gym/CartPole-v1`: pushes in the direction that a linear-quadratic regulator wants."""

    name = "scripted-lqr"

    def __init__(self) -> None:
        gravity, cart, pole, half_length = 9.8, 1.0, 0.1, 0.5
        total = cart + pole
        lever = half_length * (4.0 / 3.0 - pole / total)
        a = np.zeros((4, 4))  # position, velocity, angle, angular velocity; linear around upright
        a[0, 1] = a[2, 3] = 1.0
        a[3, 2] = gravity / lever
        a[1, 2] = -pole * half_length / total * a[3, 2]
        b = np.array([0.0, 1.0 / total + pole * half_length / (total**2 * lever), 0.0, -1.0 / (total * lever)])
        self.gain = gain(*discretise(a, b, 0.02), np.array([1.0, 1.0, 10.0, 1.0]), 0.1)

    def act(self, observations: np.ndarray, environments: Sequence[gymnasium.Env], first: np.ndarray) -> np.ndarray:
        return (observations @ self.gain < 0.0).astype(np.int64)


class Pendulum:
    """`gym/Pendulum-v1`: pumps energy until a regulator can catch the pendulum (Astrom and Furuta, 2000)."""

    name = "scripted-energy-lqr"

    TORQUE = 2.0
    CATCH = 6.0
    """The regulator takes over where it wants less torque than this; found by trying 3,000 settings in simulation."""

    def __init__(self) -> None:
        # Angle and angular velocity near upright: angular acceleration is 15 sin(angle) + 3 torque.
        a, b = np.array([[0.0, 1.0], [15.0, 0.0]]), np.array([0.0, 3.0])
        self.gain = gain(*discretise(a, b, 0.05), np.array([1.0, 0.1]), 0.001)

    def act(self, observations: np.ndarray, environments: Sequence[gymnasium.Env], first: np.ndarray) -> np.ndarray:
        cosine, sine, velocity = observations.astype(np.float64).T
        state = np.stack([np.arctan2(sine, cosine), velocity])
        balance = -self.gain @ state
        energy = velocity**2 / 2.0 + 15.0 * (cosine - 1.0)  # of unit inertia; 0 at rest upright
        # Full torque along the motion while energy is missing, against it when there is too much; hanging still is
        # taken for motion.
        along = np.where(velocity >= 0.0, 1.0, -1.0)
        pump = np.where(energy < 0.0, self.TORQUE, -self.TORQUE) * along
        torque = np.where(np.abs(balance) < self.CATCH, balance, pump)
        return np.clip(torque, -self.TORQUE, self.TORQUE)[:, None].astype(np.float32)


class Acrobot:
    """`gym/Acrobot-v1`: torque along the second joint's motion, which adds energy at every step."""

    name = "scripted-energy"

    def act(self, observations: np.ndarray, environments: Sequence[gymnasium.Env], first: np.ndarray) -> np.ndarray:
        return np.where(observations[:, 5] >= 0.0, 2, 0)


class MountainCar:
    """`gym/MountainCar-v0`: pushes along the motion, which adds energy at every step."""

    name = "scripted-energy"

    def act(self, observations: np.ndarray, environments: Sequence[gymnasium.Env], first: np.ndarray) -> np.ndarray:
        return np.where(observations[:, 1] >= 0.0, 2, 0)


class MountainCarContinuous:
    """`gym/MountainCarContinuous-v0`: as `MountainCar`, with a push just strong enough, since pushing costs reward."""

    name = "scripted-energy"

    PUSH = 0.6
    """Full force takes 106 steps and costs 11 points; this takes 123 and costs 4."""

    def act(self, observations: np.ndarray, environments: Sequence[gymnasium.Env], first: np.ndarray) -> np.ndarray:
        return np.where(observations[:, 1:] >= 0.0, self.PUSH, -self.PUSH).astype(np.float32)
