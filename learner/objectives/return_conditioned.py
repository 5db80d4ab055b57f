"""Return-conditioned cloning: a token of the return achieved stands after each observation, and is predicted too.

(Decision Transformer, arXiv 2106.01345; Multi-Game DT, arXiv 2205.15241, section 3.) The observation comes first, so
the return is predicted from the state. Value losses never read these sequences: the token would tell V and Q the
answer.
"""

from dataclasses import dataclass

import numpy as np
import torch

from learner.losses import cloning
from learner.types import Loss, Objective, Update
from replay.trajectory import Trajectory


@dataclass(frozen=True)
class Settings:
    return_weight: float = 0.1
    """Weight of predicting the return token, beside 1 for the action."""


def candidates(settings: Settings, table: str) -> float:
    return 1.0 if table == "expert" else 1.5  # some windows belong to episodes whose return is not known yet


def select(windows: list[Trajectory], count: int, settings: Settings) -> list[Trajectory]:
    """Windows whose return is known."""
    return [window for window in windows if np.isfinite(window.returns_to_go).all()][:count]


def loss(update: Update) -> Loss:
    log_probs = update.view.action_log_probs
    policy = cloning(log_probs, torch.ones_like(log_probs), update.count)
    returns = update.view.return_log_probs
    predicted = cloning(returns, torch.ones_like(returns), update.returns)
    total = policy + update.settings.return_weight * predicted
    return total, {"policy": policy.detach(), "return": predicted.detach()}


OBJECTIVE = Objective("return_conditioned", Settings, loss, with_return=True, candidates=candidates, select=select)
