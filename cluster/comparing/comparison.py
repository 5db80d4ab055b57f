"""What a comparison is made of: runs, rows of evaluations with their raw returns, curves, figures, and its file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cluster.rundir import writing
from policy.errors import OcelotError


class ComparisonError(OcelotError):
    """Evaluations that cannot be held against each other."""


@dataclass(frozen=True)
class Reference:
    """The returns that score 0 and 1 on a task."""

    random: float
    expert: float
    published: str | None = None
    """The table that they are from, under another protocol; None: measured here."""

    def score(self, returns: np.ndarray) -> np.ndarray:
        """(return - random) / (expert - random), any shape."""
        return (np.asarray(returns, dtype=np.float64) - self.random) / (self.expert - self.random)


References = Mapping[str, Reference | None]
"""By task; None where nobody measured the returns that score 0 and 1: such a task is shown in returns."""


@dataclass(frozen=True)
class Run:
    """A run directory, as far as comparing needs it."""

    folder: str
    """Names it; different runs have different ones."""
    arm: str
    """The arm that it belongs to."""
    config: dict[str, Any]
    """Its whole resolved configuration."""
    environment: dict[str, Any]
    """Its environment.json: commit, versions, hardware, and the weights that it began from."""
    updates: int
    """At its last evaluation."""
    env_steps: int
    """At its last evaluation."""

    @property
    def seed(self) -> int:
        return self.config["run"]["seed"]

    @property
    def online(self) -> bool:
        """Whether `ocelot finetune` made it; else `ocelot pretrain` did."""
        return "actors" in self.config


@dataclass(frozen=True)
class Row:
    """One checkpoint (or a player that is none) on one task."""

    task: str
    arm: str
    seed: int | None
    """Of the run; None for players without one (random, demonstrations, expert)."""
    checkpoint: str | None
    """Which weights played; None for players without any."""
    temperature: float | None
    """Of action sampling, 0 greedy; None where nothing was sampled from a policy of ours."""
    episodes: int
    returns: list[float]
    """Of every episode."""
    score: float | None
    """Mean normalised score; None for a task without reference."""
    run: str | None = None
    """Folder of its run; None for players, and where it is not known."""

    @classmethod
    def make(
        cls,
        task: str,
        arm: str,
        returns: Sequence[float],
        reference: Reference | None,
        seed: int | None = None,
        checkpoint: str | None = None,
        temperature: float | None = None,
        run: str | None = None,
    ) -> "Row":
        """A row from raw returns, at least one."""
        values = [float(value) for value in returns]
        score = None if reference is None else float(reference.score(np.asarray(values)).mean())
        return cls(task, arm, seed, checkpoint, temperature, len(values), values, score, run)

    @property
    def value(self) -> float:
        """The score, or where there is none the mean return."""
        return float(np.mean(self.returns)) if self.score is None else self.score


@dataclass(frozen=True)
class Point:
    """One evaluation on a run's way, its beginning and end included."""

    task: str
    arm: str
    seed: int
    temperature: float
    updates: int
    env_steps: int
    seconds: float | None
    """Of training until then, without evaluations; None where it was not noted."""
    mean_return: float
    score: float | None
    run: str

    @property
    def value(self) -> float:
        """As of a row."""
        return self.mean_return if self.score is None else self.score


@dataclass(frozen=True)
class Aggregate:
    """One figure of the comparison with its 95% interval."""

    arm: str
    """An arm, or "A - B" for how A differs from B."""
    metric: str
    """score, return (of a task without reference), before (either, where the arm began), iqm, difference, improvement
    (the probability of it), regret, above_half or above_expert (tasks whose score is at least 0.5 or 1)."""
    task: str | None
    """None: over all tasks."""
    temperature: float | None
    value: float
    low: float | None
    high: float | None
    interval: str
    """What the interval is over, or why there is none."""


@dataclass(frozen=True)
class Comparison:
    """Everything that comparison.json holds."""

    rows: list[Row]
    references: dict[str, Reference | None]
    aggregates: list[Aggregate] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    """On which the figures were made."""
    runs: list[Run] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What keeps the arms from being comparable."""

    def save(self, file: Path) -> None:
        """Writes the file; its folder must exist."""
        content = {
            "warnings": self.warnings,
            "aggregates": [asdict(aggregate) for aggregate in self.aggregates],
            "rows": [asdict(row) for row in self.rows],
            "points": [asdict(point) for point in self.points],
            "references": {task: reference and asdict(reference) for task, reference in self.references.items()},
            "runs": [asdict(run) for run in self.runs],
            "environment": self.environment,
        }
        with writing(file):
            file.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, file: Path) -> "Comparison":
        """Reads what `save` wrote.

        Raises:
            ComparisonError: when the file is none of ours.
        """
        try:
            content = json.loads(file.read_text())
            return cls(
                [Row(**row) for row in content["rows"]],
                {task: reference and Reference(**reference) for task, reference in content["references"].items()},
                [Aggregate(**aggregate) for aggregate in content["aggregates"]],
                content["environment"],
                [Run(**run) for run in content.get("runs", [])],  # files of earlier versions have rows alone
                [Point(**point) for point in content.get("points", [])],
                content.get("warnings", []),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ComparisonError(f"{file} is no comparison of `ocelot compare`: {error!r}") from None
