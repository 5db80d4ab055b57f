"""Embedding of image patches: a residual block over pixels, and where in its image each patch lies."""

import functools
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from policy import native, native_patches
from policy.images import INTERVALS, PATCH

STRIDE = 4  # of the first convolution: 16x16 pixels become 4x4 places
SIDE = PATCH // STRIDE
GROUPS = 32
MANY = 512  # patches: of fewer, a convolution as one product is not worth making its matrix


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

    def between(self, first: int, end: int) -> "Patches":
        """Those at [first, end), counted from `first`."""
        chosen = (self.at >= first) & (self.at < end)
        return Patches(self.pixels[chosen], self.at[chosen] - first, self.intervals[chosen])


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
        self.out = nn.Linear(channels * SIDE**2, width)
        self.row = nn.Embedding(INTERVALS, width)
        self.column = nn.Embedding(INTERVALS, width)
        for table in (self.row, self.column):
            nn.init.normal_(table.weight, std=0.02)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(self, pixels: torch.Tensor, intervals: torch.Tensor) -> torch.Tensor:
        """uint8 [K, 16, 16, 3] and int64 [K, 2, 2] to vectors [K, width]."""
        scaled = pixels.to(self.stem.weight.dtype).div_(127.5).sub_(1.0).div_(PATCH**0.5)
        if native_patches.available(self.stem.weight):
            vectors = self._by_place(scaled)
        else:
            x = self.stem(scaled.permute(0, 3, 1, 2))  # [K, channels, 4, 4]
            inner = self.first(functional.gelu(self.norm_first(x)))
            x = x + self.second(functional.gelu(self.norm_second(inner)))
            vectors = self.out(x.flatten(1))
        index = self.places(intervals)  # [K, 2]
        return vectors + self.row(index[:, 0]) + self.column(index[:, 1])

    def _by_place(self, scaled: torch.Tensor) -> torch.Tensor:
        """Vectors [K, width] of pixels [K, 16, 16, 3]; the channels of each place lie together."""
        corners = scaled.view(-1, SIDE, STRIDE, SIDE, STRIDE, 3).transpose(2, 3).reshape(-1, SIDE**2, 3 * STRIDE**2)
        stem = self.stem.weight.permute(0, 2, 3, 1).flatten(1)
        x = functional.linear(corners, stem, self.stem.bias)  # [K, 16, channels]
        inner = x
        for norm, convolution in ((self.norm_first, self.first), (self.norm_second, self.second)):
            inner = native_patches.norm_gelu(inner, norm.weight, norm.bias, GROUPS, norm.eps)
            inner = self._convolved(convolution, inner)
        out = self.out.weight.view(len(self.out.weight), -1, SIDE**2).transpose(1, 2).flatten(1)
        return functional.linear((x + inner).flatten(1), out, self.out.bias)

    def _convolved(self, convolution: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        """A convolution of 4x4 places, [K, 16, channels] to the same."""
        count, places, channels = x.shape
        if x.dtype != torch.bfloat16 or count < MANY or not matrix_units():
            square = x.view(count, SIDE, SIDE, channels).permute(0, 3, 1, 2)  # [K, channels, 4, 4], a view
            return convolution(square).permute(0, 2, 3, 1).reshape(x.shape)
        # One product from all places to all, 2.6 times the sums: what is nowhere near is multiplied by zero.
        weight = convolution.weight.to(x.dtype).permute(2, 3, 0, 1).reshape(-1, channels**2)  # [9, out * in]
        every = torch.cat([weight, torch.zeros_like(weight[:1])]).index_select(0, taps())
        square = every.view(places, places, channels, channels).transpose(1, 2).reshape(2 * [places * channels])
        bias = None if convolution.bias is None else convolution.bias.repeat(places)
        return functional.linear(x.flatten(1), square, bias).view(x.shape)

    def places(self, intervals: torch.Tensor) -> torch.Tensor:
        """Table rows for intervals [K, 2, 2]: in training a uniform draw from each, else its rounded mean. [K, 2]."""
        first, last = intervals.unbind(-1)  # each [K, 2]
        if not self.training:
            return (first + last + 1) // 2
        # On the CPU, whose generator a training state saves.
        share = torch.rand(first.shape).to(first.device)
        return torch.minimum(first + (share * (last - first + 1)).long(), last)


@functools.cache
def taps() -> torch.Tensor:
    """Which of a 3x3 convolution's 9 weights leads from place to place, 9 where none does: int64 [16 out * 16 in]."""
    row, column = torch.arange(SIDE**2) // SIDE, torch.arange(SIDE**2) % SIDE
    down, right = row[None] - row[:, None] + 1, column[None] - column[:, None] + 1  # [out, in]
    near = (down >= 0) & (down < 3) & (right >= 0) & (right < 3)
    return torch.where(near, 3 * down + right, 9).flatten()


@functools.cache
def matrix_units() -> bool:
    """Whether this processor multiplies matrices of bfloat16 as such (AMX), many times as fast as anything else."""
    return "amx_bf16" in native.processor()
