"""Decoder-only transformer, pre-norm, rotary positions; one code path for training and for decoding from a cache."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from policy.config import PolicyConfig

SPAN = 8  # columns of a cache are read in multiples of this: attention kernels want aligned masks


@dataclass
class Cache:
    """Keys and values of every slot. The last column is a scratch column: padding writes there, nothing reads it."""

    keys: torch.Tensor
    """[layers, slots, columns, heads, key]."""
    values: torch.Tensor
    """[layers, slots, columns, heads, key]."""

    @classmethod
    def empty(cls, config: PolicyConfig, slots: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> "Cache":
        """Zeros: attention multiplies what it masks by 0, so a NaN there would spread."""
        columns = -(-(config.context + 1) // SPAN) * SPAN
        shape = (config.layers, slots, columns, config.heads, config.width // config.heads)
        return cls(torch.zeros(shape, dtype=dtype, device=device), torch.zeros(shape, dtype=dtype, device=device))

    @property
    def scratch(self) -> int:
        """The column where padding goes."""
        return self.keys.shape[2] - 1


@dataclass
class CacheView:
    """Which part of a cache a forward pass reads and writes: B rows of new tokens, T each."""

    cache: Cache
    slots: torch.Tensor | slice
    """int64 [B]; or a slice of neighbouring slots, which are then read where they are, without a copy."""
    cells: torch.Tensor
    """int64 [B * T]: where each new token's key and value go, slot * columns + column."""
    span: int
    """Columns [0, span) are read; a multiple of SPAN."""

    def write(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keys and values of the new tokens, each [B, T, heads, key]."""
        for store, new in ((self.cache.keys[layer], keys), (self.cache.values[layer], values)):
            store.flatten(2).flatten(0, 1).index_copy_(0, self.cells, new.flatten(2).flatten(0, 1).to(store.dtype))

    def read(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of these slots, each [B, span, heads, key]."""
        keys, values = self.cache.keys[layer, :, : self.span], self.cache.values[layer, :, : self.span]
        if isinstance(self.slots, slice):
            return keys[self.slots], values[self.slots]
        return keys.index_select(0, self.slots), values.index_select(0, self.slots)


def rotary(places: int, key: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of rotary positions (RoFormer, arXiv 2104.09864, equation 34), float32 [places, key / 2]."""
    frequency = 10000.0 ** (-torch.arange(0, key, 2, dtype=torch.float64) / key)
    angle = torch.arange(places, dtype=torch.float64).unsqueeze(-1) * frequency  # [places, key/2]
    return angle.cos().float(), angle.sin().float()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotates pairs (i, i + key/2) of x [..., key]; cos and sin broadcast against [..., key/2]."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class Block(nn.Module):
    """Attention and feed-forward, each on a normalised input, each added to the residual stream."""

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.heads = config.heads
        self.norm_attention = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm_feedforward = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.feedforward)
        self.down = nn.Linear(config.feedforward, config.width)

    def forward(
        self,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        mask: torch.Tensor | None,
        view: CacheView | None = None,
        layer: int = 0,
        only: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """One block.

        Args:
            x: [B, T, width].
            cos, sin: [B, T, 1, 1, key / 2].
            mask: additive, [B, 1, T, keys]; None: causal.
            view: the cache, and `layer` this block's place in it.
            only: int64 [B, 1, 1]: the one token of each row whose output is wanted; the mask is that token's.

        Returns:
            [B, T, width], or [B, 1, width] with `only`.
        """
        rows, count, width = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(rows, count, 3, self.heads, width // self.heads)
        turned = rotate(qkv[:, :, :2], cos, sin)  # [B, T, 2, heads, key]
        q, k, v = turned[:, :, 0], turned[:, :, 1], qkv[:, :, 2]  # each [B, T, heads, key]
        if view is not None:
            view.write(layer, k, v)
            k, v = view.read(layer)  # [B, span, heads, key]
        if only is not None:
            x = x.gather(1, only.expand(rows, 1, width))  # [B, 1, width]
            q = q.gather(1, only.unsqueeze(-1).expand(rows, 1, *q.shape[2:]))  # [B, 1, heads, key]
        attended = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask, is_causal=mask is None
        )  # [B, heads, T, key]
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.norm_feedforward(x))))


class Transformer(nn.Module):
    """A stack of blocks and a final normalisation."""

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        # A window of a whole context is followed by one more observation.
        cos, sin = rotary(2 * config.context + SPAN, config.width // config.heads)
        self.cos: torch.Tensor
        self.sin: torch.Tensor
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, parameter in self.blocks.named_parameters():
            if name.endswith("weight") and parameter.dim() == 2:
                scale = 0.02 / (2 * config.layers) ** 0.5 if ".out." in name or ".down." in name else 0.02
                # Small widths need a larger start than GPT-2's 0.02 to pass signal at all.
                nn.init.normal_(parameter, std=scale * max(1.0, (768 / config.width) ** 0.5))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(
        self,
        x: torch.Tensor,
        place: torch.Tensor,
        mask: torch.Tensor | None,
        view: CacheView | None = None,
        only: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Embedded tokens at their places in the context to normalised hidden states.

        Args:
            x: [B, T, width].
            place: int64 [B, T].
            mask: bool [B, 1, T, keys] (True: may attend); None: causal.
            view: a cache to extend.
            only: int64 [B]: the one token of each row whose hidden state is wanted.

        Returns:
            [B, T, width], or [B, width] with `only`.
        """
        cos = self.cos[place].to(x.dtype)[:, :, None, None]  # [B, T, 1, 1, key/2]
        sin = self.sin[place].to(x.dtype)[:, :, None, None]
        if mask is not None:
            mask = torch.zeros_like(mask, dtype=x.dtype).masked_fill_(~mask, -torch.inf)
        for layer, block in enumerate(self.blocks[:-1]):
            x = block(x, cos, sin, mask, view, layer)
        last = len(self.blocks) - 1
        if only is None:
            return self.norm(self.blocks[last](x, cos, sin, mask, view, last))
        # The last block works for the wanted tokens alone; the others leave only their keys and values.
        at = only[:, None, None]  # [B, 1, 1]
        if mask is not None:
            mask = mask.gather(2, at.unsqueeze(-1).expand(-1, 1, 1, mask.shape[3]))  # [B, 1, 1, keys]
        return self.norm(self.blocks[last](x, cos, sin, mask, view, last, at)).squeeze(1)
