"""Rows of evaluations as scalars by tag: returns, normalised scores, their interquartile mean."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster.reference_scores import find


def scalars(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Mean return and normalised score of each task, and the interquartile mean of all scores, by temperature."""
    values: dict[str, float] = {}
    scores: dict[str, list[float]] = {}
    for row in rows:
        acting = acting_name(row["temperature"])
        values[f"eval/return/{row['task']}/{acting}"] = float(np.mean(row["returns"]))
        reference = find(row["task"])
        if reference is not None:
            each = reference.score(np.asarray(row["returns"]))
            values[f"eval/score/{row['task']}/{acting}"] = float(each.mean())
            scores.setdefault(acting, []).extend(each.tolist())
    for acting, all_scores in scores.items():
        values[f"eval/interquartile_mean/{acting}"] = interquartile_mean(all_scores)
    return values


def acting_name(temperature: float) -> str:
    """How tags call a temperature: greedy, temperature_1."""
    return "greedy" if temperature == 0 else f"temperature_{temperature:g}"


def interquartile_mean(values: Sequence[float]) -> float:
    """Mean of what is left without the lowest and the highest quarter."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())
