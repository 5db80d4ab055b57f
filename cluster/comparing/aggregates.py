"""Arms held against each other: figures with intervals over seeds, from rows of evaluations. Pure functions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from cluster.comparing.arms import PLAYERS, arms, baseline
from cluster.comparing.comparison import Aggregate, ComparisonError, Point, References, Row
from cluster.comparing.curves import before, regrets
from cluster.comparing.intervals import (
    Estimate,
    interquartile_mean,
    mean_of_means,
    probability_of_improvement,
)

SEEDS = "95% over seeds"
ONE_SEED = "none: one seed"
EPISODES = "95% over this checkpoint's episodes"

Matrix = dict[str, dict[int | None, float]]
"""What one arm reached at one temperature: by task, then seed; a score, or the mean return of a task without one."""


def aggregate(rows: Sequence[Row], references: References, points: Sequence[Point] = ()) -> list[Aggregate]:
    """All figures of a comparison.

    For every arm and temperature: the score on each task, and over all tasks that have scores rliable's interquartile
    mean and how many are above half the expert's score and above the expert's; where its evaluations allow, the scores
    where it began, and its regret. For every arm beside the one that all are held against: the difference to that
    paired by seed, and the probability of improvement over it. Intervals are over seeds; one seed has none.

    Raises:
        ComparisonError: a row twice, or a seed that lacks a task.
    """
    _check(rows)
    names = arms(rows)
    held = baseline(names)
    result: list[Aggregate] = []
    for arm in names:
        for temperature in temperatures(rows, arm):
            own = matrix(rows, arm, temperature)
            result += _scores(arm, temperature, own, references)
            if temperature is None:
                continue
            result += _before(arm, temperature, rows, points, own, references)
            result += _regret(arm, temperature, points, references)
            other = {} if held is None else matrix(rows, held, temperature)
            if held is not None and arm != held and own.keys() == other.keys():
                result += _against(f"{arm} - {held}", temperature, own, other, references)
    return result


def over_episodes(aggregates: Sequence[Aggregate], rows: Sequence[Row], references: References) -> list[Aggregate]:
    """The figures, scores and returns on a task that have no interval for want of seeds given one over the episodes.

    Such an interval says how well this checkpoint's own score is known, nothing of another run's.
    """
    played = {(row.arm, row.task, row.temperature): row for row in rows}
    result = []
    for found in aggregates:
        row = played.get((found.arm, found.task or "", found.temperature))
        if row is not None and found.metric in ("score", "return") and found.low is None:
            reference, returns = references.get(row.task), np.asarray(row.returns)
            estimate = mean_of_means([returns if reference is None else reference.score(returns)])
            found = replace(found, low=estimate.low, high=estimate.high, interval=EPISODES)
        result.append(found)
    return result


def tasks(rows: Sequence[Row]) -> list[str]:
    """Tasks, by name."""
    return sorted({row.task for row in rows})


def scored(names: Sequence[str], references: References) -> list[str]:
    """Those of the tasks that have scores, and so can be put together."""
    return [task for task in names if references.get(task) is not None]


def temperatures(rows: Sequence[Row], arm: str | None = None) -> list[float | None]:
    """Temperatures that an arm (None: any) was evaluated at; [None] for players that are no policy of ours."""
    found = {row.temperature for row in rows if arm is None or row.arm == arm}
    known = [temperature for temperature in found if temperature is not None]
    return sorted(known) + ([None] if None in found else [])


def matrix(rows: Sequence[Row], arm: str, temperature: float | None) -> Matrix:
    """What an arm reached at a temperature."""
    own = [row for row in rows if row.arm == arm and row.temperature == temperature]
    return {task: {row.seed: row.value for row in own if row.task == task} for task in tasks(own)}


def stacked(own: Matrix, names: Sequence[str]) -> np.ndarray:
    """The scores of some tasks as [seeds, tasks], seeds in order."""
    return np.array([[own[task][seed] for seed in sorted(own[task], key=str)] for task in names]).T


def paired(own: Matrix, other: Matrix) -> tuple[Matrix, Matrix]:
    """Both, of the seeds that both have: a study that is not done yet has more of one arm than of another."""
    seeds = _seeds(own) & _seeds(other)

    def of_seeds(every: Matrix) -> Matrix:
        return {task: {seed: scores[seed] for seed in scores if seed in seeds} for task, scores in every.items()}

    return (of_seeds(own), of_seeds(other)) if seeds else ({}, {})


def _seeds(every: Matrix) -> set[int | None]:
    return {seed for scores in every.values() for seed in scores}


def _scores(arm: str, temperature: float | None, own: Matrix, references: References) -> Iterator[Aggregate]:
    for task in own:
        metric = "return" if references.get(task) is None else "score"
        yield _figure(arm, metric, task, temperature, _mean(stacked(own, [task])[:, 0]))
    if names := scored(list(own), references):
        scores = stacked(own, names)
        yield _figure(arm, "iqm", None, temperature, interquartile_mean(scores))
        for metric, threshold in (("above_half", 0.5), ("above_expert", 1.0)):
            count = int((scores.mean(axis=0) >= threshold).sum())
            yield Aggregate(arm, metric, None, temperature, count, None, None, f"none: a count of {len(names)} tasks")


def _before(
    arm: str, temperature: float, rows: Sequence[Row], points: Sequence[Point], own: Matrix, references: References
) -> Iterator[Aggregate]:
    if arm in (*PLAYERS, "pretrained"):
        return
    begun = before(rows, points, arm, temperature)
    for task in own:
        found = [begun[task, seed] for seed in sorted(own[task], key=str) if (task, seed) in begun]
        if len(found) == len(own[task]):
            yield _figure(arm, "before", task, temperature, _mean(np.array(found)))
    names = scored(list(own), references)
    if names and all((task, seed) in begun for task in names for seed in own[task]):
        begun_at = {task: {seed: begun[task, seed] for seed in own[task]} for task in names}
        yield _figure(arm, "before", None, temperature, interquartile_mean(stacked(begun_at, names)))


def _regret(arm: str, temperature: float, points: Sequence[Point], references: References) -> Iterator[Aggregate]:
    found = regrets(points, arm, temperature)
    for task, by_seed in found.items():
        yield _figure(arm, "regret", task, temperature, _mean(by_seed))
    if found and len({len(by_seed) for by_seed in found.values()}) == 1:
        yield _figure(arm, "regret", None, temperature, _mean(np.mean(list(found.values()), axis=0)))


def _against(name: str, temperature: float, own: Matrix, other: Matrix, references: References) -> Iterator[Aggregate]:
    """Differences are paired by seed: both arms of a seed begin from the same weights, on the same episodes."""
    names = scored(list(own), references)
    if names:
        improvement = probability_of_improvement(stacked(own, names), stacked(other, names))
        yield _figure(name, "improvement", None, temperature, improvement)
    own, other = paired(own, other)
    differences = {task: (stacked(own, [task]) - stacked(other, [task]))[:, 0] for task in own}
    for task, difference in differences.items():
        yield _figure(name, "difference", task, temperature, _mean(difference))
    if differences and names:
        # A seed is one policy on all tasks, so seeds are drawn whole.
        overall = np.mean([differences[task] for task in names], axis=0)
        yield _figure(name, "difference", None, temperature, _mean(overall))


def _mean(sample: np.ndarray) -> Estimate:
    """The mean over seeds."""
    return mean_of_means([sample]) if len(sample) > 1 else Estimate(float(sample[0]), None, None)


def _figure(arm: str, metric: str, task: str | None, temperature: float | None, estimate: Estimate) -> Aggregate:
    return Aggregate(arm, metric, task, temperature, *estimate, ONE_SEED if estimate.low is None else SEEDS)


def _check(rows: Sequence[Row]) -> None:
    seen = set()
    for row in rows:
        key = (row.task, row.arm, row.seed, row.temperature)
        if key in seen:
            raise ComparisonError(
                f"arm '{row.arm}' has two evaluations of {row.task} with seed {row.seed} at temperature "
                f"{row.temperature}; give each run once, and runs of one arm different seeds (run.seed)"
            )
        seen.add(key)
    for arm in arms(rows):
        for temperature in temperatures(rows, arm):
            own = matrix(rows, arm, temperature)
            seeds = _seeds(own)
            for task, by_seed in own.items():
                if missing := seeds - by_seed.keys():
                    raise ComparisonError(
                        f"arm '{arm}': seed {min(missing, key=str)} has no evaluation of {task} at temperature "
                        f"{temperature}; evaluate it there too, or leave that run out"
                    )


def of_metric(aggregates: Sequence[Aggregate], metric: str) -> Mapping[tuple[str, str | None, float | None], Aggregate]:
    """Those of one metric, by arm, task and temperature."""
    return {(a.arm, a.task, a.temperature): a for a in aggregates if a.metric == metric}
