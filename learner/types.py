"""What an objective is, and what it reads. The rest of learner/ imports this module."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from learner.scale import AdvantageScale
from learner.statistics import Metrics
from learner.view import View
from learner.workers import Rounds
from policy.errors import OcelotError
from policy.returns import ReturnScale
from replay.trajectory import Trajectory


class ScheduleError(OcelotError):
    """A schedule that names what does not exist, or fractions that do not sum to one."""


class DivergedError(OcelotError):
    """A loss or gradient that is not finite."""


class MemoryFullError(OcelotError):
    """A device without room for training."""


class CompileError(OcelotError):
    """A machine without what compiling needs."""


@dataclass(frozen=True)
class TaskInfo:
    """What the learner knows of a task beside its tokens."""

    discount: float = 0.99
    """Discount of value targets."""
    return_scale: ReturnScale | None = None
    """Range of return tokens; needed by return_conditioned only."""


@dataclass
class Update:
    """One batch as objectives see it."""

    view: View
    """Of the network that learns."""
    target: View | None
    """Of the moving-average network, without gradient; None unless the objective asks for it."""
    discount: torch.Tensor
    """float32 [B]."""
    scale: AdvantageScale
    settings: Any
    """The objective's own settings."""
    number: int
    """How many updates of this objective came before."""
    count: torch.Tensor
    """How many action tokens have a loss, of all workers; at least 1. So are the next two."""
    steps: torch.Tensor
    """Steps with a loss."""
    returns: torch.Tensor
    """Return tokens with a loss."""
    rounds: Rounds
    """For sums over all workers."""


Loss = tuple[torch.Tensor, Metrics]
"""A worker's part of the loss (the parts add up), and what to log."""


@dataclass(frozen=True)
class Objective:
    """One kind of update: a file of its own under objectives/, and one line in the registry."""

    name: str
    settings: type
    """A frozen dataclass; its fields may be set in the schedule."""
    loss: Callable[[Update], Loss]
    uses_target: bool = False
    """Reads the moving-average network."""
    with_return: bool = False
    """Its sequences hold return tokens; value losses never read such a sequence."""
    prompt_loss: bool = False
    """The action tokens of prompts have a loss too."""
    candidates: Callable[[Any, str], float] = lambda settings, table: 1.0
    """How many windows of a table to draw for each one used."""
    select: Callable[[list[Trajectory], int, Any], list[Trajectory]] = lambda windows, count, settings: windows[:count]
    """Which of the drawn windows of a table are used."""
