"""One forward pass over a batch, and the heads that objectives read from it, each computed once, where asked."""

from functools import cached_property

import torch

from policy.model import Policy
from policy.values import expectation
from policy.vocabulary import DEFAULT
from replay.batch import Batch


class View:
    """What one network says about one batch.

    Args:
        policy: the network.
        batch: B windows of at most N steps and T tokens.
    """

    def __init__(self, policy: Policy, batch: Batch):
        self.policy = policy
        self.batch = batch
        hidden = policy(batch.tokens, batch.position, batch.timestep)  # [B, T, width]
        self.hidden = hidden.reshape(-1, hidden.shape[-1])  # [B * T, width]
        self.width = batch.tokens.shape[1]

    @cached_property
    def action_log_probs(self) -> torch.Tensor:
        """Of every action token that has a loss, [M]."""
        batch = self.batch
        return self.policy.log_probs(self.hidden[batch.action_at], batch.action_token, batch.action_range)

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
