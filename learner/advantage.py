"""From advantages to the weights of an advantage-weighted cloning loss; shared by awr, iql, crr and their kin."""

from dataclasses import dataclass

import torch

from learner.losses import cloning, exponential_weights
from learner.scale import RATE
from learner.statistics import Metrics, by_task, deviation, effective_sample_size, mean
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
    """The running scale of each row's task, [B], which takes in the advantages [B, N] of all workers first."""
    batch = update.view.batch
    for task, (squares, count) in update.rounds.total(_sums(update, advantages.double() ** 2)).items():
        update.scale.update(task, squares, count, rate, start)
    scales = [update.scale.scale(task) for task in batch.tasks]
    return torch.tensor(scales, device=advantages.device, dtype=advantages.dtype)


def weighted_cloning(
    update: Update, advantages: torch.Tensor, scale: torch.Tensor, binary: bool = False
) -> tuple[torch.Tensor, Metrics]:
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
    metrics: Metrics = {
        "advantage_mean": mean(advantages[batch.loss]),
        "advantage_std": deviation(advantages[batch.loss]),
        "weight_mean": mean(used),
        "weight_cut": mean(cut[batch.loss]),
        "effective_sample_size": effective_sample_size(used),
    }
    sizes = by_task(effective_sample_size, used, batch.loss.nonzero()[:, 0], batch.tasks)
    metrics |= {f"effective_sample_size/{task}": size for task, size in sizes.items()}
    if update.number < settings.warmup:
        return torch.zeros((), device=advantages.device), metrics
    loss = cloning(update.view.action_log_probs, weights.reshape(-1)[batch.action_step], update.count)
    return loss, metrics | {"policy": loss.detach()}


def _mean_one(update: Update, weights: torch.Tensor) -> torch.Tensor:
    """Weights [B, N] divided by their mean over each task's loss steps, so that no task outweighs another."""
    totals = update.rounds.total(_sums(update, weights))
    means = [totals[task][0] / max(totals[task][1], 1.0) for task in update.view.batch.tasks]
    return weights / torch.tensor(means, device=weights.device, dtype=weights.dtype).clamp(min=1e-8).unsqueeze(1)


def _sums(update: Update, values: torch.Tensor) -> dict[str, tuple[float, float]]:
    """Sum and number of the values [B, N] at the steps of each task that have a loss."""
    batch = update.view.batch
    of_rows = values.double().masked_fill(~batch.loss, 0.0).sum(dim=1).tolist()
    result: dict[str, tuple[float, float]] = {}
    for task, total, count in zip(batch.tasks, of_rows, batch.loss.sum(dim=1).tolist(), strict=True):
        before = result.get(task, (0.0, 0.0))
        result[task] = (before[0] + total, before[1] + count)
    return result
