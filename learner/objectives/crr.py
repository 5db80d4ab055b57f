"""Critic-regularised regression (arXiv 2006.15134): -f(A) log pi, f = 1[A > 0] or min(exp(A / temperature), limit).

A is of the whole action: Q at its last token, minus the expectation under the policy of Q of the first token, which
is E_a Q(s, a) without sampling whole actions (equation 4 with m without bound); or minus the mean over `samples` draws.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from learner.action_critic import critic
from learner.advantage import Weighting, divisors, weighted_cloning
from learner.targets import Backup, at_separators, ends
from learner.types import Loss, Objective, Update
from policy.values import symexp


@dataclass(frozen=True)
class Settings(Weighting, Backup):
    filter: Literal["exponential", "binary"] = "exponential"
    """f: exponential, or binary, which clones what is better than the policy and nothing else."""
    samples: int = 0
    """Draws of the policy's first token whose mean Q stands for V in A (the paper: 4); 0: the exact expectation."""
    value_weight: float = 0.5
    """Weight of Q's loss beside 1 for the policy."""


def loss(update: Update) -> Loss:
    settings = update.settings
    found = critic(update, "expected", settings)
    advantages = found.advantages
    if settings.samples:
        advantages = advantages + _baseline(update, found.values - sampled_values(update, settings.samples))
    binary = settings.filter == "binary"
    policy, metrics = weighted_cloning(update, advantages, divisors(update, advantages), binary)
    return policy + settings.value_weight * found.loss, metrics | found.metrics()


def sampled_values(update: Update, samples: int) -> torch.Tensor:
    """Mean Q of so many draws of the moving-average policy at each position of `View.choices`, [M + B]."""
    assert update.target is not None
    result = torch.zeros(len(update.view.batch.action_at) + len(update.view.batch.tasks), device=update.discount.device)
    for choice in update.target.choices:
        cumulative = choice.log_probs.double().exp().cumsum(dim=1)  # [m, V]
        # Of the CPU's generator, whose state a checkpoint holds, wherever the policy is.
        levels = torch.rand(len(cumulative), samples, dtype=torch.float64).to(cumulative.device) * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, levels, right=True).clamp(max=cumulative.shape[1] - 1)  # [m, samples]
        result[choice.index] = symexp(choice.q.gather(1, drawn)).mean(dim=1).to(result.dtype)
    return result


def _baseline(update: Update, values: torch.Tensor) -> torch.Tensor:
    """Values [M + B] at each step's first token, on the grid of steps [B, N]."""
    assert update.target is not None
    first, _ = ends(update.target)
    assert first.any()
    return at_separators(update.target, values)[:, :-1] * update.view.batch.loss


OBJECTIVE = Objective("crr", Settings, loss, uses_target=True)
