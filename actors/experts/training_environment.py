"""A task as RLlib sees it while an expert is trained."""

from typing import Any

import gymnasium
import numpy as np

from actors import domains
from actors.experts.players import features, image_shape, network_sizes, to_actions
from actors.nesting import unstack
from policy.layout import Layout
from policy.spaces import build, leaves, pick


class TrainingEnvironment(gymnasium.Env):
    """A task with the spaces that a network has.

    Observations are flat, float32 [features], or an image uint8 [height, width, channels]; actions a choice, or numbers
    in [-1, 1]. Where it sees images, rewards are clipped to [-1, 1], as in DQN's papers.
    """

    def __init__(self, layout: Layout):
        self.layout = layout
        self.env = domains.make(layout.task)
        inputs, outputs, kind = network_sizes(layout)
        shape = image_shape(layout.observation)
        self.clips = shape is not None
        if shape is None:
            self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (inputs,), np.float32)
        else:
            self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)
        if kind == "discrete":
            self.action_space = gymnasium.spaces.Discrete(outputs)
        else:
            self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (outputs,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        observation, _ = self.env.reset(seed=seed, options=options)
        return self._seen(observation), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        actions = to_actions(self.layout.action, np.asarray(action)[None])
        observation, reward, terminated, truncated, _ = self.env.step(next(unstack(self.layout.action, actions, 1)))
        reward = float(np.clip(float(reward), -1.0, 1.0)) if self.clips else float(reward)
        return self._seen(observation), reward, terminated, truncated, {}

    def close(self) -> None:
        self.env.close()

    def _seen(self, observation: Any) -> np.ndarray:
        description = self.layout.observation
        batch = {name: np.asarray(pick(observation, name))[None] for name, _ in leaves(description)}
        return features(description, build(description, batch))[0]
