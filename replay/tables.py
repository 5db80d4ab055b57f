"""Which tables replay holds, how large they are, and how sampling is held against inserting."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

DOCUMENTED: dict[str, Any] = {"extra": "forbid", "use_attribute_docstrings": True}


@dataclass(frozen=True)
class TableConfig:
    """One table: a first-in, first-out store of windows, sampled in proportion to their `Trajectory.priority`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    max_size: int = 10_000
    """Windows that the table holds; past it the oldest go."""
    min_size: int = 1
    """Sampling waits until the table holds so many windows."""
    samples_per_insert: float | None = None
    """Hold so many samples for each inserted window by letting the faster side wait; null lets both run free."""
    error_buffer: float = 256.0
    """Samples by which the ratio may be off in either direction before a side waits; widened where that deadlocks."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_size <= self.max_size:
            raise ValueError(f"min_size {self.min_size} must lie in [1, max_size {self.max_size}]")
        if self.samples_per_insert is not None and not self.samples_per_insert > 0:
            raise ValueError(f"samples_per_insert {self.samples_per_insert} must be above 0, or null")

    def allowed_error(self) -> tuple[float, float]:
        """Range that inserts * samples_per_insert - samples must stay in, once the table holds min_size windows.

        It lies around min_size * samples_per_insert, so that what was inserted before sampling began is not owed, and
        is never narrower than one insert and one sample either way: narrower, both sides would wait for each other.
        """
        assert self.samples_per_insert is not None
        middle = self.min_size * self.samples_per_insert
        reach = max(self.error_buffer, 2.0 * max(1.0, self.samples_per_insert))
        return middle - reach, middle + reach


TABLES = {
    "expert": TableConfig(max_size=5_000),
    "online": TableConfig(max_size=10_000, min_size=64, samples_per_insert=4.0),
    "prompts": TableConfig(max_size=500),
}
"""Every table there is, with its defaults; one more is one entry."""

FILLED_BY = {"expert": "the demonstrations' feeder", "online": "the actors", "prompts": "the prompts' feeder"}
"""Who writes to a table, for messages."""


@dataclass(frozen=True)
class ReplayConfig:
    """Where windows are kept between the actors and the learner."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    backend: Literal["reverb", "memory"] = "reverb"
    """reverb (a server process; Linux x86-64 and Python up to 3.11) or memory (a Ray actor; anywhere)."""
    port: int = 0
    """Port of a Reverb server that cannot be sealed off, the same over restarts; 0 picks a free one at the start."""
    shards: int = 1
    """Reverb servers, each with a part of every table, where one cannot carry all; memory has one store."""
    gates: int = 1
    """Ray actors that pass windows on to Reverb from actors on other machines, each for a part of these actors."""
    tables: dict[str, TableConfig] = field(default_factory=dict)
    """Settings by table; a table that is left out keeps its defaults."""
    max_policy_lag: int | None = None
    """Drop online windows that were acted more than so many updates ago; null keeps all."""
    checkpoint_seconds: float = 120.0
    """The store is written to disk this often, on its own clock; inserts and samples wait meanwhile."""
    patience: float = 60.0
    """Seconds that a dead server may take to come back before whoever needs it gives up with an error."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.tables) - set(TABLES))
        if unknown:
            raise ValueError(f"unknown table '{unknown[0]}'; the tables are {', '.join(TABLES)}")
        if not 0 <= self.port < 65536:
            raise ValueError(f"port {self.port} must lie in [0, 65535]")
        if self.shards < 1 or (self.shards > 1 and self.backend == "memory"):
            raise ValueError(f"shards {self.shards} must be at least 1, and 1 with the memory backend")
        if self.port and self.port + self.shards > 65536:
            raise ValueError(f"port {self.port} leaves no ports for {self.shards} shards")
        if self.gates < 1:
            raise ValueError(f"{self.gates} gates let no window through; at least 1")
        object.__setattr__(self, "tables", TABLES | self.tables)

    def limited(self, sampled: Collection[str], filled_by_actors: Collection[str]) -> dict[str, TableConfig]:
        """The tables with the ratio held only where it can hold.

        A table that nobody samples would block its writers for ever, and one that actors do not fill would block the
        learner; there only the minimum size counts.

        Args:
            sampled: tables that the schedule draws from.
            filled_by_actors: tables that actors write to.
        """
        return {
            name: table if name in sampled and name in filled_by_actors else replace(table, samples_per_insert=None)
            for name, table in self.tables.items()
        }
