"""What travels between actors, the policy server and the learner."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Version(NamedTuple):
    """Which published weights: a learner that comes back from a checkpoint has a new incarnation."""

    incarnation: int
    update: int


NO_VERSION = Version(-1, -1)  # of expert data: no policy of ours acted


@dataclass
class ActRequest:
    """All environments of one actor (or of one of its halves) that wait for actions. One task a request."""

    actor: str
    """Name of the actor; with `slots` it names the server's state for each environment."""
    run_id: int
    """Drawn anew when an actor starts: a restarted actor's slots reset."""
    slots: np.ndarray
    """int32 [n]: the actor's own numbers of its environments."""
    reset: np.ndarray
    """bool [n]: the observation begins an episode."""
    tokens: np.ndarray
    """int32 [n, observation_tokens]: the observation; the server adds return token and separator."""
    legal: np.ndarray
    """int32 [action_tokens, 2]: half-open legal range of each action token."""
    temperature: float = 1.0
    """Of action sampling; 0 is greedy."""
    with_return: bool = False
    """Put a return token before the separator, sampled with expert bias (kappa below)."""
    return_kappa: float = 10.0
    """Strength of the expert bias on return logits: kappa * linspace(0, 1, bins) is added (arXiv 2205.15241)."""
    patches: np.ndarray | None = None
    """uint8 [n, P, 16, 16, 3]: the images that the observation's patch tokens stand for, in order; None: there are none
    (`Layout.encode_patches`)."""
    patch_intervals: np.ndarray | None = None
    """int32 [P, 2, 2]: where the patches lie in their images (`Layout.patch_intervals`); goes with `patches`."""
    prompt: np.ndarray | None = None
    """int32 [r, K, S]: K timesteps (observation, separator, action) of the same task that go in front of the episodes
    of the r rows that reset, in their order; None: no prompts. Not together with `with_return`."""
    prompt_patches: np.ndarray | None = None
    """uint8 [r, K, P, 16, 16, 3]: the prompts' images; goes with `prompt` where there are patches."""


@dataclass
class ActReply:
    """Actions for one request, row by row."""

    tokens: np.ndarray
    """int32 [n, action_tokens]."""
    log_probs: np.ndarray
    """float32 [n, action_tokens]: under the legal range, at the request's temperature (greedy: at temperature 1)."""
    versions: np.ndarray
    """int32 [n, 2]: which weights acted, incarnation and update; of those in the row's cache the oldest."""
    context_start: np.ndarray
    """int32 [n]: the step of the episode at which the context began that the action saw."""
    return_tokens: np.ndarray
    """int32 [n]: the return token acted on, or -1."""
