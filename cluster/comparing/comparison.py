"""What a comparison is made of: rows of evaluations with their raw returns, the scale of their scores, and its file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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

    def score(self, returns: np.ndarray) -> np.ndarray:
        """(return - random) / (expert - random), any shape."""
        return (np.asarray(returns, dtype=np.float64) - self.random) / (self.expert - self.random)


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
    score: float
    """Mean normalised score."""

    @classmethod
    def make(
        cls,
        task: str,
        arm: str,
        returns: Sequence[float],
        reference: Reference,
        seed: int | None = None,
        checkpoint: str | None = None,
        temperature: float | None = None,
    ) -> "Row":
        """A row from raw returns, at least one."""
        values = [float(value) for value in returns]
        score = float(reference.score(np.asarray(values)).mean())
        return cls(task, arm, seed, checkpoint, temperature, len(values), values, score)


@dataclass(frozen=True)
class Aggregate:
    """One figure of the comparison with its 95% interval."""

    arm: str
    """An arm, or "A - B" for a paired difference."""
    metric: str
    """score, iqm, or difference (of scores)."""
    task: str | None
    """None: over all tasks."""
    temperature: float | None
    value: float
    low: float
    high: float
    interval: str
    """What the interval is over: the episodes of this checkpoint, or seeds."""


@dataclass(frozen=True)
class Comparison:
    """Everything that comparison.json holds."""

    rows: list[Row]
    references: dict[str, Reference]
    aggregates: list[Aggregate]
    environment: dict[str, Any]

    def save(self, file: Path) -> None:
        """Writes the file; its folder must exist."""
        content = {
            "rows": [asdict(row) for row in self.rows],
            "aggregates": [asdict(aggregate) for aggregate in self.aggregates],
            "references": {task: asdict(reference) for task, reference in self.references.items()},
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
                {task: Reference(**reference) for task, reference in content["references"].items()},
                [Aggregate(**aggregate) for aggregate in content["aggregates"]],
                content["environment"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ComparisonError(f"{file} is no comparison of `ocelot compare`: {error}") from None
