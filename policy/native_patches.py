"""Group normalisation and GELU as one, between the convolutions of image patches (`policy/native_patches.c`)."""

import ctypes
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from policy import native

CHANNELS = 256  # at most


def available(weight: torch.Tensor) -> bool:
    """Whether this kernel can be used, given one of the embedding's weights [channels, ...]."""
    fits = weight.device.type == "cpu" and weight.dtype in native.DTYPES and len(weight) <= CHANNELS
    return fits and _kernels() is not None


def norm_gelu(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, epsilon: float) -> torch.Tensor:
    """GELU(group normalisation of x), exact to float32.

    Args:
        x: [K, places, channels], float32 or bfloat16; channels a multiple of 16 and of the groups.
        weight, bias: [channels].
        groups: neighbouring channels that share a mean and a variance, over all places.
        epsilon: of the norm.

    Returns:
        As x.
    """
    return _NormGelu.apply(x, weight, bias, groups, epsilon)


class _NormGelu(torch.autograd.Function):
    """As `norm_gelu`."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, epsilon: float
    ) -> torch.Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, weight, bias)
        ctx.settings = groups, epsilon
        out = torch.empty_like(x)
        _run(x, None, out, weight, bias, None, groups, epsilon)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        out = torch.empty_like(x)
        own = torch.zeros(2, len(weight))
        _run(x, gradient.to(x.dtype).contiguous(), out, weight, bias, own, *ctx.settings)
        return out, own[0].to(weight.dtype), own[1].to(bias.dtype), None, None


def _run(
    x: torch.Tensor,
    gradient: torch.Tensor | None,
    out: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    own: torch.Tensor | None,
    groups: int,
    epsilon: float,
) -> None:
    """The way there, or with a gradient the way back, adding the gradients of weight and bias to own [2, channels]."""
    kernels = _kernels()
    assert kernels is not None
    patches, places, channels = x.shape
    assert channels <= CHANNELS  # the kernel's room
    wide = [each.detach().float().contiguous() for each in (weight, bias)]
    room = torch.empty(places, channels)
    kernels[x.dtype](
        x.data_ptr(),
        None if gradient is None else gradient.data_ptr(),
        out.data_ptr(),
        *(each.data_ptr() for each in wide),
        *((None, None) if own is None else (own[0].data_ptr(), own[1].data_ptr())),
        room.data_ptr(),
        patches,
        places,
        channels,
        groups,
        epsilon,
    )


def _kernels() -> dict[torch.dtype, Any] | None:
    """By number format; None where there are none."""
    return native.by_format("norm_gelu", (ctypes.c_void_p,) * 8 + (ctypes.c_int64,) * 4 + (ctypes.c_float,))
