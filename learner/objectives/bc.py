"""Behavioural cloning: masked cross-entropy on action tokens (Gato, arXiv 2205.06175, equation 1), prompts' included.

With `best` below one it is filtered cloning: of our own episodes, only the best share by return counts (the filter of
%BC in Decision Transformer, arXiv 2106.01345, section 4.2); demonstrations always count.
"""

import math
from dataclasses import dataclass

import torch

from learner.losses import cloning
from learner.types import Loss, Objective, Update
from replay.trajectory import Trajectory


@dataclass(frozen=True)
class Settings:
    best: float = 1.0
    """Share of our own windows that is cloned, the best by their episode's return within their task; 1 is all."""


def candidates(settings: Settings, table: str) -> float:
    return 1.0 if table == "expert" else 1.0 / settings.best


def select(windows: list[Trajectory], count: int, settings: Settings) -> list[Trajectory]:
    """The best `count` windows, each task keeping the share that it has among the finished candidates."""
    if len(windows) <= count:
        return windows
    finished = [window for window in windows if math.isfinite(window.episode_return)]
    by_task: dict[str, list[Trajectory]] = {}
    for window in finished:
        by_task.setdefault(window.task, []).append(window)
    chosen: list[Trajectory] = []
    for name in sorted(by_task):
        group = sorted(by_task[name], key=lambda window: -window.episode_return)
        chosen += group[: max(1, round(count * len(group) / len(finished)))]
    return chosen[:count]


def loss(update: Update) -> Loss:
    log_probs = update.view.action_log_probs
    result = cloning(log_probs, torch.ones_like(log_probs), update.count)
    return result, {"policy": result.detach()}


OBJECTIVE = Objective("bc", Settings, loss, prompt_loss=True, candidates=candidates, select=select)
