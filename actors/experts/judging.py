"""What all trainings of experts share: how far they are, what their present policy returns, and how they stop early."""

import math
from dataclasses import dataclass, field

from actors.experts.network import Network
from actors.experts.play import Episode, play
from actors.experts.players import NetworkExpert
from actors.experts.types import ExpertError
from policy.layout import Layout

STOPPING_EPISODES = 20
"""Of the present policy, whose mean return decides whether a training is at its goal."""


class Stopped(Exception):
    """A training that was asked to stop, after it saved its state."""


@dataclass
class Progress:
    """Where a training stands after an update."""

    env_steps: int
    max_env_steps: int
    mean_return: float
    """Of the last training episodes (NaN before the first has ended), or of the present policy where it decides."""
    metrics: dict[str, float] = field(default_factory=dict)
    """For TensorBoard: charts/, losses/ and, after an evaluation, eval/."""


def episodes_of(network: Network, layout: Layout, episodes: int, seed: int) -> list[Episode]:
    """Episodes that a network samples."""
    return list(play(NetworkExpert("network", network, layout, seed), layout, episodes, seed))


def returns_of(network: Network, layout: Layout, episodes: int, seed: int) -> list[float]:
    """Their returns."""
    return [episode.total for episode in episodes_of(network, layout, episodes, seed)]


def not_reached(layout: Layout, mean: float, until_return: float, env_steps: int) -> ExpertError:
    """The error of a training whose steps are over before its goal is reached."""
    shown = "unknown" if math.isinf(mean) else f"{mean:.1f}"
    return ExpertError(
        f"{layout.task}: mean return {shown} after {env_steps} environment steps, not yet {until_return:g}; allow more "
        "steps (max_env_steps) and give the command again: it resumes"
    )
