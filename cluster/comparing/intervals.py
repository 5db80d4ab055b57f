"""Estimates with 95% bootstrap intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

REPEATS = 5000
PERCENTILES = (2.5, 97.5)


class Estimate(NamedTuple):
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float


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


def interquartile_mean(scores: np.ndarray, seed: int = 0) -> Estimate:
    """rliable's interquartile mean over scores [seeds, tasks], by stratified bootstrap (arXiv 2108.13264)."""
    from rliable import library, metrics

    state = np.random.get_state()  # noqa: NPY002 - rliable draws from NumPy's global generator and takes no other
    np.random.seed(seed)  # noqa: NPY002
    try:
        points, intervals = library.get_interval_estimates(
            {"arm": np.asarray(scores, dtype=np.float64)},
            lambda sample: np.array([metrics.aggregate_iqm(sample)]),
            reps=REPEATS,
        )
    finally:
        np.random.set_state(state)  # noqa: NPY002
    low, high = intervals["arm"][:, 0]
    return Estimate(float(points["arm"][0]), float(low), float(high))
