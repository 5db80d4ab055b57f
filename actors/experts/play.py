"""Experts in real environments: whole episodes, in order, the same for the same seed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from actors.environments import Environments
from actors.experts.players import NetworkExpert
from actors.experts.types import Expert
from actors.nesting import unstack
from policy.layout import Layout
from policy.spaces import Description, build, leaves, pick

ENVIRONMENTS = 8  # stepped together where one call of a network serves them all


@dataclass
class Episode:
    """One whole episode of T steps."""

    seed: int
    """With which the environment was reset."""
    observations: list[Any]
    """T + 1, each nested as the space: the last is what the episode ended in."""
    actions: list[Any] = field(default_factory=list)
    """T, each nested as the space."""
    rewards: list[float] = field(default_factory=list)
    """T."""
    terminated: bool = False
    truncated: bool = False

    @property
    def total(self) -> float:
        """Undiscounted return."""
        return float(sum(self.rewards))


def play(expert: Expert, layout: Layout, episodes: int, seed: int) -> Iterator[Episode]:
    """Plays `episodes` episodes and yields them in the order of their numbers.

    All that were begun are finished, so short episodes are no likelier to be among them than long ones.

    Raises:
        TaskError: when the environment cannot be made.
        EnvironmentFailed: when it keeps failing.
    """
    count = min(ENVIRONMENTS, episodes) if isinstance(expert, NetworkExpert) else 1
    environments = Environments(layout, count, seed)
    try:
        yield from _play(expert, layout, episodes, environments)
    finally:
        environments.close()


def _play(expert: Expert, layout: Layout, episodes: int, environments: Environments) -> Iterator[Episode]:
    count = environments.count
    numbers = np.arange(count)  # of the episode that each environment plays
    finished: dict[int, Episode] = {}  # before one with a lower number
    following = 0
    starts = unstack(layout.observation, environments.reset(), count)
    running = [Episode(int(seed), [start]) for start, seed in zip(starts, environments.seeds, strict=True)]
    while len(rows := np.flatnonzero(numbers < episodes)):
        actions = expert.act(
            _stack(layout.observation, [running[row].observations[-1] for row in rows]),
            environments.at(rows),
            np.array([not running[row].actions for row in rows]),
        )
        result = environments.step(actions, rows)
        happened = zip(
            rows,
            unstack(layout.action, actions, len(rows)),
            unstack(layout.observation, result.final_observation, len(rows)),
            unstack(layout.observation, result.observation, len(rows)),
            strict=True,
        )
        for place, (row, action, observation, following_observation) in enumerate(happened):
            episode = running[row]
            episode.observations.append(observation)
            episode.actions.append(action)
            episode.rewards.append(float(result.rewards[place]))
            if result.ended[place]:
                episode.terminated = bool(result.terminated[place])
                episode.truncated = bool(result.truncated[place])
                finished[int(numbers[row])] = episode
                numbers[row] += count
            if result.ended[place] or result.faulted[place]:  # a failed episode is forgotten and played again
                running[row] = Episode(int(environments.seeds[row]), [following_observation])
        while following in finished:
            yield finished.pop(following)
            following += 1


def _stack(description: Description, values: list[Any]) -> Any:
    """Nested values to one nested value, leaves stacked along their number."""
    return build(
        description, {name: np.stack([pick(value, name) for value in values]) for name, _ in leaves(description)}
    )
