"""What a fine-tuning run shows in TensorBoard; docs/metrics.md explains every tag."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from cluster.actor_pool import ActorPool
from cluster.learner_process import Updates


class Meters:
    """Turns what processes tell into scalars by tag; rates are over the time since the last call."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._steps: int | None = None
        self._update = 0
        self._seconds: dict[str, float] = {}
        self._serving: dict[str, float] = {}

    def serving(self, stats: Mapping[str, Any], update: int) -> None:
        """Takes in the policy server's `stats`, for the next scalars."""
        self._serving = {f"policy/{name}": float(stats[name]) for name in SERVING}
        self._serving["policy/version_lag"] = float(update - stats["version"][1])

    def scalars(self, update: int, steps: int, done: Updates, pool: ActorPool) -> dict[str, float]:
        """Of all processes.

        Args:
            update: learner updates so far.
            steps: environment steps so far.
            done: the last updates.
        """
        now = time.monotonic()
        passed = max(now - self._at, 1e-9)
        values: dict[str, float] = {}
        if self._steps is not None:
            values["charts/steps_per_second"] = (steps - self._steps) / passed
            values["charts/updates_per_second"] = (update - self._update) / passed
        self._at, self._steps, self._update = now, steps, update
        values["charts/updates"] = update
        for task, episodes in pool.finished().items():
            if episodes:
                values[f"charts/episodic_return/{task}"] = float(np.mean([each for each, _ in episodes]))
                values[f"charts/episodic_length/{task}"] = float(np.mean([each for _, each in episodes]))
        for name, value in done.metrics.items():
            values[f"losses/{name}"] = value
        for name in ("dropped", "age"):
            values[f"replay/{name}"] = done.replay[name]
        totals = {f"learner/{name}": value for name, value in done.seconds.items()}
        totals |= {f"actors/{name}": value / len(pool.members) for name, value in pool.seconds().items()}
        for name, value in totals.items():
            # A process that was replaced has begun to count anew.
            values[f"time/{name}"] = max(0.0, value - self._seconds.get(name, 0.0)) / passed
        self._seconds = totals
        return values | self._serving


SERVING = ("batch_fill", "queue_wait_ms", "rebuilds", "slides", "failures", "active_slots")


def tables(info: Mapping[str, Any]) -> dict[str, float]:
    """Scalars of replay's `info`."""
    values: dict[str, float] = {}
    for name, table in info.items():
        values[f"replay/size/{name}"] = table.size
        if table.inserts:
            values[f"replay/samples_per_insert/{name}"] = table.samples / table.inserts
    return values
