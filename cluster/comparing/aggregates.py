"""Arms held against each other: aggregates with intervals from rows of evaluations. Pure functions."""

from collections.abc import Iterator, Sequence

import numpy as np

from cluster.comparing.comparison import Aggregate, ComparisonError, Reference, Row
from cluster.comparing.intervals import Estimate, interquartile_mean, mean_of_means

EPISODES = "95% over this checkpoint's episodes"
SEEDS = "95% over seeds"

ORDER = ("random", "demonstrations", "expert", "pretrained", "cloning", "filtered_cloning")
"""Arms that stand first, in this order; the others follow by name."""

BASELINE = "cloning"
"""The arm that the others are held against."""


def aggregate(rows: Sequence[Row], references: dict[str, Reference]) -> list[Aggregate]:
    """All figures of a comparison.

    For every arm and temperature: the score on each task; the score over all tasks (one seed: the mean; several:
    rliable's interquartile mean). For every arm beside cloning: the paired difference to cloning.

    Raises:
        ComparisonError: a row twice, a task without reference, or a seed that lacks a task.
    """
    _check(rows, references)
    result: list[Aggregate] = []
    for arm in arms(rows):
        for temperature in temperatures(rows, arm):
            own = _matrix(rows, arm, temperature)
            result += _scores(arm, temperature, own, references)
            other = _matrix(rows, BASELINE, temperature)
            if arm != BASELINE and other and temperature is not None and own.keys() == other.keys():
                result += _differences(arm, temperature, own, other, references)
    return result


def arms(rows: Sequence[Row]) -> list[str]:
    """Arms in the order in which they are shown."""
    found = {row.arm for row in rows}
    return [arm for arm in ORDER if arm in found] + sorted(found - set(ORDER))


def tasks(rows: Sequence[Row]) -> list[str]:
    """Tasks, by name."""
    return sorted({row.task for row in rows})


def temperatures(rows: Sequence[Row], arm: str | None = None) -> list[float | None]:
    """Temperatures that an arm (None: any) was evaluated at; [None] for players that are no policy of ours."""
    found = {row.temperature for row in rows if arm is None or row.arm == arm}
    known = [temperature for temperature in found if temperature is not None]
    return sorted(known) + ([None] if None in found else [])


Matrix = dict[str, dict[int | None, Row]]
"""Rows of one arm at one temperature: by task, then seed."""


def _matrix(rows: Sequence[Row], arm: str, temperature: float | None) -> Matrix:
    own = [row for row in rows if row.arm == arm and row.temperature == temperature]
    return {task: {row.seed: row for row in own if row.task == task} for task in tasks(own)}


def _scores(arm: str, temperature: float | None, own: Matrix, references: dict[str, Reference]) -> Iterator[Aggregate]:
    samples = {task: _samples(task, by_seed, references) for task, by_seed in own.items()}
    several = any(len(by_seed) > 1 for by_seed in own.values())
    over = SEEDS if several else EPISODES
    for task, sample in samples.items():
        yield Aggregate(arm, "score", task, temperature, *mean_of_means([sample]), over)
    if several:
        matrix = np.stack(list(samples.values()), axis=1)  # [seeds, tasks]
        yield Aggregate(arm, "iqm", None, temperature, *interquartile_mean(matrix), over)
    else:
        yield Aggregate(arm, "score", None, temperature, *mean_of_means(list(samples.values())), over)


def _samples(task: str, by_seed: dict[int | None, Row], references: dict[str, Reference]) -> np.ndarray:
    """What an interval is over: the scores of one checkpoint's episodes, or one score a seed."""
    if len(by_seed) > 1:
        return np.array([by_seed[seed].score for seed in sorted(by_seed, key=str)])
    (row,) = by_seed.values()
    return references[task].score(np.asarray(row.returns))


def _differences(
    arm: str, temperature: float, own: Matrix, other: Matrix, references: dict[str, Reference]
) -> Iterator[Aggregate]:
    """Paired: by seed, or with one seed by episode, for episode i of both arms begins from the same state."""
    pairs = {}
    for task in own:
        if own[task].keys() != other[task].keys():
            return
        mine, theirs = _samples(task, own[task], references), _samples(task, other[task], references)
        if len(mine) != len(theirs):
            return
        pairs[task] = mine - theirs
    several = any(len(by_seed) > 1 for by_seed in own.values())
    name, over = f"{arm} - {BASELINE}", SEEDS if several else EPISODES
    for task, sample in pairs.items():
        yield Aggregate(name, "difference", task, temperature, *mean_of_means([sample]), over)
    yield Aggregate(name, "difference", None, temperature, *_overall(list(pairs.values()), several), over)


def _overall(samples: list[np.ndarray], several: bool) -> Estimate:
    # A seed is one policy on all tasks, so seeds are drawn whole; episodes of different tasks have nothing in common.
    return mean_of_means([np.mean(samples, axis=0)] if several else samples)


def _check(rows: Sequence[Row], references: dict[str, Reference]) -> None:
    seen = set()
    for row in rows:
        key = (row.task, row.arm, row.seed, row.temperature)
        if key in seen:
            raise ComparisonError(
                f"arm '{row.arm}' has two evaluations of {row.task} with seed {row.seed} at temperature "
                f"{row.temperature}; give each run once, or runs of different arms different names (run.arm)"
            )
        seen.add(key)
        if row.task not in references:
            raise ComparisonError(
                f"{row.task} has no reference scores; compare runs of tasks that `ocelot domains` scores"
            )
    for arm in arms(rows):
        for temperature in temperatures(rows, arm):
            own = _matrix(rows, arm, temperature)
            seeds = {seed for by_seed in own.values() for seed in by_seed}
            for task, by_seed in own.items():
                if missing := seeds - by_seed.keys():
                    raise ComparisonError(
                        f"arm '{arm}': seed {min(missing, key=str)} has no evaluation of {task} at temperature "
                        f"{temperature}; evaluate it there too, or leave that run out"
                    )
