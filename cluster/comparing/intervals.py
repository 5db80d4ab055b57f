"""Estimates with 95% bootstrap intervals.

Scores are [seeds, tasks]. Figures over seeds are rliable's (arXiv 2108.13264): percentile bootstrap stratified by task,
so that seeds are drawn with replacement within each task. All repeats are drawn at once here; rliable draws them one by
one, which takes a second a figure. With one seed there is no interval.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

REPEATS = 5000
PERCENTILES = (2.5, 97.5)


class Estimate(NamedTuple):
    """A figure and its 95% interval."""

    value: float
    low: float | None
    high: float | None


class Band(NamedTuple):
    """Figures along an axis, arrays of one length, and their pointwise 95% intervals."""

    value: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


def mean_of_means(samples: Sequence[np.ndarray], seed: int = 0) -> Estimate:
    """The mean of the samples' means, by percentile bootstrap stratified by sample (each is drawn from on its own).

    Args:
        samples: one or more arrays of at least one value each: the episodes of a task, or the seeds of an arm.
        seed: of the bootstrap.
    """
    generator = np.random.default_rng(seed)
    resampled = np.zeros(REPEATS)
    for sample in samples:
        drawn = generator.integers(0, len(sample), (REPEATS, len(sample)))
        resampled += np.asarray(sample, dtype=np.float64)[drawn].mean(axis=1) / len(samples)
    low, high = np.percentile(resampled, PERCENTILES)
    return Estimate(float(np.mean([np.mean(sample) for sample in samples])), float(low), float(high))


def interquartile_mean(scores: np.ndarray) -> Estimate:
    """rliable's interquartile mean over scores [seeds, tasks] (arXiv 2108.13264, section 4.3)."""
    from rliable import metrics

    _, low, high = interquartile_curve(np.asarray(scores, dtype=np.float64)[None])
    value = float(metrics.aggregate_iqm(scores))
    return Estimate(value, None if low is None else float(low[0]), None if high is None else float(high[0]))


def resample(scores: np.ndarray, seed: int = 0) -> np.ndarray:
    """Stratified bootstrap samples of scores [seeds, tasks]: [repeats, seeds, tasks]."""
    drawn = np.random.default_rng(seed).integers(0, len(scores), (REPEATS, *scores.shape))
    return np.take_along_axis(scores[None], drawn, axis=1)


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> Band:
    """Share of the scores [seeds, tasks] above each threshold (arXiv 2108.13264, section 4.2)."""
    value = _share_above(scores[None], thresholds)[0]
    if len(scores) == 1:
        return Band(value, None, None)
    low, high = np.percentile(_share_above(resample(scores), thresholds), PERCENTILES, axis=0)
    return Band(value, low, high)


def probability_of_improvement(scores: np.ndarray, others: np.ndarray) -> Estimate:
    """Mean over tasks of P(a seed of `scores` > one of `others`), a tie counting half (arXiv 2108.13264, section 4.3).

    Args:
        scores: [seeds, tasks].
        others: [other seeds, tasks], the same tasks.
    """
    # [seeds, other seeds, tasks]
    wins = np.sign(scores[:, None] - others[None]) / 2 + 0.5
    value = float(wins.mean())
    if len(scores) == 1 or len(others) == 1:
        return Estimate(value, None, None)
    generator = np.random.default_rng(0)
    mine = generator.integers(0, len(scores), (REPEATS, len(scores), 1, scores.shape[1]))
    theirs = generator.integers(0, len(others), (REPEATS, 1, len(others), scores.shape[1]))
    low, high = np.percentile(wins[mine, theirs, np.arange(scores.shape[1])].mean(axis=(1, 2, 3)), PERCENTILES)
    return Estimate(value, float(low), float(high))


def interquartile_curve(scores: np.ndarray) -> Band:
    """The interquartile mean at each point of scores [points, seeds, tasks]."""
    from scipy.stats import trim_mean

    value = np.array([trim_mean(point, 0.25, axis=None) for point in scores])
    if scores.shape[1] == 1:
        return Band(value, None, None)
    bounds = []
    for point in scores:
        drawn = resample(point).reshape(REPEATS, -1)
        bounds.append(np.percentile(trim_mean(drawn, 0.25, axis=1), PERCENTILES))
    low, high = np.array(bounds).T
    return Band(value, low, high)


def _share_above(samples: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """[repeats, seeds, tasks] to [repeats, thresholds]."""
    flat = np.sort(samples.reshape(len(samples), -1), axis=1)
    return np.stack([1.0 - np.searchsorted(row, thresholds, side="right") / flat.shape[1] for row in flat])
