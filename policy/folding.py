"""Timesteps as rows of their own: where no token sees beyond its timestep, attention need not run over windows."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Fold:
    """K tokens, padding left out, sorted so that timesteps of one size stand side by side."""

    index: torch.Tensor
    """int64 [K]: flat places of the tokens in [B * T]."""
    place: torch.Tensor
    """int64 [K]: of each token in its window."""
    parts: list[tuple[int, int]]
    """(timesteps, tokens in each), one after the other."""


def fold(timestep: torch.Tensor) -> Fold:
    """Where the tokens of a batch go.

    Args:
        timestep: int64 [B, T]: step within the window, neighbours differing where a step ends; -1 is padding.
    """
    rows, width = timestep.shape
    flat = timestep.reshape(-1)
    begins = torch.ones_like(timestep, dtype=torch.bool)
    begins[:, 1:] = timestep[:, 1:] != timestep[:, :-1]
    starts = torch.nonzero(begins.reshape(-1)).squeeze(1)  # [timesteps and paddings]
    ends = torch.cat([starts[1:], starts.new_tensor([rows * width])])
    real = flat[starts] >= 0
    starts, sizes = starts[real], (ends - starts)[real]
    index, parts = [], []
    for size in torch.unique(sizes).tolist():
        first = starts[sizes == size]
        index.append((first.unsqueeze(1) + torch.arange(size, device=timestep.device)).reshape(-1))
        parts.append((len(first), size))
    every = torch.cat(index)
    return Fold(every, every % width, parts)
