"""Categorical values over symlog-scaled returns: bins, targets, expectations.

Bins are evenly spaced in symlog space, so tasks of any reward scale share them (DreamerV3, arXiv 2301.04104).
Targets are smoothed histograms around the return (HL-Gauss, arXiv 2403.03950, section 3.1), and the value that logits
stand for is symexp of their mean in symlog space: the little mass that a softmax leaves on far bins, whose returns are
thousands, then hardly moves it.
"""

import torch


def symlog(x: torch.Tensor) -> torch.Tensor:
    """sgn(x) log(1 + |x|)."""
    return torch.sign(x) * torch.log1p(torch.abs(x))


def symexp(x: torch.Tensor) -> torch.Tensor:
    """The inverse of `symlog`."""
    return torch.sign(x) * torch.expm1(torch.abs(x))


def bin_centres(bins: int, limit: float) -> torch.Tensor:
    """Evenly spaced points of [-limit, limit], in symlog space. float32 [bins]."""
    return torch.linspace(-limit, limit, bins, dtype=torch.float64).float()


def histogram(values: torch.Tensor, bins: torch.Tensor, width: float = 0.75) -> torch.Tensor:
    """A Gaussian around each value, as the mass that it puts into each bin's interval; clipped at the outermost bins.

    Args:
        values: [...], in symlog space.
        bins: evenly spaced centres [K], in symlog space.
        width: standard deviation in bins; 0.75 is the paper's.

    Returns:
        [..., K], each row summing to 1, its mean being the value wherever the Gaussian fits into the bins.
    """
    step = bins[1] - bins[0]
    values = values.clamp(float(bins[0]), float(bins[-1])).unsqueeze(-1)
    edges = torch.cat([bins - step / 2, bins[-1:] + step / 2])  # [K + 1]
    below = torch.special.ndtr((edges - values) / (width * step))  # [..., K + 1]
    mass = below[..., 1:] - below[..., :-1]
    return mass / mass.sum(-1, keepdim=True)


def expectation(logits: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:
    """The return that logits [..., K] over symlog-spaced `bins` [K] stand for. float32 or wider [...]."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return symexp((torch.softmax(wide, dim=-1) * bins.to(wide.dtype)).sum(-1))
