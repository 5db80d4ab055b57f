"""The returns that score 0 and 1 on a task, measured or published, and scores put together as Gato's are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cluster.comparing.comparison import ComparisonError, Reference


def find(task: str) -> Reference | None:
    """The scale of a task: measured, or for a game of Atari that nobody measured, published.

    None where there is neither, or the expert is no better than random actions: such a task has no score (`why_not`).
    """
    known = _scale(task)
    return known if known is not None and known.expert > known.random else None


def why_not(task: str) -> str:
    """What a task without a score lacks."""
    known = _scale(task)
    if known is None:
        return f"nobody measured its reference returns (`ocelot experts measure {task}`)"
    return f"its expert, {known.expert:.1f} on average, is no better than random actions, {known.random:.1f}"


def required(task: str) -> Reference:
    """As `find`.

    Raises:
        ComparisonError: where it finds none.
    """
    known = find(task)
    if known is None:
        raise ComparisonError(f"{task} has no score: {why_not(task)}")
    return known


def _scale(task: str) -> Reference | None:
    from actors.experts import published, references

    measured = references.find(task)
    if measured is not None:
        return Reference(measured.random.mean, measured.expert.mean)
    row = published.find(task)
    return None if row is None else Reference(row.random, row.expert, f"{row.player}, {row.source}")


@dataclass(frozen=True)
class DomainScores:
    """Scores in percent of the expert: 100 (return - random) / (expert - random); Gato, arXiv 2205.06175, section 4."""

    tasks: dict[str, float] = field(default_factory=dict)
    domains: dict[str, float] = field(default_factory=dict)
    """Mean over each domain's tasks."""
    excluded: dict[str, str] = field(default_factory=dict)
    """Tasks without a score, and why (`why_not`)."""

    @property
    def mean(self) -> float:
        """Over domains; NaN where no task has a score."""
        return float(np.mean(list(self.domains.values()))) if self.domains else float("nan")


def domain_scores(returns: Mapping[str, Sequence[float]]) -> DomainScores:
    """From the returns of each task's episodes."""
    scores = DomainScores()
    for task, values in returns.items():
        reference = find(task)
        if reference is None:
            scores.excluded[task] = why_not(task)
        else:
            scores.tasks[task] = 100.0 * float(reference.score(np.asarray(values)).mean())
    for domain in dict.fromkeys(task.partition("/")[0] for task in scores.tasks):
        own = [score for task, score in scores.tasks.items() if task.partition("/")[0] == domain]
        scores.domains[domain] = float(np.mean(own))
    return scores
