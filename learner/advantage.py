"""From advantages to the weights of an advantage-weighted cloning loss; shared by awr, iql and their kin."""

import torch

from learner.losses import cloning, effective_sample_size, exponential_weights
from learner.types import Update


def scaled(update: Update, advantages: torch.Tensor) -> torch.Tensor:
    """Advantages [B, N] divided by the running scale of each row's task, which takes them in first."""
    batch = update.view.batch
    tasks = sorted(set(batch.tasks))
    divisor = torch.ones(len(batch.tasks), device=advantages.device)
    for task in tasks:
        rows = torch.tensor([name == task for name in batch.tasks], device=advantages.device)
        scale = update.scale.update(task, advantages[rows][batch.loss[rows]])
        divisor = torch.where(rows, scale, divisor)
    return advantages / divisor.unsqueeze(1)


def weighted_cloning(
    update: Update, advantages: torch.Tensor, temperature: float, limit: float, warmup: int, normalise: bool
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The actor's loss for advantages [B, N] (detached), and what to log.

    During the first `warmup` updates the critic learns alone: weights from an untrained critic are noise.
    """
    batch = update.view.batch
    weights, cut = exponential_weights(scaled(update, advantages), temperature, limit)  # [B, N]
    if normalise:
        weights = _mean_one(update, weights)
    used = weights[batch.loss]
    metrics = {
        "advantage_mean": advantages[batch.loss].mean(),
        "advantage_std": advantages[batch.loss].std(unbiased=False),
        "weight_mean": used.mean(),
        "weight_cut": cut,
        "effective_sample_size": effective_sample_size(used),
    }
    if update.number < warmup:
        return torch.zeros((), device=advantages.device), metrics
    loss = cloning(update.view.action_log_probs, weights.reshape(-1)[batch.action_step], update.count)
    return loss, metrics | {"policy": loss.detach()}


def _mean_one(update: Update, weights: torch.Tensor) -> torch.Tensor:
    """Weights [B, N] divided by their mean over each task's loss steps, so that no task outweighs another."""
    batch = update.view.batch
    result = weights
    for task in sorted(set(batch.tasks)):
        rows = torch.tensor([name == task for name in batch.tasks], device=weights.device)
        mean = weights[rows][batch.loss[rows]].mean()
        result = torch.where(rows.unsqueeze(1), weights / mean.clamp(min=1e-8), result)
    return result
