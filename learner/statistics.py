"""Figures of an update that several workers hold parts of.

An objective logs plain tensors, which add up over the workers (a loss is a local sum over a global count), and what
does not add up as a `Statistic`: sums that do, and what is made of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Statistic:
    """A figure that is made of sums."""

    sums: torch.Tensor
    """float64 [K]; those of all workers add up."""
    finish: Callable[[list[float]], float]
    """From the K sums to the figure; a function of this module, so that it can be sent."""

    @property
    def value(self) -> float:
        """The figure of this worker alone."""
        return self.finish(self.sums.tolist())


Metrics = dict[str, torch.Tensor | Statistic]
Sums = dict[str, tuple[list[float], Callable[[list[float]], float]]]


def mean(values: torch.Tensor) -> Statistic:
    """Of all values [...]; NaN where no worker has one."""
    wide = values.detach().double()
    return Statistic(torch.stack([wide.sum(), wide.new_tensor(float(wide.numel()))]), _mean)


def deviation(values: torch.Tensor) -> Statistic:
    """Standard deviation of all values [...]."""
    wide = values.detach().double()
    return Statistic(torch.stack([wide.sum(), wide.new_tensor(float(wide.numel())), (wide**2).sum()]), _deviation)


def effective_sample_size(weights: torch.Tensor) -> Statistic:
    """(sum w)^2 / (n sum w^2), a share in (0, 1]; 1 when all weights [...] are alike, and where there are none."""
    wide = weights.detach().double()
    return Statistic(torch.stack([wide.sum(), wide.new_tensor(float(wide.numel())), (wide**2).sum()]), _sample_size)


def by_task(
    figure: Callable[[torch.Tensor], Statistic], values: torch.Tensor, rows: torch.Tensor, tasks: Sequence[str]
) -> dict[str, Statistic]:
    """A figure of each task's own values; of those tasks that have any.

    Args:
        figure: `mean`, `deviation` or `effective_sample_size`.
        values: [M].
        rows: int64 [M], in [0, B): the row of the batch that each belongs to.
        tasks: of the B rows.
    """
    names = sorted(set(tasks))
    place = torch.tensor([names.index(task) for task in tasks])[rows.cpu()]  # [M]
    here = values.detach().cpu()  # all of them at once: on a GPU each look at a task's own would wait
    return {names[index]: figure(here[place == index]) for index in place.unique().tolist()}


def sums(metrics: Metrics) -> Sums:
    """The figures of one worker as plain numbers that can be sent."""
    return {
        name: (value.sums.tolist(), value.finish) if isinstance(value, Statistic) else ([float(value)], _plain)
        for name, value in metrics.items()
    }


def together(parts: list[Sums]) -> dict[str, float]:
    """The figures of all workers; one that some did not have is that of the others."""
    merged: Sums = {}
    for part in parts:
        for name, (values, finish) in part.items():
            before = merged.get(name, ([0.0] * len(values), finish))[0]
            merged[name] = ([one + other for one, other in zip(before, values, strict=True)], finish)
    return {name: finish(values) for name, (values, finish) in merged.items()}


def _plain(values: list[float]) -> float:
    return values[0]


def _mean(values: list[float]) -> float:
    total, count = values
    return total / count if count else float("nan")


def _deviation(values: list[float]) -> float:
    total, count, squares = values
    return max(0.0, squares / count - (total / count) ** 2) ** 0.5 if count else float("nan")


def _sample_size(values: list[float]) -> float:
    total, count, squares = values
    return total**2 / max(count * squares, 1e-30) if count else 1.0
