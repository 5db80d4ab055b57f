"""A policy's blocks made ready for decoding: new tokens of many slots, behind what the cache holds of each.

The numbers are those of `policy.transformer`; what differs is the way there. All new tokens of a pass lie together,
whatever their rows, and only attention takes them apart. What rotary positions turn as a pair lies together, so one
complex product turns all. On CPUs weights are brought once into the order that oneDNN multiplies in, and what follows
a product (bias, GELU, the residual stream) happens within it. For every number of tokens oneDNN compiles such a product
anew and keeps it (up to 1024 of them, 0.6 MB and 0.3 ms each), so tokens and rows of a pass are padded to few numbers.
"""

import functools
import warnings
from collections.abc import Callable
from typing import cast

import torch
from torch.nn import functional

from policy.cache import Cache
from policy.decoder_blocks import Part, blocks
from policy.packing import pack, packs
from policy.ragged import padded
from policy.transformer import Block, Transformer


class Decoder:
    """The blocks of a transformer, and its final normalisation, as they are now.

    Args:
        transformer: in the number format, and on the device, that it decodes with.
    """

    def __init__(self, transformer: Transformer):
        config = transformer.config
        self.gated = config.activation == "geglu"
        self.norm, self.place = transformer.norm, transformer.place
        self.packed = packs(transformer.norm.weight)
        self._blocks = _compiled() if self.packed else blocks
        key = config.width // config.heads
        order = torch.arange(key).view(2, -1).t().flatten()  # (i, i + key / 2) follow each other
        within = order + key * torch.arange(2 * config.heads).unsqueeze(1)
        rest = torch.arange(2 * config.width, 3 * config.width)
        self._order = torch.cat([within.flatten(), rest]).to(transformer.cos.device)  # [3 width]
        self.weights = [self._prepared(cast(Block, block)) for block in transformer.blocks]
        wide = torch.promote_types(transformer.cos.dtype, torch.float32)
        turn = torch.complex(transformer.cos.to(wide), transformer.sin.to(wide))  # [places, key / 2]
        self.turn = torch.stack([turn * key**-0.5, turn], dim=1).unsqueeze(2)  # [places, 2, 1, key / 2]

    def __deepcopy__(self, memo: dict) -> None:
        """Packed weights cannot be copied: a copy of a policy makes its own."""

    def __call__(
        self, x: torch.Tensor, slots: torch.Tensor, columns: torch.Tensor, parts: list[Part], cache: Cache
    ) -> torch.Tensor:
        """Extends the cache by new tokens.

        Args:
            x: embedded tokens [N, width], part after part, row after row.
            slots, columns: int64 [N]: where each token's key and value go; a column is its place in the context.
            parts: B rows in all.
            cache: keys and values of all slots.

        Returns:
            Normalised hidden states of each row's last token [B, width].
        """
        if self.place is not None:
            x = x + self.place(columns)
        ends, at = [], 0
        for part in parts:
            ends.append(torch.arange(at, at + part.rows * part.tokens, part.tokens, device=x.device) + part.last)
            at += part.rows * part.tokens
        last = torch.cat(ends)
        rows = len(last)
        if self.packed:
            more = padded(len(x)) - len(x)
            x = functional.pad(x, [0, 0, 0, more])
            slots, columns = functional.pad(slots, [0, more]), functional.pad(columns, [0, more], value=cache.scratch)
            last = functional.pad(last, [0, padded(rows) - rows])
        hidden = self._blocks(
            x,
            self.turn[columns],
            slots,
            columns,
            parts,
            last,
            cache.keys,
            cache.values,
            self.weights,
            self.gated,
            self.packed,
        )
        return self.norm(hidden[:rows])

    def _prepared(self, block: Block) -> list[torch.Tensor]:
        """Weights and biases in the order of the computation."""
        pairs = []
        for layer in (block.norm_attention, block.qkv, block.out, block.norm_feedforward, block.up, block.down):
            weight, bias = layer.weight.detach(), layer.bias.detach()
            if layer is block.qkv:
                weight, bias = weight[self._order], bias[self._order]
            if self.packed and weight.dim() == 2:
                weight = pack(weight)
            pairs += [weight, bias]
        return pairs


@functools.cache
def _compiled() -> Callable[..., torch.Tensor]:
    """`blocks` without Python: between kernels as small as these, its own time and its lock cost threads a lot."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.compile, its successor, wants a C++ compiler
        return torch.jit.script(blocks)
