"""The critic over single action tokens that crr, cql and pac share.

Choosing an action of D tokens is seen as D decisions without reward or discount between them, so Q of a token stands
for the whole action that begins so (Q-Transformer, arXiv 2309.10150, section 4.1).
"""

from dataclasses import dataclass
from typing import Literal

import torch

from learner.losses import squared
from learner.statistics import Metrics, mean
from learner.targets import Backup, at_separators, ends, per_token, returns, state_values
from learner.types import Update
from policy.values import symexp, symlog


@dataclass(frozen=True)
class Critic:
    """What a batch says of Q, from the moving-average network, and the loss of the network that learns."""

    values: torch.Tensor
    """V of the state (and the tokens so far) at each of the M action tokens and after each tail: [M + B]."""
    taken: torch.Tensor
    """Q of the token that was taken, in returns, [M]."""
    advantages: torch.Tensor
    """Of whole actions: Q at the last token minus V at the first, [B, N]; 0 at padding and burn-in."""
    targets: torch.Tensor
    """Returns that Q is fitted to, [M]."""
    loss: torch.Tensor
    """0.5 (symlog target - q)^2, mean over the action tokens."""

    def metrics(self) -> Metrics:
        """What to log."""
        return {"q": self.loss.detach(), "q_mean": mean(self.taken)}


def critic(update: Update, how: Literal["expected", "best"], backup: Backup) -> Critic:
    """Evaluates the policy (`expected`) or the greedy one (`best`) by the moving-average network, and fits Q to it."""
    view, target = update.view, update.target
    assert target is not None
    values = state_values(target, how)
    grid = at_separators(target, values)  # [B, N + 1]
    taken = symexp(taken_q(target.choices, len(view.batch.action_at)).detach())
    _, last = ends(target)
    advantages = torch.zeros_like(grid[:, 1:])
    flat = view.batch.action_step[last]
    advantages.view(-1)[flat] = taken[last] - grid[:, :-1].reshape(-1)[flat]
    targets = per_token(target, values, returns(update, grid[:, 1:], backup))
    loss = squared(taken_q(view.choices, len(targets)), symlog(targets), update.count)
    return Critic(values, taken, advantages, targets, loss)


def taken_q(choices: list, count: int) -> torch.Tensor:
    """Q of the tokens that were taken, in symlog space, [M], from `View.choices`."""
    result = choices[0].q.new_zeros(count)
    for choice in choices:
        real = choice.index < count  # no token follows a tail
        picked = choice.q[real].gather(1, choice.taken[real].unsqueeze(1)).squeeze(1)
        result = result.index_copy(0, choice.index[real], picked)
    return result
