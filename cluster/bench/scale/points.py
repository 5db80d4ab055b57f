"""What one load did to each part: rates between two readings of all counters."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Reading = Mapping[str, float]
"""Counters by name, all since some beginning, and `time`; processor time of a process is under cpu/NAME."""


@dataclass(frozen=True)
class Point:
    """One load. What a sweep does not have is 0. Medians of the repeats."""

    sweep: str
    """replay, gate, learner, server: that part alone; loop: all together."""
    actors: int
    environments: int
    """Of each actor."""
    step_ms: float
    """Of one environment; an actor steps half of its environments one after another."""
    steps_per_second: float
    """Environment steps of all actors."""
    steps_low: float
    steps_high: float
    calls_per_second: float
    """Answers of the policy server."""
    call_ms: float
    """From an actor's asking to its having the answer, the mean."""
    call_bytes: float
    """Arrays of a request and its answer."""
    items_per_second: float
    """Windows that replay took."""
    write_ms: float
    """Of one writing, from handing over to confirmation or to room in the queue, the mean."""
    item_bytes: float
    """Arrays of a window."""
    batches_per_second: float
    batch_rows: float
    """Environments in one batch of the server."""
    busy: float
    """Share of the time in which the server's engine worked."""
    engine_cores: float
    """Processor seconds a second of the server's busiest thread, which is its engine's."""
    updates_per_second: float
    look_ms: float
    """Of the driver, for one look at all actors."""
    cores: dict[str, float]
    """Processor seconds a second, by process."""

    @property
    def call_bytes_per_second(self) -> float:
        return self.calls_per_second * self.call_bytes

    @property
    def item_bytes_per_second(self) -> float:
        return self.items_per_second * self.item_bytes

    @classmethod
    def between(cls, sweep: str, actors: int, environments: int, step: float, readings: Sequence[Reading]) -> "Point":
        """Of repeats that lie between readings; `step` is in seconds."""
        parts = [
            {name: after[name] - before.get(name, 0.0) for name in after}
            for before, after in itertools.pairwise(readings)
        ]

        def ratio(name: str, per: str, scale: float = 1.0) -> float:
            return statistics.median(
                scale * part.get(name, 0.0) / part[per] if part.get(per) else 0.0 for part in parts
            )

        steps = [part.get("steps", 0.0) / part["time"] for part in parts]
        return cls(
            sweep=sweep,
            actors=actors,
            environments=environments,
            step_ms=1000.0 * step,
            steps_per_second=statistics.median(steps),
            steps_low=min(steps),
            steps_high=max(steps),
            calls_per_second=ratio("calls", "time"),
            call_ms=ratio("call_seconds", "calls", 1000.0),
            call_bytes=ratio("call_bytes", "calls"),
            items_per_second=ratio("items", "time"),
            write_ms=ratio("write_seconds", "writes", 1000.0),
            item_bytes=ratio("item_bytes", "items"),
            batches_per_second=ratio("batches", "time"),
            batch_rows=ratio("rows", "batches"),
            busy=ratio("act_seconds", "time"),
            engine_cores=statistics.median(_busiest(part) / part["time"] for part in parts),
            updates_per_second=ratio("updates", "time"),
            look_ms=ratio("look_seconds", "looks", 1000.0),
            cores={name.removeprefix("cpu/"): ratio(name, "time") for name in readings[-1] if name.startswith("cpu/")},
        )


def _busiest(part: Reading) -> float:
    """Seconds of the thread that worked most in this time: not before it, when the main thread imported everything."""
    return max((seconds for name, seconds in part.items() if name.startswith("thread/")), default=0.0)
