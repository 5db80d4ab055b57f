"""Meta-World's own scripted policies, one for each of its 50 tasks."""

import warnings
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np


class MetaWorld:
    """`metaworld/NAME`: the policy that Meta-World brings for the task, its actions clipped to their bounds."""

    name = "metaworld-scripted"

    def __init__(self, task_name: str):
        from metaworld.policies import ENV_POLICY_MAP

        # Many of them ask for more than full speed, and warn of it once.
        warnings.filterwarnings("ignore", message="Constant.s. may be too high")
        self._policy: Any = ENV_POLICY_MAP[task_name]()  # type: ignore[abstract]  # typed by its base class

    def act(self, observations: np.ndarray, environments: Sequence[gymnasium.Env], first: np.ndarray) -> np.ndarray:
        actions = [self._policy.get_action(observation.astype(np.float64)) for observation in observations]
        return np.clip(np.stack(actions), -1.0, 1.0).astype(np.float32)
