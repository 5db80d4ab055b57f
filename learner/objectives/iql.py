"""Implicit Q-learning (arXiv 2110.06169): expectile V, Q against r + gamma V', advantage-weighted actor.

Values are categorical: the expectile loss weighs the cross-entropy of V against Q's expectation (equation 4), Q is
fitted to its one-step (or lambda) target (equation 6), and the actor is equation 7.
"""

from dataclasses import dataclass

import torch

from learner.advantage import weighted_cloning
from learner.losses import categorical, expectile_weights, lambda_returns
from learner.types import Loss, Objective, Update


@dataclass(frozen=True)
class Settings:
    tau: float = 0.7
    """Expectile of V."""
    temperature: float = 1.0
    """Of the weights exp(A / temperature), A in units of the task's running scale."""
    limit: float = 20.0
    """Weights are cut off here."""
    lambda_: float = 0.0
    """Of Q's targets; 0 is IQL's own one-step target."""
    value_weight: float = 0.5
    """Weight of the losses of V and Q beside 1 for the policy."""
    warmup: int = 0
    """Updates in which the critic learns alone."""
    normalise: bool = False
    """Divide the weights by their mean in the batch, per task: the policy's step size then is that of cloning."""


def loss(update: Update) -> Loss:
    settings, view, batch = update.settings, update.view, update.view.batch
    assert update.target is not None
    trained, bins = batch.loss, view.policy.bins
    count = trained.sum().clamp(min=1)
    q_target = update.target.q_values  # [B, N]
    advantages = q_target - view.values[:, :-1]
    policy, metrics = weighted_cloning(
        update, advantages, settings.temperature, settings.limit, settings.warmup, settings.normalise
    )
    value = categorical(
        view.value_logits[:, :-1][trained],
        q_target[trained],
        bins,
        expectile_weights(advantages[trained], settings.tau),
        count,
    )
    backup = lambda_returns(
        batch.rewards, update.target.values[:, 1:], batch.terminated, batch.length, update.discount, settings.lambda_
    )  # [B, N]
    q = categorical(view.q_logits[trained], backup[trained], bins, torch.ones_like(backup[trained]), count)
    metrics |= {"value": value.detach(), "q": q.detach(), "q_mean": q_target[trained].mean()}
    return policy + settings.value_weight * (value + q), metrics


OBJECTIVE = Objective("iql", Settings, loss, uses_target=True)
