"""Embedding of image patches: a residual block over pixels, and where in its image each patch lies."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from policy.images import INTERVALS, PATCH

STRIDE = 4  # of the first convolution: 16x16 pixels become 4x4 places
GROUPS = 32


class Patches(NamedTuple):
    """The image patches of a batch of token rows, K in all; `at` is in ascending order."""

    pixels: torch.Tensor
    """uint8 [K, 16, 16, 3]."""
    at: torch.Tensor
    """int64 [K]: flat index into [B * T] of the patch token that each stands for."""
    intervals: torch.Tensor
    """int64 [K, 2, 2]: (row, column) by (first, last), as `policy.images.ImageShape.intervals`."""

    def to(self, device: torch.device | str) -> "Patches":
        """The same on another device."""
        return Patches(*(part.to(device, non_blocking=True) for part in self))


class PatchEmbedding(nn.Module):
    """Patches to vectors, all in one call.

    Pixels go to [-1, 1] and are divided by sqrt(16) = 4 (Gato, arXiv 2205.06175, section 2.1). A convolution makes them
    4x4 places of `channels`; then a residual block, pre-activation (arXiv 1603.05027), with group normalisation of 32
    groups and GELU as in Gato; then one linear map. Row and column tables of 128 entries are added.
    """

    def __init__(self, width: int, channels: int):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, STRIDE, STRIDE)
        self.norm_first = nn.GroupNorm(GROUPS, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm_second = nn.GroupNorm(GROUPS, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.out = nn.Linear(channels * (PATCH // STRIDE) ** 2, width)
        self.row = nn.Embedding(INTERVALS, width)
        self.column = nn.Embedding(INTERVALS, width)
        for table in (self.row, self.column):
            nn.init.normal_(table.weight, std=0.02)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(self, pixels: torch.Tensor, intervals: torch.Tensor) -> torch.Tensor:
        """uint8 [K, 16, 16, 3] and int64 [K, 2, 2] to vectors [K, width]."""
        scaled = (pixels.to(self.stem.weight.dtype) / 127.5 - 1.0) / PATCH**0.5
        x = self.stem(scaled.permute(0, 3, 1, 2))  # [K, channels, 4, 4]
        inner = self.first(functional.gelu(self.norm_first(x)))
        x = x + self.second(functional.gelu(self.norm_second(inner)))
        index = self.places(intervals)  # [K, 2]
        return self.out(x.flatten(1)) + self.row(index[:, 0]) + self.column(index[:, 1])

    def places(self, intervals: torch.Tensor) -> torch.Tensor:
        """Table rows for intervals [K, 2, 2]: in training a uniform draw from each, else its rounded mean. [K, 2]."""
        first, last = intervals.unbind(-1)  # each [K, 2]
        if not self.training:
            return (first + last + 1) // 2
        # On the CPU, whose generator a training state saves.
        share = torch.rand(first.shape).to(first.device)
        return torch.minimum(first + (share * (last - first + 1)).long(), last)
