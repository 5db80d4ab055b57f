"""Value targets beyond the reach of the value heads: counted in every update, and told once for each task."""

from collections.abc import Mapping, Sequence

import torch

from learner.types import TaskInfo
from policy.values import symexp


class Clipping:
    """Who was told of already, and what is to be told.

    Args:
        bins: of the value heads, in symlog space, [K].
        tasks: by name.
    """

    def __init__(self, bins: torch.Tensor, tasks: Mapping[str, TaskInfo]):
        self._limit = float(bins[-1])
        self._reach = float(symexp(bins[-1]))
        self._tasks = tasks
        self._told: set[str] = set()
        self._warnings: list[str] = []

    def count(self, tasks: Sequence[str], clipped: torch.Tensor) -> torch.Tensor:
        """How many targets of a batch are clipped, int64 []; a task that has the first ones is to be told of.

        Args:
            tasks: of the batch's rows.
            clipped: how many targets of each row are, int64 [B].
        """
        total = clipped.sum()
        if total:
            for task, number in zip(tasks, clipped.tolist(), strict=True):
                if number and task not in self._told:
                    self._told.add(task)
                    self._warnings.append(self._warning(task))
        return total

    def take(self) -> list[str]:
        """Warnings since the last call."""
        warnings, self._warnings = self._warnings, []
        return warnings

    def _warning(self, task: str) -> str:
        return (
            f"{task}: some of its returns lie beyond {self._reach:.0f} or below {-self._reach:.0f}, which is as far as "
            "the value heads reach. They count as that bound, so its values are too small. Lower the task's discount "
            f"(now {self._tasks[task].discount:g}), let its environment give smaller rewards, or pretrain with a "
            f"larger policy.value_limit (now {self._limit:g})."
        )
