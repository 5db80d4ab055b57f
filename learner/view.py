"""One forward pass over a batch, and the heads that objectives read from it, each computed once, where asked."""

from dataclasses import dataclass
from functools import cached_property

import torch

from learner.parts import hidden
from learner.statistics import Statistic, by_task, mean
from policy.model import Policy, legal_groups
from policy.values import expectation
from policy.vocabulary import DEFAULT
from replay.batch import Batch


@dataclass(frozen=True)
class Choice:
    """Positions at which the same V ids are legal, m of them."""

    index: torch.Tensor
    """int64 [m]: which action token is predicted there, in [0, M); M + b: the one that follows the tail of row b."""
    q: torch.Tensor
    """Q of each id, in symlog space, [m, V]."""
    log_probs: torch.Tensor
    """Of each id under the policy, [m, V]."""
    taken: torch.Tensor
    """int64 [m]: place of the token that was taken among the ids; 0 after a tail, where none was."""


class View:
    """What one network says about one batch.

    Args:
        policy: the network.
        batch: B windows of at most N steps and T tokens.
        parts: that the batch goes through the network in, as `learner.parts.hidden`.
    """

    def __init__(self, policy: Policy, batch: Batch, parts: int = 1):
        self.policy = policy
        self.batch = batch
        self.hidden = hidden(policy, batch, read(batch), parts).flatten(0, 1)  # [B * T, width]
        self.width = batch.tokens.shape[1]

    @cached_property
    def action_log_probs(self) -> torch.Tensor:
        """Of every action token that has a loss, [M]."""
        batch = self.batch
        return self.policy.log_probs(self.hidden[batch.action_at], batch.action_token, batch.action_range)

    def cross_entropies(self) -> dict[str, Statistic]:
        """Mean -log pi of each task's action tokens that have a loss, in nats."""
        return by_task(mean, -self.action_log_probs, self.batch.action_at // self.width, self.batch.tasks)

    @cached_property
    def entropy(self) -> torch.Tensor:
        """Of the policy over the legal ids, in nats: its mean over the M action tokens."""
        batch = self.batch
        hidden = self.hidden[batch.action_at]
        total = hidden.new_zeros(())
        for start, stop, index in legal_groups(batch.action_range):
            log_probs = torch.log_softmax(self.policy.logits(hidden[index], start, stop), dim=1)
            total = total - (log_probs.exp() * log_probs).sum()
        return total / max(1, len(batch.action_at))

    @cached_property
    def choices(self) -> list[Choice]:
        """All legal ids where each of the M action tokens is predicted, and after each row's tail."""
        batch = self.batch
        count, rows = len(batch.action_at), torch.arange(len(batch.tasks), device=self.hidden.device)
        row_of = batch.action_at // self.width  # [M], ascending
        of_row = batch.action_range[torch.searchsorted(row_of, rows)]  # [B, 2]: an action's first token
        tail = rows * self.width + batch.separator.gather(1, batch.length.unsqueeze(1)).squeeze(1)  # [B]
        at = torch.cat([batch.action_at, tail])  # [M + B]
        taken = torch.cat([batch.action_token - batch.action_range[:, 0], torch.zeros_like(rows)])
        result = []
        for start, stop, index in legal_groups(torch.cat([batch.action_range, of_row])):
            hidden = self.hidden[at[index]]
            log_probs = torch.log_softmax(self.policy.logits(hidden, start, stop), dim=1)
            q = self.policy.action_values(hidden, start, stop)
            result.append(Choice(index, q, log_probs, taken[index]))
        assert sum(len(choice.index) for choice in result) == count + len(rows)
        return result

    @cached_property
    def return_log_probs(self) -> torch.Tensor:
        """Of every return token that has a loss, [R]."""
        logits = self.policy.return_logits(self.hidden[self.batch.return_at])
        target = self.batch.return_token - DEFAULT.returns.start
        return -torch.nn.functional.cross_entropy(logits, target, reduction="none")

    @cached_property
    def value_logits(self) -> torch.Tensor:
        """V at each separator, the tail's included: state seen, action not yet. [B, N + 1, bins]."""
        return self.policy.value(self._at(self.batch.separator))

    @cached_property
    def values(self) -> torch.Tensor:
        """Expected V in returns, [B, N + 1], detached: it is used in targets and weights only."""
        return expectation(self.value_logits.detach(), self.policy.bins)

    @cached_property
    def q_logits(self) -> torch.Tensor:
        """Q at each step's last action token: state and action seen. [B, N, bins]."""
        return self.policy.q(self._at(self.batch.last_action))

    @cached_property
    def q_values(self) -> torch.Tensor:
        """Expected Q in returns, [B, N], detached."""
        return expectation(self.q_logits.detach(), self.policy.bins)

    def _at(self, columns: torch.Tensor) -> torch.Tensor:
        """Hidden states at columns [B, X] of their rows: [B, X, width]."""
        rows = torch.arange(len(columns), device=columns.device).unsqueeze(1) * self.width
        return self.hidden[rows + columns]


def read(batch: Batch) -> torch.Tensor:
    """Flat places in [B * T] at which a head may be read: all but those inside an observation. int64 [W]."""
    width = batch.tokens.shape[1]
    rows = torch.arange(len(batch.tokens), device=batch.tokens.device).unsqueeze(1) * width
    places = [
        batch.action_at,
        batch.return_at,
        (rows + batch.separator).reshape(-1),
        (rows + batch.last_action).reshape(-1),
    ]
    return torch.unique(torch.cat(places))  # columns past a row's length are 0, which is a token too
