"""Scores on the way: where an arm began, curves over environment steps and training time, and regret."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.comparing.comparison import Point, Row
from cluster.comparing.intervals import Band, interquartile_curve


@dataclass(frozen=True)
class Curve:
    """One arm at one temperature."""

    arm: str
    env_steps: np.ndarray
    """[points], means over seeds, as the next."""
    seconds: np.ndarray | None
    """None where a run did not note them."""
    band: Band
    """Interquartile mean over seeds and tasks (of one task: over seeds)."""


def before(
    rows: Sequence[Row], points: Sequence[Point], arm: str, temperature: float
) -> dict[tuple[str, int | None], float]:
    """What an arm's runs reached before their first update, by task and seed.

    From the evaluation at a run's beginning, or else that of its start; where a comparison holds neither, from the arm
    "pretrained" of the same seed.
    """
    found: dict[tuple[str, int | None], float] = {
        (row.task, row.seed): row.value for row in rows if (row.arm, row.temperature) == ("pretrained", temperature)
    }
    own = [point for point in points if (point.arm, point.temperature) == (arm, temperature)]
    return found | {(point.task, point.seed): point.value for point in own if point.updates == 0}


def curve(points: Sequence[Point], arm: str, temperature: float, tasks: Sequence[str]) -> Curve | None:
    """An arm's curve over some tasks, at the updates at which all its seeds were evaluated on all of them; None where
    these are fewer than three."""
    own = [point for point in points if (point.arm, point.temperature) == (arm, temperature) and point.task in tasks]
    seeds = sorted({point.seed for point in own})
    by_update: dict[int, dict[tuple[int, str], Point]] = defaultdict(dict)
    for point in own:
        by_update[point.updates][point.seed, point.task] = point
    whole = [by_update[update] for update in sorted(by_update) if len(by_update[update]) == len(seeds) * len(tasks)]
    if len(whole) < 3:
        return None
    scores = np.array([[[at[seed, task].value for task in tasks] for seed in seeds] for at in whole])
    steps = np.array([np.mean([point.env_steps for point in at.values()]) for at in whole])
    seconds = [[point.seconds for point in at.values()] for at in whole]
    known = all(second is not None for at in seconds for second in at)
    mean_seconds = np.array(seconds, dtype=np.float64).mean(axis=1) if known else None
    return Curve(arm, steps, mean_seconds, interquartile_curve(scores))


def regrets(points: Sequence[Point], arm: str, temperature: float) -> dict[str, np.ndarray]:
    """By task with scores, [seeds]: how far below the expert an arm was on average over its environment steps.

    One minus the mean of the score, cut off at the expert's, between linearly interpolated evaluations (as CORL reports
    going online, arXiv 2210.07105). Runs need three evaluations, the first before any update; else a task is left out.
    """
    runs: dict[tuple[str, int], list[Point]] = defaultdict(list)
    for point in sorted(points, key=lambda point: point.env_steps):
        if (point.arm, point.temperature) == (arm, temperature):
            runs[point.task, point.seed].append(point)
    found: dict[str, list[float | None]] = defaultdict(list)
    for (task, _), way in sorted(runs.items()):
        found[task].append(_regret(way))
    return {task: np.array(values) for task, values in found.items() if None not in values}


def _regret(way: Sequence[Point]) -> float | None:
    from scipy.integrate import trapezoid

    steps = np.array([point.env_steps for point in way], dtype=np.float64)
    scores = [point.score for point in way]
    if len(way) < 3 or steps[0] > 0 or steps[-1] <= 0 or None in scores:
        return None
    return float(1.0 - trapezoid(np.minimum(np.array(scores, dtype=np.float64), 1.0), steps) / steps[-1])
