"""What a learner tells of its updates: of several learners, and of several calls, as one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from policy.types import Version


@dataclass(frozen=True)
class Updates:
    """What a few updates in a row did."""

    version: Version
    """After them."""
    metrics: dict[str, float]
    """Means over the updates that logged them."""
    logged: dict[str, int]
    """How many updates logged each."""
    seconds: dict[str, float]
    """Spent since the process began on: update and its parts (update/forward, ...), wait (for windows)."""
    replay: dict[str, float]
    """Of the window stream, as its `stats`."""
    window_bytes: float
    """Mean size of the windows of the last update."""
    warnings: list[str]
    """Of the learner, since the last ones."""
    distributions: dict[str, np.ndarray]
    """float32 [n] by name: of each objective's last batch (OBJECTIVE/...), and the ages of its windows (age)."""


def together(done: Sequence[Updates]) -> Updates:
    """What all learners did, as one: losses are those of all already, seconds are the first one's."""
    first = done[0]
    replay = {name: sum(each.replay[name] for each in done) for name in first.replay}
    replay["age"] = _mean([each.replay["age"] for each in done])
    kinds = dict.fromkeys(name for each in done for name in each.distributions)
    return Updates(
        first.version,
        first.metrics,
        first.logged,
        first.seconds,
        replay,
        _mean([each.window_bytes for each in done]),
        list(dict.fromkeys(warning for each in done for warning in each.warnings)),
        {
            kind: np.concatenate([each.distributions[kind] for each in done if kind in each.distributions])
            for kind in kinds
        },
    )


def following(before: Updates, now: Updates) -> Updates:
    """What one learner did in calls one after the other, as one: means are those over all updates."""
    logged = {name: before.logged.get(name, 0) + now.logged.get(name, 0) for name in before.logged | now.logged}
    sums = {
        name: sum(each.metrics[name] * each.logged[name] for each in (before, now) if name in each.metrics)
        for name in logged
    }
    return replace(
        now,
        metrics={name: total / logged[name] for name, total in sums.items()},
        logged=logged,
        distributions=before.distributions | now.distributions,
    )


def _mean(values: list[float]) -> float:
    """Of those that are numbers; NaN without any."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
