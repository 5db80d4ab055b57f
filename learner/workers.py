"""The processes that train one network together, each on its own share of every batch.

All of them run the same updates in the same order, and meet in every one at the same points: `Alone` is a learner that
meets nobody, `Together` speaks through the default process group of torch.distributed, which Ray Train sets up.
"""

from typing import Any, Protocol

import torch


class Workers(Protocol):
    """Who trains together."""

    rank: int
    """This worker's number, from 0 on."""
    size: int
    """How many there are."""

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over the workers of a float64 tensor on the CPU; every worker gives one of the same shape."""

    def gather(self, value: Any) -> list[Any]:
        """What each worker gives (anything that can be pickled), in the order of their numbers."""


class Alone:
    """One worker."""

    rank = 0
    size = 1

    def total(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def gather(self, value: Any) -> list[Any]:
        return [value]


class Together:
    """The default process group, which must be there; it needs a backend for the CPU (gloo) beside one for GPUs."""

    def __init__(self) -> None:
        from torch import distributed

        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()

    def total(self, values: torch.Tensor) -> torch.Tensor:
        from torch import distributed

        distributed.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        from torch import distributed

        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values


class Rounds:
    """Sums by task over the workers in the midst of a loss.

    Objectives need a different number of them, and workers may have different objectives. So nobody counts: each round
    tells whether somebody still works on a loss, and who is done goes on with zeros until all are.

    Args:
        workers: who trains together.
        tasks: every task that any worker may hold.
    """

    def __init__(self, workers: Workers, tasks: list[str]):
        self._workers = workers
        self._places = {task: place for place, task in enumerate(sorted(tasks))}

    def total(self, sums: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        """Two sums for each task of this worker -> those of all workers, for the tasks that any of them holds."""
        own = torch.zeros(len(self._places), 2, dtype=torch.float64)
        for task, values in sums.items():
            own[self._places[task]] = torch.tensor(values, dtype=torch.float64)
        every, _ = self._round(own, working=True)
        return {task: (float(every[place, 0]), float(every[place, 1])) for task, place in self._places.items()}

    def finish(self) -> None:
        """Waits until every worker has its loss; nothing may be asked after it."""
        if self._workers.size == 1:
            return
        working = True
        while working:
            _, working = self._round(torch.zeros(len(self._places), 2, dtype=torch.float64), working=False)

    def _round(self, own: torch.Tensor, working: bool) -> tuple[torch.Tensor, bool]:
        told = torch.cat([own.flatten(), own.new_tensor([float(working)])])  # [2 tasks + 1]
        every = self._workers.total(told)
        return every[:-1].view(-1, 2), bool(every[-1] > 0)
