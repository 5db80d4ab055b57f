"""Advantage-weighted regression: -exp(A / temperature) log pi, A = G - V (AWR, arXiv 1910.00177, equations 8 and 9).

G is a lambda return of V itself (lambda 1: Monte-Carlo). MARWIL (NeurIPS 2018, algorithm 1, as RLlib computes it) is a
setting: lambda_ 1, limit null, value_loss squared, value_weight 1, scale_start 100 and scale_rate 1e-8.
"""

from dataclasses import dataclass
from typing import Literal

from learner.advantage import Weighting, divisors, weighted_cloning
from learner.losses import categorical, outside, squared
from learner.scale import RATE
from learner.statistics import mean
from learner.targets import Backup, returns
from learner.types import Loss, Objective, Update
from policy.values import expectation


@dataclass(frozen=True)
class Settings(Weighting, Backup):
    lambda_: float = 0.95
    """Of lambda returns; 0 is the one-step target r + gamma V', 1 the Monte-Carlo return."""
    value_weight: float = 0.5
    """Weight of the value loss beside 1 for the policy."""
    value_loss: Literal["categorical", "squared"] = "categorical"
    """categorical: cross-entropy against a histogram of the return; squared: 0.5 A^2 in returns (MARWIL)."""
    scale_rate: float = RATE
    """Of the moving average of A^2 by which advantages are divided (RLlib's MARWIL: 1e-8)."""
    scale_start: float | None = None
    """That average before the first update (RLlib's MARWIL: 100); null: what was seen so far, without bias."""


def loss(update: Update) -> Loss:
    settings, view, batch = update.settings, update.view, update.view.batch
    targets = returns(update, view.values[:, 1:], settings)  # [B, N]
    advantages = targets - view.values[:, :-1]
    scale = divisors(update, advantages, settings.scale_rate, settings.scale_start)
    policy, metrics = weighted_cloning(update, advantages, scale)
    trained, bins = batch.loss, view.policy.bins
    logits, wanted = view.value_logits[:, :-1][trained], targets[trained]
    if settings.value_loss == "squared":
        value = squared(expectation(logits, bins), wanted, update.steps)
    else:
        value = categorical(logits, wanted, bins, wanted.new_ones(()), update.steps)
    clipped = outside(targets, trained, bins)
    metrics |= {"value": value.detach(), "return_mean": mean(wanted), "clipped_targets": clipped}
    return policy + settings.value_weight * value, metrics


OBJECTIVE = Objective("awr", Settings, loss)
