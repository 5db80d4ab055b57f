"""The expert of dm_control's `manipulation/reach_site_*`: the Jaco arm's inverse kinematics."""

import gymnasium
import numpy as np


class Reach:
    """Moves the hand's pinch site straight to the target by damped least squares on its Jacobian.

    The arm's actuators take the speed of each joint; the fingers stay as they are.
    """

    name = "inverse-kinematics"

    HAND, TARGET = "jaco_arm/jaco_hand/pinchsite", "target_site"
    JOINTS = 6  # of the arm, which come before the fingers'
    GAIN, DAMPING = 4.0, 1e-3

    def __init__(self, environment: gymnasium.Env):
        self.physics = environment.unwrapped.env.physics  # type: ignore[attr-defined]
        model = self.physics.model
        self.hand, self.target = (model.name2id(name, "site") for name in (self.HAND, self.TARGET))
        self.low, self.high = model.actuator_ctrlrange.T

    def __call__(self) -> np.ndarray:
        import mujoco

        physics = self.physics
        jacobian = np.zeros((3, physics.model.nv))
        mujoco.mj_jacSite(physics.model.ptr, physics.data.ptr, jacobian, None, self.hand)
        arm = jacobian[:, : self.JOINTS]
        offset = physics.data.site_xpos[self.target] - physics.data.site_xpos[self.hand]
        speeds = arm.T @ np.linalg.solve(arm @ arm.T + self.DAMPING * np.eye(3), self.GAIN * offset)
        # All joints are slowed alike, so that the hand keeps its way.
        speeds /= max(1.0, float(np.max(np.abs(speeds) / self.high[: self.JOINTS])))
        action = np.concatenate([speeds, np.zeros(len(self.low) - self.JOINTS)])
        return np.clip(action, self.low, self.high).astype(np.float32)
