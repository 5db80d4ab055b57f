"""Advantage-weighted regression: -exp(A / temperature) log pi, A = G - V (AWR, arXiv 1910.00177, equations 8 and 9).

G is a lambda return of V itself (lambda 1: Monte-Carlo). MARWIL (arXiv 2018, NeurIPS) is the setting lambda_ 1 and a
`limit` so high that it never cuts; its c^2 is our running scale per task.
"""

from dataclasses import dataclass

import torch

from learner.advantage import weighted_cloning
from learner.losses import categorical, lambda_returns
from learner.types import Loss, Objective, Update


@dataclass(frozen=True)
class Settings:
    temperature: float = 1.0
    """Of the weights exp(A / temperature), A in units of the task's running scale."""
    limit: float = 20.0
    """Weights are cut off here."""
    lambda_: float = 0.95
    """Of the lambda returns."""
    value_weight: float = 0.5
    """Weight of the value loss beside 1 for the policy."""
    warmup: int = 0
    """Updates in which the critic learns alone."""
    normalise: bool = False
    """Divide the weights by their mean in the batch, per task: the policy's step size then is that of cloning."""


def loss(update: Update) -> Loss:
    settings, view, batch = update.settings, update.view, update.view.batch
    returns = lambda_returns(
        batch.rewards, view.values[:, 1:], batch.terminated, batch.length, update.discount, settings.lambda_
    )  # [B, N]
    advantages = returns - view.values[:, :-1]
    policy, metrics = weighted_cloning(
        update, advantages, settings.temperature, settings.limit, settings.warmup, settings.normalise
    )
    trained = batch.loss
    value = categorical(
        view.value_logits[:, :-1][trained],
        returns[trained],
        view.policy.bins,
        torch.ones_like(returns[trained]),
        trained.sum().clamp(min=1),
    )
    metrics |= {"value": value.detach(), "return_mean": returns[trained].mean()}
    return policy + settings.value_weight * value, metrics


OBJECTIVE = Objective("awr", Settings, loss)
