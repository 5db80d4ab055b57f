"""Continuous values and their tokens: mu-law, clip, uniform bins (Gato, arXiv 2205.06175, section 2.1, appendix B)."""

import numpy as np

MU = 100.0
M = 256.0
BINS = 1024
WHOLE = np.log(MU * M + 1.0)


def mu_law(x: np.ndarray) -> np.ndarray:
    """F(x) = sgn(x) log(mu |x| + 1) / log(mu M + 1): maps [-M, M] onto [-1, 1]. Any shape; float64 out."""
    x = np.asarray(x, dtype=np.float64)
    return np.copysign(np.log(MU * np.abs(x) + 1.0) / WHOLE, x)


def inverse_mu_law(y: np.ndarray) -> np.ndarray:
    """The inverse of `mu_law` on [-1, 1]."""
    y = np.asarray(y, dtype=np.float64)
    return np.sign(y) * (np.power(MU * M + 1.0, np.abs(y)) - 1.0) / MU


def to_bins(x: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Uniform bins over [-1, 1]; values outside are clipped, and 1.0 falls into the last bin. int32, same shape.

    Raises:
        ValueError: on NaN or infinity; the caller knows the task, key and step and says so.
    """
    x = np.asarray(x, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError("not finite")
    inside = np.minimum(np.maximum(x, -1.0), 1.0)  # np.clip takes twice as long for few values
    return np.minimum((inside + 1.0) * (bins / 2.0), bins - 1).astype(np.int32)


def to_values(b: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Bin centres, (2 b + 1) / bins - 1. float64, same shape."""
    return (2.0 * np.asarray(b, dtype=np.float64) + 1.0) / bins - 1.0
