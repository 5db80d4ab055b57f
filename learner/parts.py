"""A batch through the network in parts, so that activations take a part's memory: gradient accumulation.

Only hidden states are kept of a part; the rest is computed again when its gradient is due. Losses and heads read the
hidden states of the whole batch, so whatever they add up, count or normalise is that of the whole batch.
"""

import torch
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from policy.model import Policy
from policy.patches import Patches
from policy.vector_embedding import Vectors
from replay.batch import Batch


def hidden(policy: Policy, batch: Batch, wanted: torch.Tensor, parts: int) -> torch.Tensor:
    """Hidden states of a batch.

    Args:
        policy: the network.
        batch: B windows of at most T tokens.
        wanted: int64 [W]: flat places in [B * T] whose hidden states are wanted, ascending.
        parts: that the windows are cut into, as evenly as they can be; fewer where there are fewer windows.

    Returns:
        [B, T, width]; zero where it is not wanted.
    """
    rows = len(batch.tokens)
    if min(parts, rows) == 1:
        return policy(batch.tokens, batch.position, batch.timestep, batch.patches, batch.prompt, wanted, batch.vectors)
    found = []
    for own in torch.arange(rows).tensor_split(min(parts, rows)):
        arguments = _rows(batch, wanted, int(own[0]), int(own[-1]) + 1)
        if torch.is_grad_enabled():
            # To its end, so that a sharded network lets go of what it has gathered.
            with set_checkpoint_early_stop(False):
                found.append(checkpoint(policy, *arguments, use_reentrant=False))
        else:
            found.append(policy(*arguments))
    return torch.cat(found)


def _rows(
    batch: Batch, wanted: torch.Tensor, start: int, stop: int
) -> tuple[torch.Tensor | Patches | Vectors | None, ...]:
    """What `Policy.forward` takes of the rows [start, stop)."""
    width = batch.tokens.shape[1]
    first, end = start * width, stop * width
    rows = slice(start, stop)
    return (
        batch.tokens[rows],
        batch.position[rows],
        batch.timestep[rows],
        batch.patches.between(first, end),
        None if batch.prompt is None else batch.prompt[rows],
        wanted[(wanted >= first) & (wanted < end)] - first,
        batch.vectors.between(first, end),
    )
