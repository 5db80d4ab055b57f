"""The cycle of objectives that an arm trains with, and where each takes its data from."""

import difflib
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from learner.objectives import OBJECTIVES
from learner.types import Objective, ScheduleError
from replay.stream import split


@dataclass(frozen=True)
class Entry:
    """`repeat` updates in a row with one objective."""

    __pydantic_config__: ClassVar[dict] = {"extra": "forbid", "use_attribute_docstrings": True}

    objective: str
    """Which objective: bc, return_conditioned, awr, iql, crr, cql or pac."""
    repeat: int = 1
    """Updates in a row."""
    batch: int = 32
    """Windows in a batch."""
    data: dict[str, float] = field(default_factory=lambda: {"expert": 1.0})
    """Share of the batch from each replay table; the shares sum to one."""
    entropy: float = 0.0
    """Weight of an entropy bonus: minus so many times the policy's mean entropy, in nats, is added to the loss."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The objective's own settings; docs/objectives.md lists them."""

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            near = difflib.get_close_matches(self.objective, OBJECTIVES, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ScheduleError(f"schedule: unknown objective '{self.objective}'{hint} Known: {', '.join(OBJECTIVES)}")
        if not self.data:
            raise ScheduleError(
                f"schedule: {self.objective}: data names no table; data: {{expert: 1.0}} is the default"
            )
        known = [setting.name for setting in fields(self.kind.settings)]
        for key in self.settings:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise ScheduleError(
                    f"schedule: {self.objective} has no setting '{key}'{hint} Known: {', '.join(known)}"
                )
        if self.repeat < 1 or self.batch < 1:
            raise ScheduleError(f"schedule: {self.objective}: repeat and batch must be at least 1")
        if abs(sum(self.data.values()) - 1.0) > 1e-6 or min(self.data.values()) < 0.0:
            raise ScheduleError(f"schedule: {self.objective}: the shares {self.data} must not be negative and sum to 1")

    @property
    def kind(self) -> Objective:
        return OBJECTIVES[self.objective]

    def counts(self) -> dict[str, int]:
        """Windows from each table, as `replay.stream.split`."""
        return split(self.data, self.batch)

    def share(self, workers: int) -> dict[str, int]:
        """Windows from each table for each of so many workers.

        Raises:
            ScheduleError: when the batch cannot be shared evenly.
        """
        if self.batch % workers:
            near = max(workers, self.batch // workers * workers)
            raise ScheduleError(
                f"schedule: {self.objective}: {workers} workers cannot share a batch of {self.batch} windows evenly; "
                f"set batch to {near} or {near + workers}, or parallel.workers to a number that divides it"
            )
        return split(self.data, self.batch // workers)


class Schedule:
    """Entries in turn, each `repeat` times, for ever.

    Raises:
        ScheduleError: when there are none.
    """

    def __init__(self, entries: list[Entry]):
        if not entries:
            raise ScheduleError("schedule: it has no entries; give at least one objective")
        self.entries = list(entries)
        self.cycle = [entry for entry in self.entries for _ in range(entry.repeat)]

    def at(self, update: int) -> Entry:
        """The entry of an update, counted from 0."""
        return self.cycle[update % len(self.cycle)]

    @property
    def tables(self) -> set[str]:
        """Tables that the schedule samples."""
        return {table for entry in self.entries for table, share in entry.data.items() if share > 0.0}

    @property
    def uses_target(self) -> bool:
        return any(entry.kind.uses_target for entry in self.entries)
