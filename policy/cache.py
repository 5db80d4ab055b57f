"""Keys and values of every slot's context, and attention over them."""

from dataclasses import dataclass

import numpy as np
import torch

from policy.config import PolicyConfig

SPAN = 32  # columns come in multiples of this: few shapes, aligned
RUNS = 4  # so many runs of neighbouring slots are attended to one after the other; more are copied together


class Cache:
    """Keys and values as one buffer each, made once, which are laid out anew as the longest context grows.

    Kernels for CPUs copy whatever does not lie together before they multiply it, so there the layout has just the
    columns that the longest context needs, and whole slots are read without a copy. On other devices it has them all.
    The last column is a scratch column: padding writes there, nothing reads it.

    Keys lie transposed: on CPUs, bfloat16 products with a transposed operand take three times as long.

    Args:
        config: the policy's sizes.
        slots: how many.
        dtype, device: of keys and values.
    """

    def __init__(self, config: PolicyConfig, slots: int, dtype: torch.dtype, device: torch.device | str = "cpu"):
        self._size = (config.layers, slots, config.heads, config.width // config.heads)
        self._most = padded_columns(config.context)
        # Zeros: attention multiplies what it masks by 0, so a NaN there would spread.
        elements = config.layers * slots * config.width * self._most
        self._buffers = [torch.zeros(elements, dtype=dtype, device=device) for _ in range(2)]
        self.keys: torch.Tensor
        """[layers, slots, heads, key, columns]."""
        self.values: torch.Tensor
        """[layers, slots, heads, columns, key]."""
        self._lay_out(SPAN if self._buffers[0].device.type == "cpu" else self._most)

    @property
    def columns(self) -> int:
        """Of the present layout."""
        return self.keys.shape[-1]

    @property
    def scratch(self) -> int:
        """The column where padding goes."""
        return self.columns - 1

    def fit(self, longest: int, cached: np.ndarray) -> None:
        """Lays out columns for contexts of at most `longest` tokens, of all slots; what is cached stays.

        Args:
            cached: int [slots]: tokens in the cache of each. Slots after the last that has any are not moved: a server
                often has many more of them than actors.
        """
        columns = padded_columns(longest)
        if self._buffers[0].device.type != "cpu" or self.columns // 2 < columns <= self.columns:
            return
        kept = min(columns, self.columns)
        used = slice(0, int(np.flatnonzero(cached).max(initial=-1)) + 1)
        keys, values = self.keys[:, used, ..., :kept].clone(), self.values[:, used, :, :kept].clone()
        self._lay_out(columns)
        self.keys[:, used, ..., :kept], self.values[:, used, :, :kept] = keys, values

    def _lay_out(self, columns: int) -> None:
        layers, slots, heads, key = self._size
        keys, values = (buffer[: layers * slots * heads * key * columns] for buffer in self._buffers)
        self.keys = keys.view(layers, slots, heads, key, columns)
        self.values = values.view(layers, slots, heads, columns, key)


def padded_columns(longest: int) -> int:
    """Columns for contexts of at most `longest` tokens and the scratch column."""
    return -(-(longest + 1) // SPAN) * SPAN


@dataclass
class CacheView:
    """Which part of a cache a forward pass reads and writes: B rows of new tokens, T each."""

    cache: Cache
    slots: torch.Tensor
    """int64 [B]."""
    runs: list[tuple[int, int]] | None
    """(first slot, number of slots) of neighbours in ascending order, which together are all rows; None: too many."""
    columns: torch.Tensor
    """int64 [B, T]: where each new token's key and value go (its place in the context; the scratch column: padding)."""
    span: int
    """Columns [0, span) are read; a multiple of SPAN."""

    def write(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keys and values of the new tokens, each [B, T, heads, key]."""
        row = self.slots.unsqueeze(1)
        self.cache.keys[layer][row, :, :, self.columns] = keys
        self.cache.values[layer][row, :, self.columns] = values

    def attend(self, layer: int, queries: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Attention of queries [B, heads, T, key] to the slots' columns under an additive mask [B, 1, T, span].

        Written out, because PyTorch's fused kernels take two to four times as long on CPUs for a few queries a row.
        """
        keys, values = self.cache.keys[layer, ..., : self.span], self.cache.values[layer, :, :, : self.span]
        queries = queries * queries.shape[-1] ** -0.5
        if self.runs is None:
            return _attend(queries, keys.index_select(0, self.slots), values.index_select(0, self.slots), mask)
        if len(self.runs) == 1:
            slots = slice(self.runs[0][0], sum(self.runs[0]))
            return _attend(queries, keys[slots], values[slots], mask)
        parts, row = [], 0
        for first, count in self.runs:
            rows, slots = slice(row, row + count), slice(first, first + count)
            parts.append(_attend(queries[rows], keys[slots], values[slots], mask[rows]))
            row += count
        return torch.cat(parts)


def _attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Scaled queries [B, heads, T, key], keys [B, heads, key, span], values [B, heads, span, key]."""
    rows, heads, count, key = queries.shape
    span = keys.shape[-1]
    scores = torch.bmm(queries.reshape(rows * heads, count, key), keys.flatten(0, 1))  # [B * heads, T, span]
    weights = torch.softmax(scores.view(rows, heads, count, span).to(mask.dtype).add_(mask), dim=-1)
    return torch.bmm(weights.to(values.dtype).flatten(0, 1), values.flatten(0, 1)).view(rows, heads, count, key)
