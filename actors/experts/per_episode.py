"""Experts that look at one environment at a time and make up their mind anew for every episode."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np

Player = Callable[[], Any]
"""Plays one episode of one environment: called before each step, it returns the action."""


class PerEpisode:
    """Makes a player for each episode that begins, from its environment; observations are not looked at.

    Args:
        name: of the expert.
        begin: makes the player of an environment that was just reset.
    """

    def __init__(self, name: str, begin: Callable[[gymnasium.Env], Player]):
        self.name = name
        self.begin = begin
        self._players: dict[int, Player] = {}

    def act(self, observations: Any, environments: Sequence[gymnasium.Env], first: np.ndarray) -> np.ndarray:
        actions = []
        for environment, begins in zip(environments, first, strict=True):
            if begins:
                self._players[id(environment)] = self.begin(environment)
            actions.append(self._players[id(environment)]())
        return np.stack(actions)


def distracted(begin: Callable[[gymnasium.Env], Player], share: float, seed: int) -> Callable[[gymnasium.Env], Player]:
    """Players of whose actions a share is drawn uniformly instead.

    Args:
        begin: makes the player of an environment; its actions are one choice.
        share: in [0, 1].
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)

    def begin_distracted(environment: gymnasium.Env) -> Player:
        plan, space = begin(environment), environment.action_space

        def act() -> Any:
            planned = plan()  # at every step, for some follow what was done from their last plan
            if generator.random() >= share:
                return planned
            assert isinstance(space, gymnasium.spaces.Discrete)
            return space.start + generator.integers(space.n)

        return act

    return begin_distracted
