"""Controllers for the DM Control Suite. They read the physics, so pixels and scaled bodies are as good to them."""

from typing import Any

import gymnasium
import numpy as np

from actors.experts.ball_in_cup import BallInCup
from actors.experts.lqr import gain, linearise
from actors.experts.physics import physics_of

GRAVITY = 9.81


def _act(*numbers: float) -> np.ndarray:
    return np.clip(np.array(numbers), -1.0, 1.0).astype(np.float32)


class CartPole:
    """Pumps energy into the pole with the cart held near the middle, then balances with a linear-quadratic regulator.

    Masses and lengths come from the model. The numbers were found by a random search in simulation, on the reward of
    `cartpole-swingup`.
    """

    name = "energy-lqr"

    PUMP = 0.88
    """Action that pumps: full force would cost more reward than it saves time."""
    MIDDLE = np.array([0.42, 0.22])
    """Pull on the cart towards the middle while it pumps, by position and velocity."""
    CATCH_COSINE, CATCH_ACTION = 0.74, 2.5
    """The regulator takes over above this cosine of the pole's angle, where it wants less than this action."""

    def __init__(self, environment: gymnasium.Env):
        self.physics, steps = physics_of(environment)
        model = self.physics.named.model
        mass, centre = model.body_mass["pole_1"], model.body_ipos["pole_1", "z"]
        self.inertia = model.body_inertia["pole_1", "y"] + mass * centre**2  # around the hinge
        self.lift = mass * centre * GRAVITY
        self.gain = gain(*linearise(self.physics, np.zeros(2), steps), np.array([1.5, 0.025, 0.017, 0.022]), 0.55)

    def __call__(self) -> np.ndarray:
        (position, angle), (velocity, turning) = self.physics.data.qpos, self.physics.data.qvel
        cosine = np.cos(angle)
        balance = -self.gain @ np.array([position, np.arctan2(np.sin(angle), cosine), velocity, turning])
        if cosine > self.CATCH_COSINE and abs(balance) < self.CATCH_ACTION:
            return _act(balance)
        energy = self.inertia * turning**2 / 2.0 + self.lift * (cosine - 1.0)  # 0 at rest upright
        # A cart that accelerates against turning * cosine does work on the pole.
        along = 1.0 if turning * cosine >= 0.0 else -1.0
        return _act(self.PUMP * np.sign(energy) * along - self.MIDDLE @ np.array([position, velocity]))


class Pendulum:
    """Pumps energy until a regulator can catch the pendulum (Astrom and Furuta, 2000), by the model's own masses."""

    name = "energy-lqr"

    CATCH = 1.5
    """The regulator takes over where it wants less action than this."""

    def __init__(self, environment: gymnasium.Env):
        self.physics, steps = physics_of(environment)
        model = self.physics.named.model
        mass, centre = model.body_mass["pole"], model.body_ipos["pole", "z"]
        self.inertia = model.body_inertia["pole", "y"] + mass * centre**2
        self.lift = mass * centre * GRAVITY
        self.gain = gain(*linearise(self.physics, np.zeros(1), steps), np.array([1.0, 0.1]), 0.01)

    def __call__(self) -> np.ndarray:
        angle, turning = self.physics.data.qpos[0], self.physics.data.qvel[0]
        balance = -self.gain @ np.array([np.arctan2(np.sin(angle), np.cos(angle)), turning])
        if abs(balance) < self.CATCH:
            return _act(balance)
        energy = self.inertia * turning**2 / 2.0 + self.lift * (np.cos(angle) - 1.0)  # 0 at rest upright
        along = 1.0 if turning >= 0.0 else -1.0
        return _act(-np.sign(energy) * along)


class PointMass:
    """Brings the mass to the target like a damped spring, through whatever directions its two actuators pull in."""

    name = "spring"

    STIFFNESS, DAMPING = 4.0, 1.5

    def __init__(self, environment: gymnasium.Env):
        self.physics, _ = physics_of(environment)
        # Each actuator pulls on a tendon: a weighted sum of the two joints.
        self.pull = self.physics.model.wrap_prm[:4].reshape(2, 2) * self.physics.model.actuator_gear[:, :1]

    def __call__(self) -> np.ndarray:
        offset = self.physics.mass_to_target()[:2]
        force = self.STIFFNESS * offset - self.DAMPING * self.physics.data.qvel
        return _act(*np.linalg.solve(self.pull.T, force))


class Reacher:
    """Moves the finger to the target by the arm's inverse kinematics: damped least squares on its Jacobian."""

    name = "inverse-kinematics"

    SPEED, DAMPING, BRAKE = 10.0, 1e-3, 0.05

    def __init__(self, environment: gymnasium.Env):
        self.physics, _ = physics_of(environment)
        self.finger = self.physics.model.name2id("finger", "geom")

    def __call__(self) -> np.ndarray:
        import mujoco

        physics = self.physics
        jacobian = np.zeros((3, physics.model.nv))
        mujoco.mj_jacGeom(physics.model.ptr, physics.data.ptr, jacobian, None, self.finger)
        plane = jacobian[:2]  # [2, joints]
        offset = physics.finger_to_target()
        turn = plane.T @ np.linalg.solve(plane @ plane.T + self.DAMPING * np.eye(2), offset)
        torque = self.BRAKE * (self.SPEED * turn - physics.data.qvel)
        return _act(*(torque / physics.model.actuator_gear[:, 0]))


PLAYERS: dict[str, Any] = {
    "ball_in_cup-catch": BallInCup,
    "cartpole-balance": CartPole,
    "cartpole-balance_sparse": CartPole,
    "cartpole-swingup": CartPole,
    "cartpole-swingup_sparse": CartPole,
    "pendulum-swingup": Pendulum,
    "point_mass-easy": PointMass,
    "point_mass-hard": PointMass,
    "reacher-easy": Reacher,
    "reacher-hard": Reacher,
}
