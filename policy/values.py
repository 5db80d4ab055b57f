"""Categorical values over symlog-scaled returns: bins, two-hot targets, expectations (DreamerV3, arXiv 2301.04104).

Bins are evenly spaced in symlog space, so tasks of any reward scale share them; targets are two-hot in the returns'
own space, so that the expectation of a target is the return itself, without bias.
"""

import torch


def symlog(x: torch.Tensor) -> torch.Tensor:
    """sgn(x) log(1 + |x|)."""
    return torch.sign(x) * torch.log1p(torch.abs(x))


def symexp(x: torch.Tensor) -> torch.Tensor:
    """The inverse of `symlog`."""
    return torch.sign(x) * torch.expm1(torch.abs(x))


def bin_values(bins: int, limit: float, device: torch.device | str | None = None) -> torch.Tensor:
    """Returns that the bins stand for, ascending, symexp of evenly spaced points in [-limit, limit]. float32 [bins]."""
    return symexp(torch.linspace(-limit, limit, bins, device=device, dtype=torch.float64)).float()


def two_hot(values: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:
    """Weights on the two bins around each value whose expectation is the value; clipped at the outermost bins.

    Args:
        values: [...].
        bins: ascending [K].

    Returns:
        [..., K], each row summing to 1.
    """
    values = values.clamp(float(bins[0]), float(bins[-1]))
    above = torch.searchsorted(bins, values.contiguous()).clamp(1, len(bins) - 1)  # [...]
    below = above - 1
    share = (values - bins[below]) / (bins[above] - bins[below])
    result = torch.zeros(*values.shape, len(bins), dtype=values.dtype, device=values.device)
    result.scatter_(-1, below.unsqueeze(-1), (1.0 - share).unsqueeze(-1))
    result.scatter_(-1, above.unsqueeze(-1), share.unsqueeze(-1))
    return result


def expectation(logits: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:
    """Mean of the categorical distribution [..., K] over `bins` [K], in returns. float32 or wider [...]."""
    wide = logits.float() if logits.dtype != torch.float64 else logits
    return (torch.softmax(wide, dim=-1) * bins.to(wide.dtype)).sum(-1)
