"""The returns that score 0 and 1 on a task, as they were measured, and scores put together as Gato's are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cluster.comparing.comparison import ComparisonError, Reference


def find(task: str) -> Reference | None:
    """None where nobody measured them, or the expert is no better than random actions: such a task has no score."""
    from actors.experts import references

    measured = references.find(task)
    if measured is None or not measured.meaningful:
        return None
    return Reference(measured.random.mean, measured.expert.mean)


def required(task: str) -> Reference:
    """As `find`.

    Raises:
        ComparisonError: when nobody measured them.
    """
    known = find(task)
    if known is None:
        raise ComparisonError(f"{task} has no reference scores (`ocelot domains {task}`), so it has no score")
    return known


@dataclass(frozen=True)
class DomainScores:
    """Scores in percent of the expert: 100 (return - random) / (expert - random); Gato, arXiv 2205.06175, section 4."""

    tasks: dict[str, float] = field(default_factory=dict)
    domains: dict[str, float] = field(default_factory=dict)
    """Mean over each domain's tasks."""
    excluded: list[str] = field(default_factory=list)
    """Tasks without a score: nobody measured their expert, or it is no better than random actions."""

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
            scores.excluded.append(task)
        else:
            scores.tasks[task] = 100.0 * float(reference.score(np.asarray(values)).mean())
    for domain in dict.fromkeys(task.partition("/")[0] for task in scores.tasks):
        own = [score for task, score in scores.tasks.items() if task.partition("/")[0] == domain]
        scores.domains[domain] = float(np.mean(own))
    return scores
