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
        self._begin = begin
        self._players: dict[int, Player] = {}

    def act(self, observations: Any, environments: Sequence[gymnasium.Env], first: np.ndarray) -> np.ndarray:
        actions = []
        for environment, begins in zip(environments, first, strict=True):
            if begins:
                self._players[id(environment)] = self._begin(environment)
            actions.append(self._players[id(environment)]())
        return np.stack(actions)
