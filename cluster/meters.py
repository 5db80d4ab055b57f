"""What a fine-tuning run shows in TensorBoard; docs/metrics.md explains every tag."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from cluster.actor_pool import ActorPool
from cluster.updates import Updates
from replay.interface import TableInfo

SERVING = ("batch_fill", "queue_wait_ms", "queue_wait_max_ms", "rebuilds", "slides", "failures", "active_slots")


class Meters:
    """Turns what processes tell into scalars by tag; rates and shares are over the time since the last call."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._totals: dict[str, float] = {}
        self._spent: dict[str, float] = {}
        """Seconds by tag of time/, since the first totals."""
        self._watched = 0.0
        """Seconds since then."""
        self._serving: dict[str, float] = {}
        self._served: dict[str, float] = {}

    def serving(self, stats: Mapping[str, Any], update: int) -> None:
        """Takes in the policy server's `stats`, for the next scalars."""
        self._serving = {f"policy/{name}": float(stats[name]) for name in SERVING}
        self._serving["policy/version_lag"] = float(update - stats["version"][1])
        forward = float(stats["forward_seconds"])
        self._served = {
            "policy/actions_per_second": float(stats["rows"]),
            "policy/tokens_per_second": float(stats["tokens"]),
            "time/server/forward": forward,
            "time/server/batch": float(stats["act_seconds"]) - forward,
        }

    def scalars(
        self,
        update: int,
        steps: int,
        done: Updates,
        pool: ActorPool,
        tables: Mapping[str, TableInfo],
        driver: Mapping[str, float],
    ) -> dict[str, float]:
        """Of all processes.

        Args:
            update: learner updates so far.
            steps: environment steps so far.
            done: the last updates.
            pool: of the actors.
            tables: state of replay.
            driver: seconds that the driver has spent on each of its parts.
        """
        now = time.monotonic()
        passed, self._at = max(now - self._at, 1e-9), now
        values: dict[str, float] = {"charts/updates": update}
        for task, episodes in pool.finished().items():
            if episodes:
                values[f"charts/episodic_return/{task}"] = float(np.mean([each for each, _ in episodes]))
                values[f"charts/episodic_length/{task}"] = float(np.mean([each for _, each in episodes]))
        values |= {f"losses/{name}": value for name, value in done.metrics.items()}
        values |= {f"replay/{name}": done.replay[name] for name in ("dropped", "age")}
        values["replay/window_bytes"] = done.window_bytes
        totals = {"charts/steps_per_second": float(steps), "charts/updates_per_second": float(update), **self._served}
        for name, table in tables.items():
            values[f"replay/size/{name}"] = table.size
            values[f"replay/fill/{name}"] = table.size / table.max_size
            if table.inserts:
                values[f"replay/samples_per_insert/{name}"] = table.samples / table.inserts
            totals[f"replay/inserts_per_second/{name}"] = float(table.inserts)
            totals[f"replay/samples_per_second/{name}"] = float(table.samples)
        totals |= {f"time/learner/{name}": value for name, value in done.seconds.items()}
        totals |= {f"time/actors/{name}": value / len(pool.members) for name, value in pool.seconds().items()}
        totals |= {f"time/driver/{name}": value for name, value in driver.items()}
        for name, total in totals.items():
            if name in self._totals:  # else it has a beginning that nobody saw
                # A process that was replaced has begun to count anew.
                more = max(0.0, total - self._totals[name])
                values[name] = more / passed
                if name.startswith("time/"):
                    self._spent[name] = self._spent.get(name, 0.0) + more
        self._watched += passed if self._totals else 0.0
        self._totals = totals
        return values | self._serving

    def shares(self) -> dict[str, float]:
        """What each part of each process has taken of all the time so far, by tag of time/."""
        return {name: seconds / self._watched for name, seconds in self._spent.items()} if self._watched else {}


def histograms(done: Updates) -> dict[str, np.ndarray]:
    """Distributions of the last updates, by tag."""
    lead = {"age": "replay/ages"}
    return {lead.get(name, f"losses/{name}"): values for name, values in done.distributions.items()}
