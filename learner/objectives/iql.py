"""Implicit Q-learning (arXiv 2110.06169): expectile V, Q against r + gamma V', advantage-weighted actor.

Values are categorical: the expectile loss weighs the cross-entropy of V against Q's expectation (equation 5), Q is
fitted to its one-step (or n-step, or lambda) target (equation 6), and the actor is equation 7.
"""

from dataclasses import dataclass

from learner.advantage import Weighting, divisors, weighted_cloning
from learner.losses import categorical, expectile_weights, outside
from learner.statistics import mean
from learner.targets import Backup, returns
from learner.types import Loss, Objective, Update


@dataclass(frozen=True)
class Settings(Weighting, Backup):
    tau: float = 0.7
    """Expectile of V."""
    value_weight: float = 0.5
    """Weight of the losses of V and Q beside 1 for the policy."""


def loss(update: Update) -> Loss:
    settings, view, batch = update.settings, update.view, update.view.batch
    assert update.target is not None
    trained, bins = batch.loss, view.policy.bins
    q_target = update.target.q_values  # [B, N]
    advantages = q_target - view.values[:, :-1]
    policy, metrics = weighted_cloning(update, advantages, divisors(update, advantages))
    weights = expectile_weights(advantages[trained], settings.tau)
    value = categorical(view.value_logits[:, :-1][trained], q_target[trained], bins, weights, update.steps)
    targets = returns(update, update.target.values[:, 1:], settings)  # [B, N]
    q = categorical(view.q_logits[trained], targets[trained], bins, targets.new_ones(()), update.steps)
    metrics |= {"value": value.detach(), "q": q.detach(), "q_mean": mean(q_target[trained])}
    metrics |= {"clipped_targets": outside(targets, trained, bins)}
    return policy + settings.value_weight * (value + q), metrics


OBJECTIVE = Objective("iql", Settings, loss, uses_target=True)
