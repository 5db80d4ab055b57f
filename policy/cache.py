"""Keys and values of every slot's context."""

import numpy as np
import torch

from policy.config import PolicyConfig

SPAN = 32  # columns come in multiples of this: few shapes, aligned
BLOCK = 16  # columns whose keys kernels of our own read at once


class Cache:
    """Keys and values as one buffer each, made once, which are laid out anew as the longest context grows.

    Kernels for CPUs copy whatever does not lie together before they multiply it, so there the layout has just the
    columns that the longest context needs, and whole slots are read without a copy. On other devices it has them all.
    The last column is a scratch column: padding writes there, nothing reads it.

    On CPUs bfloat16 products of few queries take half as long with each key's numbers together, those of other formats
    with each column's: 0.7 of the time. So the numbers of `keys` lie in either order.

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
        """[layers, slots, heads, columns, key]."""
        self.values: torch.Tensor
        """[layers, slots, heads, columns, key]."""
        self._lay_out(SPAN if self._buffers[0].device.type == "cpu" else self._most)

    @property
    def columns(self) -> int:
        """Of the present layout."""
        return self.keys.shape[3]

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
        keys, values = (each[:, used, :, :kept].clone() for each in (self.keys, self.values))
        self._lay_out(columns)
        self.keys[:, used, :, :kept], self.values[:, used, :, :kept] = keys, values

    def _lay_out(self, columns: int) -> None:
        layers, slots, heads, key = self._size
        keys, values = (buffer[: layers * slots * heads * key * columns] for buffer in self._buffers)
        if keys.dtype == torch.bfloat16:
            self.keys = keys.view(layers, slots, heads, columns, key)
        else:
            self.keys = keys.view(layers, slots, heads, key, columns).transpose(3, 4)
        self.values = values.view(layers, slots, heads, columns, key)


class BlockCache:
    """As `Cache`, for kernels of our own (`policy.native`), which read what they need of it: with all columns from the
    start, and keys in blocks of 16 columns, whose numbers for one place of a key lie together.

    Args:
        config, slots, dtype: as in `Cache`; on CPUs.
    """

    def __init__(self, config: PolicyConfig, slots: int, dtype: torch.dtype):
        columns, key = padded_columns(config.context), config.width // config.heads
        self.keys = torch.zeros(config.layers, slots, config.heads, columns // BLOCK, key, BLOCK, dtype=dtype)
        """[layers, slots, heads, columns / 16, key, 16]."""
        self.values = torch.zeros(config.layers, slots, config.heads, columns, key, dtype=dtype)
        """[layers, slots, heads, columns, key]."""

    def fit(self, longest: int, cached: np.ndarray) -> None:
        """Nothing: contexts of any length fit."""


def padded_columns(longest: int) -> int:
    """Columns for contexts of at most `longest` tokens and the scratch column."""
    return -(-(longest + 1) // SPAN) * SPAN
