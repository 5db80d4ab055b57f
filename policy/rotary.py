"""Rotary positions."""

from typing import Any

import torch


def rotary(places: int, key: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of rotary positions (RoFormer, arXiv 2104.09864, equation 34), float32 [places, key / 2]."""
    frequency = 10000.0 ** (-torch.arange(0, key, 2, dtype=torch.float64) / key)
    angle = torch.arange(places, dtype=torch.float64).unsqueeze(-1) * frequency  # [places, key/2]
    return angle.cos().float(), angle.sin().float()


class Turn(torch.autograd.Function):
    """Rotary positions: queries and keys inside their joint projection, turned in place, pairs (i, i + key / 2) each.

    Autograd's own way back through slices would fill and add whole tensors for each part.
    """

    @staticmethod
    def forward(ctx: Any, joint: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int) -> torch.Tensor:
        """joint [..., 3 width], written to; cos and sin [..., 1, 1, key / 2]."""
        ctx.save_for_backward(cos, sin)
        ctx.heads = heads
        ctx.mark_dirty(joint)
        turn(joint, cos, sin, heads)
        return joint

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        """The gradient turned back."""
        cos, sin = ctx.saved_tensors
        result = gradients[0].clone(memory_format=torch.contiguous_format)
        turn(result, cos, sin, ctx.heads, back=True)
        return result, None, None, None


def turn(joint: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int, back: bool = False) -> None:
    """Turns queries and keys of a contiguous joint [..., 3 width] in place, by cos and sin [..., 1, 1, key / 2].

    Args:
        back: the other way round.
    """
    sin = -sin if back else sin
    pair = joint[..., : joint.shape[-1] // 3 * 2]  # [..., 2 width]
    wide = pair
    if joint.dtype == torch.bfloat16:  # CPUs turn halves of a head in float32 in 0.4 of the time
        wide, cos, sin = pair.float(), cos.float(), sin.float()
    first, second = wide.view(*wide.shape[:-1], 2, heads, -1).chunk(2, dim=-1)
    crossed = first * sin
    first.mul_(cos).addcmul_(second, sin, value=-1.0)
    second.mul_(cos).add_(crossed)
    if wide is not pair:
        pair.copy_(wide)
