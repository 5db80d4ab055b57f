"""Embedding of the numbers that share a token."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from policy.continuous import BINS
from policy.vectors import ELEMENTS


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
