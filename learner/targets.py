"""What values are fitted to: n-step or lambda returns, over steps and over the tokens of one action."""

from dataclasses import dataclass
from typing import Literal

import torch

from learner.losses import lambda_returns, n_step_returns
from learner.types import Update
from learner.view import View
from policy.values import symexp


@dataclass(frozen=True)
class Backup:
    """Which returns a critic is fitted to."""

    lambda_: float = 0.0
    """Of lambda returns; 0 is the one-step target r + gamma V', 1 the Monte-Carlo return."""
    steps: int | None = None
    """Take n-step returns of so many steps instead of lambda returns."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.lambda_ <= 1.0:
            raise ValueError(f"lambda_ {self.lambda_} must lie in [0, 1]")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps {self.steps} must be at least 1, or null")


def returns(update: Update, next_values: torch.Tensor, backup: Backup) -> torch.Tensor:
    """Targets [B, N] from V of the state after each step, [B, N]; cut-off windows bootstrap, terminated ones do not."""
    batch = update.view.batch
    rewards = batch.rewards.to(next_values.dtype)
    arguments = (rewards, next_values, batch.terminated, batch.length, update.discount)
    if backup.steps is not None:
        return n_step_returns(*arguments, backup.steps)
    return lambda_returns(*arguments, backup.lambda_)


def state_values(view: View, how: Literal["expected", "best"]) -> torch.Tensor:
    """V at each position of `View.choices`: the policy's expectation of Q over the legal ids, or its best. [M + B]."""
    batch = view.batch
    result = view.hidden.new_zeros(
        len(batch.action_at) + len(batch.tasks), dtype=torch.promote_types(view.hidden.dtype, torch.float32)
    )
    for choice in view.choices:
        q = symexp(choice.q.detach())  # [m, V]
        value = q.amax(dim=1) if how == "best" else (choice.log_probs.detach().exp() * q).sum(dim=1)
        result[choice.index] = value.to(result.dtype)
    return result


def at_separators(view: View, values: torch.Tensor) -> torch.Tensor:
    """Values [M + B] of `View.choices` at the first token of each step's action: [B, N + 1], zero at burn-in."""
    batch = view.batch
    steps = batch.rewards.shape[1]
    first, _ = ends(view)
    result = values.new_zeros(len(batch.tasks), steps + 1)
    at = batch.action_step[first]
    result[at // steps, at % steps] = values[: len(first)][first]
    result[torch.arange(len(result), device=values.device), batch.length] = values[len(first) :]
    return result


def ends(view: View) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of the M action tokens are the first, and which the last of their action: bool [M] each."""
    step = view.batch.action_step
    changes = step[1:] != step[:-1]
    edge = torch.ones(1, dtype=torch.bool, device=step.device)
    return torch.cat([edge, changes]), torch.cat([changes, edge])


def per_token(view: View, values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The Bellman backup of one action token after the other (Q-Transformer, arXiv 2309.10150, equation 2). [M].

    An action's last token is fitted to the return of its step; each earlier one to V after it, that is, at the next
    token's position, without reward or discount.

    Args:
        values: [M + B], as `state_values`.
        targets: [B, N], as `returns`.
    """
    _, last = ends(view)
    return torch.where(last, targets.reshape(-1)[view.batch.action_step], values[: len(last)].roll(-1))
