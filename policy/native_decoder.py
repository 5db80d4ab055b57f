"""A policy's blocks made ready for decoding with kernels of our own (`policy.native`): each row as long as it is."""

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from policy.cache import BlockCache
from policy.native import Kernels
from policy.packing import Product
from policy.transformer import Block, Transformer


class NativeDecoder:
    """The blocks of a transformer, and its final normalisation, as they are now.

    Args:
        transformer: in the number format that it decodes with, on a CPU.
        kernels: for that format.
    """

    def __init__(self, transformer: Transformer, kernels: Kernels):
        config = transformer.config
        self.kernels = kernels
        self.norm, self.place = _norm(transformer.norm), transformer.place
        self.gated = config.activation == "geglu"
        self.back = config.attention_steps
        self.turn = transformer.cos.float().contiguous(), transformer.sin.float().contiguous()  # [places, key / 2]
        self.blocks = [_Block(cast(Block, block), self.gated) for block in transformer.blocks]

    def __deepcopy__(self, memo: dict) -> None:
        """Packed weights cannot be copied: a copy of a policy makes its own."""

    def __call__(
        self, x: torch.Tensor, columns: torch.Tensor, rows: torch.Tensor, last: torch.Tensor, cache: BlockCache
    ) -> torch.Tensor:
        """Extends the cache by new tokens.

        Args:
            x: embedded tokens [N, width], row after row; what follows the last row's is padding.
            columns: int64 [N]: each token's place in its context.
            rows: int64 [6, B], as `policy.native.Kernels.attend` wants them.
            last: int64 [at least B]: which of the N tokens are their rows' last ones; padding follows.
            cache: keys and values of all slots.

        Returns:
            Normalised hidden states of each row's last token, as many as `last` has [_, width].
        """
        if self.place is not None:
            x = x + self.place(columns)
        x, added, normed = x.contiguous(), None, self.kernels.add_norm
        for layer, block in enumerate(self.blocks):
            joint = block.qkv(normed(x, added, *block.norm_attention))  # [N, 3 width]
            ending = layer == len(self.blocks) - 1
            if ending:
                x = x[last]
            attended = self.kernels.attend(
                joint, self.turn, cache.keys[layer], cache.values[layer], rows, self.back, ending, len(x)
            )
            y = normed(x, block.out(attended), *block.norm_feedforward)
            if self.gated:
                gate, value = block.up(y).chunk(2, dim=-1)
                y = functional.gelu(gate).mul_(value)
            else:
                y = block.up(y)
            added = block.down(y)
        return normed(x, added, *self.norm)


class _Block:
    """The products and normalisations of one block."""

    def __init__(self, block: Block, gated: bool):
        self.norm_attention, self.norm_feedforward = _norm(block.norm_attention), _norm(block.norm_feedforward)
        self.qkv, self.out, self.down = (Product(each) for each in (block.qkv, block.out, block.down))
        self.up = Product(block.up, gelu=not gated)


def _norm(layer: nn.LayerNorm) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Weight, bias and epsilon of a layer norm, as `policy.native.Kernels.add_norm` wants them."""
    return layer.weight.detach().float(), layer.bias.detach().float(), layer.eps
