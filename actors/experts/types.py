"""What an expert is: something with a name that turns observations into actions."""

from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np

from policy.errors import OcelotError

RANDOM, MEDIUM, EXPERT, MIXED = "random", "medium", "expert", "mixed"

QUALITIES = (RANDOM, MEDIUM, EXPERT, MIXED)
"""Qualities of demonstrations in D4RL's sense (arXiv 2004.07219): `random` draws actions uniformly, `medium` samples
from a policy whose training was stopped half way (of two tasks it is the expert with most actions drawn uniformly),
`expert` is the best player that the task has, and `mixed` is D4RL's medium-expert: every second episode is the
expert's, the others are medium."""


def played_by(quality: str) -> tuple[str, ...]:
    """Qualities of the players whose episodes demonstrations of this quality are, in their turn."""
    return (MEDIUM, EXPERT) if quality == MIXED else (quality,)


class ExpertError(OcelotError):
    """An expert that does not exist, cannot be loaded, or could not be trained."""


class Expert(Protocol):
    """A player of one task. Experts draw from a generator of their own, seeded when they are made.

    Some look into the environment for what its observations do not tell: a maze behind walls, a body's masses, a plan
    that only the simulator can try out. A learner sees the observations alone.
    """

    name: str
    """Kind and maker, as it stands in a dataset's metadata: `scripted/lqr`, `network/ppo`, `random`."""

    def act(self, observations: Any, environments: Sequence[gymnasium.Env], first: np.ndarray) -> Any:
        """Actions for n observations; both nested as the task's spaces are, leaves stacked along n.

        Args:
            observations: of n environments.
            environments: the n environments, each in the state that its observation shows; they are not stepped.
            first: bool [n]: the observation begins an episode.
        """
        ...
