"""The numbers of an observation as one token: where they stand, and how they are embedded.

Gato gives each number a token of its own. Here numbers that follow each other share one, as in Jack of All Trades
(arXiv 2402.09844, section 3.2): a timestep of `control/cartpole-swingup` then takes 3 places of the context, not 7, one
of `metaworld/reach-v3` 6, not 44. Records still hold each number, as an id of its own range, so what they mean does not
depend on it.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from policy.continuous import BINS
from policy.vocabulary import DEFAULT

ELEMENTS = 512  # numbers in one vector, at most
VECTOR = DEFAULT.elements.start
"""What stands where a vector's embedding goes, once its numbers were taken out."""


class Vectors(NamedTuple):
    """The vectors of a batch of token rows, K in all, E numbers in the longest; `at` is in ascending order."""

    bins: torch.Tensor
    """int64 [K, E]: each number's bin, -1 past the vector's end."""
    at: torch.Tensor
    """int64 [K]: flat index into [B * T] of the token that each stands for."""

    def to(self, device: torch.device | str) -> "Vectors":
        """The same on another device."""
        return Vectors(*(part.to(device, non_blocking=True) for part in self))

    def between(self, first: int, end: int) -> "Vectors":
        """Those at [first, end), counted from `first`."""
        chosen = (self.at >= first) & (self.at < end)
        return Vectors(self.bins[chosen], self.at[chosen] - first)


def places(tokens: np.ndarray) -> int:
    """How many places of a context these tokens [S] of one timestep take."""
    element = _elements(tokens)
    return len(tokens) - int((element[:-1] & element[1:]).sum())


def merge(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Takes the numbers out of the tokens of n like timesteps, or of parts of them.

    Args:
        tokens: integers [n, S].

    Returns:
        tokens [n, P], VECTOR in the place of each run of numbers; and the runs' bins, int16 [n, V, E], -1 past the end
        of those that are shorter. V is 0 where there are no numbers.
    """
    element = _elements(tokens[:1]).any(axis=0)  # all rows are like the first
    if not element.any():
        return tokens, np.zeros((len(tokens), 0, 0), dtype=np.int16)
    edges = np.flatnonzero(np.diff(element, prepend=False, append=False))
    starts, stops = edges[::2], edges[1::2]
    kept = ~element
    kept[starts] = True
    bins = np.full((len(tokens), len(starts), int((stops - starts).max())), -1, dtype=np.int16)
    for run, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        bins[:, run, : stop - start] = tokens[:, start:stop] - DEFAULT.elements.start
    merged = tokens[:, kept]
    merged[:, element[kept]] = VECTOR
    return merged, bins


def _elements(tokens: np.ndarray) -> np.ndarray:
    """Which of these tokens are a vector's numbers: bool, same shape."""
    return (tokens >= DEFAULT.elements.start) & (tokens < DEFAULT.elements.stop)


class VectorEmbedding(nn.Module):
    """Vectors of numbers to vectors of the policy's width, all in one call.

    Each number's features (`policy.embedding.value_features`) go through a matrix of its place in the vector. The
    sum, with what tells how many numbers there are, goes through one feed-forward part with a residual connection.
    """

    def __init__(self, width: int, hidden: int, features: torch.Tensor):
        super().__init__()
        self.first = nn.Embedding(ELEMENTS, features.shape[1] * width)
        self.count = nn.Embedding(ELEMENTS, width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        for part in (self.first, self.count, self.up, self.down):
            nn.init.normal_(part.weight, std=0.02)
        for layer in (self.up, self.down):
            nn.init.zeros_(layer.bias)
        # A row of zeros for what is no number. float32 [bins + 1, features]
        self.features: torch.Tensor
        self.register_buffer("features", torch.cat([features, torch.zeros_like(features[:1])]), persistent=False)

    def forward(self, bins: torch.Tensor) -> torch.Tensor:
        """int64 [K, E] to [K, width]."""
        longest = bins.shape[1]
        real = bins >= 0
        features = functional.embedding(torch.where(real, bins, BINS), self.features)  # [K, E, features]
        first = self.first.weight[:longest].view(longest * self.features.shape[1], -1)  # [E * features, width]
        x = features.flatten(1) @ first + self.count(real.sum(1) - 1)
        return x + self.down(functional.gelu(self.up(self.norm(x))))
