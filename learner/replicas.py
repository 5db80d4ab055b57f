"""The same network in several workers: gradients are averaged over them while they are computed (DDP)."""

from collections.abc import Callable
from typing import Any

from torch import nn

from learner.workers import Workers
from policy.model import Policy

Part = Callable[..., tuple[Any, ...]]
"""Computes a worker's part of the loss, and what else there is to tell of it."""


def replicas(policy: Policy, part: Part, workers: Workers) -> Part:
    """The same function, with gradients that are those of all workers, averaged.

    Args:
        policy: every worker's weights become those of the first.
        part: depends on a parameter of the policy in every worker, by whatever methods of it.
        workers: who trains together.
    """
    if workers.size == 1:
        return part
    # A parameter that only some workers use has their gradient; one that nobody uses has none.
    whole = _Whole(policy, part)
    return nn.parallel.DistributedDataParallel(whole, broadcast_buffers=False, find_unused_parameters=True)


class _Whole(nn.Module):
    """All of it as one forward pass, for heads are read outside of the policy's own."""

    def __init__(self, policy: Policy, part: Part):
        super().__init__()
        self.policy = policy
        self._part = part

    def forward(self, *arguments: Any) -> Any:
        return self._part(*arguments)
