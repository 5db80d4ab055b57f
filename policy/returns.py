"""Returns-to-go and their tokens, for return-conditioned sequences (Multi-Game DT, arXiv 2205.15241)."""

from dataclasses import dataclass

import numpy as np

BINS = 256


@dataclass(frozen=True)
class ReturnScale:
    """A task's range of returns-to-go: `low` falls into the first of 256 bins, `high` into the last.

    Made from the task's random and expert scores, or from quantiles of its data.
    """

    low: float
    high: float

    def to_bins(self, returns: np.ndarray) -> np.ndarray:
        """Returns-to-go (any shape, finite) to bins [0, 256), clipped at both ends. int32."""
        returns = np.asarray(returns, dtype=np.float64)
        if not np.isfinite(returns).all():
            raise ValueError("not finite")
        share = (returns - self.low) / max(self.high - self.low, 1e-9)
        return np.minimum(np.clip(share, 0.0, 1.0) * BINS, BINS - 1).astype(np.int32)

    def to_values(self, bins: np.ndarray) -> np.ndarray:
        """Bin centres as returns. float64."""
        return self.low + (np.asarray(bins, dtype=np.float64) + 0.5) / BINS * (self.high - self.low)


def returns_to_go(rewards: np.ndarray, discount: float = 1.0, after: float = 0.0) -> np.ndarray:
    """G_t = r_t + discount G_{t+1} for rewards [steps]; `after` is what follows the last step. float64 [steps]."""
    result = np.empty(len(rewards), dtype=np.float64)
    running = after
    for step in range(len(rewards) - 1, -1, -1):
        running = float(rewards[step]) + discount * running
        result[step] = running
    return result
