"""Environments that fail, and one whose observations cannot become tokens: `gym/tests.cluster.faulty:NaN-v0`."""

import time

import gymnasium
import numpy as np

from tests.actors.toys import Toy

PREFIX = "gym/tests.cluster.faulty:"


class Graph(gymnasium.Env):
    """Its observations are graphs."""

    observation_space = gymnasium.spaces.Graph(gymnasium.spaces.Discrete(3), None)
    action_space = gymnasium.spaces.Discrete(2)


class Unbounded(gymnasium.Env):
    """Its actions have no bounds."""

    observation_space = gymnasium.spaces.Discrete(3)
    action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))


class Huge(Toy):
    """Its rewards are finite in float32 and their squares are not."""

    def step(self, action):
        observation, _, terminated, truncated, info = super().step(action)
        return observation, 3e38, terminated, truncated, info


class Slow(Toy):
    """A step takes 10 ms, whatever the machine: a run's length is known."""

    def step(self, action):
        time.sleep(0.01)
        return super().step(action)


gymnasium.register("Slow-v0", f"{__name__}:Slow")
gymnasium.register("NaN-v0", f"{__name__}:Toy", kwargs={"fault": "nan", "chance": 1.0})
gymnasium.register("Raises-v0", f"{__name__}:Toy", kwargs={"fault": "step", "chance": 1.0})
gymnasium.register("Rarely-v0", f"{__name__}:Toy", kwargs={"fault": "step", "chance": 0.005})
gymnasium.register("Huge-v0", f"{__name__}:Huge")
gymnasium.register("Graph-v0", f"{__name__}:Graph")
gymnasium.register("Unbounded-v0", f"{__name__}:Unbounded")
