"""Weights in the order that oneDNN multiplies in, brought there once."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 512  # of the products that packed weights are laid out for
_PRODUCT = torch.ops.mkldnn._linear_pointwise.default


def packs(weight: torch.Tensor) -> bool:
    """Whether oneDNN multiplies weights like this one in an order of its own."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return weight.dtype == torch.float32 or (
        weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def pack(weight: torch.Tensor) -> torch.Tensor:
    """A matrix that `packs`, in that order."""
    return torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)


class Product:
    """A linear layer as it is now, with GELU within the product where it is wanted.

    Args:
        layer: with a bias.
        gelu: of the result.
    """

    def __init__(self, layer: nn.Linear, gelu: bool = False):
        self.weight, self.bias, self.gelu = layer.weight.detach(), layer.bias.detach(), gelu
        self.packed = packs(self.weight)
        if self.packed:
            self.weight = pack(self.weight)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """x [N, in] -> [N, out]."""
        if self.packed:
            after = "gelu" if self.gelu else "none"
            return _PRODUCT(x, self.weight, self.bias, after, [], "none")
        y = functional.linear(x, self.weight, self.bias)
        return functional.gelu(y) if self.gelu else y
