"""From advantages to the weights of an advantage-weighted cloning loss; shared by awr, iql, crr and their kin."""

from dataclasses import dataclass

import torch

from learner.losses import cloning, effective_sample_size, exponential_weights
from learner.scale import RATE
from learner.types import Update


@dataclass(frozen=True)
class Weighting:
    """How advantages weigh the actor's loss."""

    temperature: float = 1.0
    """Of the weights exp(A / temperature), A in units of the task's running scale."""
    limit: float | None = 20.0
    """Weights are cut off here; null: never."""
    warmup: int = 0
    """Updates in which the critic learns alone: weights from an untrained critic are noise."""
    normalise: bool = False
    """Divide the weights by their mean in the batch, per task: the policy's step size then is that of cloning."""


def divisors(update: Update, advantages: torch.Tensor, rate: float = RATE, start: float | None = None) -> torch.Tensor:
    """The running scale of each row's task, [B], which takes in the advantages [B, N] first."""
    batch = update.view.batch
    result = torch.ones(len(batch.tasks), device=advantages.device, dtype=advantages.dtype)
    for task, rows in batch_tasks(update):
        result[rows] = update.scale.update(task, advantages[rows][batch.loss[rows]], rate, start)
    return result


def weighted_cloning(
    update: Update, advantages: torch.Tensor, scale: torch.Tensor, binary: bool = False
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The actor's loss for advantages [B, N] (detached) and each row's scale [B], and what to log.

    The objective's settings are a `Weighting`. With `binary` the weights are 1[A > 0].
    """
    batch, settings = update.view.batch, update.settings
    weights, cut = exponential_weights(advantages / scale.unsqueeze(1), settings.temperature, settings.limit)  # [B, N]
    if binary:
        weights = (advantages > 0).to(advantages.dtype)
    if settings.normalise:
        weights = _mean_one(update, weights)
    used = weights[batch.loss]
    metrics = {
        "advantage_mean": advantages[batch.loss].mean(),
        "advantage_std": advantages[batch.loss].std(unbiased=False),
        "weight_mean": used.mean(),
        "weight_cut": cut,
        "effective_sample_size": effective_sample_size(used),
    }
    if update.number < settings.warmup:
        return torch.zeros((), device=advantages.device), metrics
    loss = cloning(update.view.action_log_probs, weights.reshape(-1)[batch.action_step], update.count)
    return loss, metrics | {"policy": loss.detach()}


def batch_tasks(update: Update) -> list[tuple[str, torch.Tensor]]:
    """Each task of the batch with its rows, int64."""
    tasks = update.view.batch.tasks
    device = update.view.batch.rewards.device
    return [
        (task, torch.tensor([row for row, name in enumerate(tasks) if name == task], device=device))
        for task in sorted(set(tasks))
    ]


def _mean_one(update: Update, weights: torch.Tensor) -> torch.Tensor:
    """Weights [B, N] divided by their mean over each task's loss steps, so that no task outweighs another."""
    batch, result = update.view.batch, weights.clone()
    for _, rows in batch_tasks(update):
        result[rows] = weights[rows] / weights[rows][batch.loss[rows]].mean().clamp(min=1e-8)
    return result
