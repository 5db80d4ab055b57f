"""Keys and values of every slot's context, and attention over them."""

from dataclasses import dataclass

import torch

from policy.config import PolicyConfig

SPAN = 32  # columns are read in multiples of this: few shapes, aligned


@dataclass
class Cache:
    """The last column is a scratch column: padding writes there, nothing reads it.

    Keys lie transposed: on CPUs, bfloat16 products with a transposed operand take three times as long.
    """

    keys: torch.Tensor
    """[layers, slots, heads, key, columns]."""
    values: torch.Tensor
    """[layers, slots, heads, columns, key]."""

    @classmethod
    def empty(cls, config: PolicyConfig, slots: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> "Cache":
        """Zeros: attention multiplies what it masks by 0, so a NaN there would spread."""
        columns = -(-(config.context + 1) // SPAN) * SPAN
        key = config.width // config.heads
        return cls(
            torch.zeros(config.layers, slots, config.heads, key, columns, dtype=dtype, device=device),
            torch.zeros(config.layers, slots, config.heads, columns, key, dtype=dtype, device=device),
        )

    @property
    def scratch(self) -> int:
        """The column where padding goes."""
        return self.keys.shape[-1] - 1


@dataclass
class CacheView:
    """Which part of a cache a forward pass reads and writes: B rows of new tokens, T each."""

    cache: Cache
    slots: torch.Tensor
    """int64 [B]."""
    together: slice | None
    """The same slots where they are neighbours in ascending order, which saves copying them; else None."""
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
        rows, heads, count, key = queries.shape
        keys = self._read(self.cache.keys[layer, ..., : self.span])  # [B * heads, key, span]
        values = self._read(self.cache.values[layer, :, :, : self.span])  # [B * heads, span, key]
        scores = torch.bmm((queries * key**-0.5).reshape(rows * heads, count, key), keys)  # [B * heads, T, span]
        weights = torch.softmax(scores.view(rows, heads, count, self.span).to(mask.dtype).add_(mask), dim=-1)
        return torch.bmm(weights.to(values.dtype).flatten(0, 1), values).view(rows, heads, count, key)

    def _read(self, stored: torch.Tensor) -> torch.Tensor:
        """These slots' part of stored [slots, heads, ...], as [B * heads, ...]."""
        chosen = stored.index_select(0, self.slots) if self.together is None else stored[self.together]
        return chosen.flatten(0, 1)
