"""Conservative Q-learning over action tokens (arXiv 2006.04779; per-token backups of Q-Transformer, arXiv 2309.10150).

Q of each token is fitted to the maximum over the next one's legal ids, at an action's last token to r + gamma max Q';
alpha (logsumexp Q - Q(a)) keeps what the data does not hold low, or, calibrated, no lower than the return that the data
achieved (Cal-QL, arXiv 2303.05479). What acts is the policy, so it is taught the Boltzmann policy of Q.
"""

from dataclasses import dataclass

import torch

from learner.action_critic import critic
from learner.advantage import divisors
from learner.losses import conservative, cross_entropy_to, improved
from learner.targets import Backup, at_separators, returns
from learner.types import Loss, Objective, Update
from policy.values import symexp, symlog


@dataclass(frozen=True)
class Settings(Backup):
    alpha: float = 0.05
    """Weight of the conservative term; Q in symlog space, where actions differ by little."""
    calibrated: bool = False
    """Cal-QL: do not push Q below the Monte-Carlo return of the step."""
    temperature: float = 1.0
    """Of the Boltzmann policy that the actor learns, in units of the task's running scale of advantages."""
    value_weight: float = 0.5
    """Weight of Q's losses beside 1 for the policy."""
    warmup: int = 0
    """Updates in which the critic learns alone."""


MONTE_CARLO = Backup(lambda_=1.0)


def loss(update: Update) -> Loss:
    settings, view, target, batch = update.settings, update.view, update.target, update.view.batch
    assert target is not None
    found = critic(update, "best", settings)
    # Monte-Carlo returns, bootstrapped where a window is cut before its episode ends.
    achieved = returns(update, at_separators(target, found.values)[:, 1:], MONTE_CARLO)  # [B, N]
    floor = symlog(achieved.reshape(-1)[batch.action_step]) if settings.calibrated else None  # [M]
    penalty = found.loss.new_zeros(())
    actor = found.loss.new_zeros(())
    steps = batch.rewards.shape[1]
    scale = divisors(update, found.advantages)[batch.action_step // steps]  # [M]
    for choice, slow in zip(view.choices, target.choices, strict=True):
        real = choice.index < len(batch.action_at)
        at = choice.index[real]
        lowest = None if floor is None else floor[at]
        penalty = penalty + conservative(choice.q[real], choice.taken[real], lowest, update.count)
        q = symexp(slow.q[real])
        wanted = improved(torch.zeros_like(q), q, settings.temperature * scale[at])  # [m, V]
        actor = actor + cross_entropy_to(wanted, choice.log_probs[real]).sum() / update.count
    metrics = found.metrics() | {"conservative": penalty.detach(), "policy": actor.detach()}
    policy = actor if update.number >= settings.warmup else actor.new_zeros(())
    return policy + settings.value_weight * (found.loss + settings.alpha * penalty), metrics


OBJECTIVE = Objective("cql", Settings, loss, uses_target=True)
