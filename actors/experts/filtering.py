"""Which of an expert's episodes are good enough to imitate (Reed et al., A Generalist Agent, section 2.3)."""

from dataclasses import dataclass

import numpy as np

SHARE = 0.8
"""Of the expert's return that an episode must reach."""


@dataclass(frozen=True)
class Filter:
    """What was asked of episodes."""

    expert_return: float
    """The highest mean return of `window` consecutive episodes."""
    window: int
    at_least: float
    """Return that an episode must reach."""
    played: int
    kept: int


def window(episodes: int) -> int:
    """W = min(1000, N / 10), but at least 1."""
    return max(1, min(1000, episodes // 10))


def expert_return(returns: np.ndarray) -> float:
    """The highest mean over all windows of consecutive episodes. `returns`: float [episodes]."""
    width = window(len(returns))
    sums = np.cumsum(np.concatenate([[0.0], returns]))
    return float(((sums[width:] - sums[:-width]) / width).max())


def choose(returns: np.ndarray, random: float) -> tuple[np.ndarray, Filter]:
    """Which episodes to keep: those that reach 80% of the expert's return.

    The paper does not say what 80% of a negative return is. There the scale begins at the random player's return, as
    it does for scores; where that is positive or unknown it begins at 0.

    Args:
        returns: float [episodes], in the order in which they were played.
        random: mean return of random actions; NaN where nobody measured it.

    Returns:
        bool [episodes], and what was asked of them.
    """
    best = expert_return(returns)
    zero = min(0.0, random) if np.isfinite(random) else min(0.0, float(returns.min()))
    at_least = zero + SHARE * (best - zero)
    kept = returns >= at_least
    return kept, Filter(best, window(len(returns)), at_least, len(returns), int(kept.sum()))
