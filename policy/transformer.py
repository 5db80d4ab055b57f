"""Decoder-only transformer, pre-norm, rotary positions; one code path for training and for decoding from a cache."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from policy.config import PolicyConfig


@dataclass
class Cache:
    """Keys and values of every slot. The last column is a scratch column: padding writes there, nothing reads it."""

    keys: torch.Tensor
    """[layers, slots, heads, columns, key]."""
    values: torch.Tensor
    """[layers, slots, heads, columns, key]."""

    @classmethod
    def empty(cls, config: PolicyConfig, slots: int, columns: int, dtype: torch.dtype, device: str = "cpu") -> "Cache":
        """Zeros: attention multiplies what it masks by 0, so a NaN there would spread."""
        shape = (config.layers, slots, config.heads, columns, config.width // config.heads)
        return cls(torch.zeros(shape, dtype=dtype, device=device), torch.zeros(shape, dtype=dtype, device=device))


@dataclass
class CacheView:
    """Which part of a cache a forward pass reads and writes: B rows of new tokens, T each."""

    cache: Cache
    slots: torch.Tensor
    """int64 [B]."""
    columns: torch.Tensor
    """int64 [B, T]: where each new token's key and value go (its place in the context; the scratch column: padding)."""
    span: int
    """Columns [0, span) are read."""


def rotary(place: torch.Tensor, key: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of rotary positions (RoFormer, arXiv 2104.09864, equation 34). place [B, T] -> [B, 1, T, key/2]."""
    frequency = 10000.0 ** (-torch.arange(0, key, 2, dtype=torch.float64, device=place.device) / key)
    angle = (place.to(torch.float64).unsqueeze(-1) * frequency).unsqueeze(1)  # [B, 1, T, key/2]
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotates pairs (i, i + key/2) of x [B, heads, T, key]."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)


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
    ) -> torch.Tensor:
        """x [B, T, width]; mask bool [B, 1, T, keys] (True: may attend), None: causal. Returns [B, T, width]."""
        rows, count, width = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(rows, count, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [B, heads, T, key]
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if view is not None:
            keys, values = view.cache.keys[layer], view.cache.values[layer]  # [slots, heads, columns, key]
            at = (view.slots[:, None], slice(None), view.columns)
            keys[at] = k.transpose(1, 2).to(keys.dtype)
            values[at] = v.transpose(1, 2).to(values.dtype)
            k = keys[view.slots, :, : view.span].to(q.dtype)  # [B, heads, span, key]
            v = values[view.slots, :, : view.span].to(q.dtype)
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        x = x + self.out(attended.transpose(1, 2).reshape(rows, count, width))
        return x + self.down(functional.gelu(self.up(self.norm_feedforward(x))))


class Transformer(nn.Module):
    """A stack of blocks and a final normalisation."""

    def __init__(self, config: PolicyConfig):
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        for name, parameter in self.blocks.named_parameters():
            if name.endswith("weight") and parameter.dim() == 2:
                scale = 0.02 / (2 * config.layers) ** 0.5 if ".out." in name or ".down." in name else 0.02
                # Small widths need a larger start than GPT-2's 0.02 to pass signal at all.
                nn.init.normal_(parameter, std=scale * max(1.0, (768 / config.width) ** 0.5))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(
        self, x: torch.Tensor, place: torch.Tensor, mask: torch.Tensor | None, view: CacheView | None = None
    ) -> torch.Tensor:
        """Embedded tokens x [B, T, width] at places [B, T] in their context, to normalised hidden states [B, T, width]."""
        cos, sin = rotary(place, self.config.width // self.config.heads, x.dtype)
        for layer, block in enumerate(self.blocks):
            x = block(x, cos, sin, mask, view, layer)
        return self.norm(x)
