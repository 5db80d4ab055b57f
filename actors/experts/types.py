"""What an expert is: something with a name that turns observations into actions."""

from typing import Any, Protocol

from policy.errors import OcelotError

RANDOM, MEDIUM, EXPERT, MIXED = "random", "medium", "expert", "mixed"

QUALITIES = (RANDOM, MEDIUM, EXPERT, MIXED)
"""Qualities of demonstrations in D4RL's sense (arXiv 2004.07219): `random` draws actions uniformly, `medium` samples
from a policy whose training was stopped half way, `expert` is the best player that the task has, and `mixed` is D4RL's
medium-expert: every second episode is the expert's, the others are medium."""


class ExpertError(OcelotError):
    """An expert that does not exist, cannot be loaded, or could not be trained."""


class Expert(Protocol):
    """A player of one task. Experts draw from a generator of their own, seeded when they are made."""

    name: str
    """Kind and maker, as it stands in a dataset's metadata: `scripted/lqr`, `network/ppo`, `random`."""

    def act(self, observations: Any) -> Any:
        """Actions for n observations; both nested as the task's spaces are, leaves stacked along n."""
        ...
