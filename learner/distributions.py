"""What an objective has read of a batch, for the log. Nothing is computed for it."""

import torch

from learner.statistics import Metrics
from learner.view import View


def cross_entropies(view: View) -> Metrics:
    """Each task's own, by `cross_entropy/TASK`, whatever weights the loss gave its tokens."""
    if "action_log_probs" not in vars(view):
        return {}
    return {f"cross_entropy/{task}": figure for task, figure in view.cross_entropies().items()}


def distributions(view: View) -> dict[str, torch.Tensor]:
    """For histograms.

    Returns:
        action_log_probs: of every action token that has a loss, [M]. values: V at the steps that have a loss, [steps].
    """
    read = vars(view)  # where cached properties keep what was computed
    found = {}
    if "action_log_probs" in read:
        found["action_log_probs"] = view.action_log_probs.detach()
    if "values" in read:
        found["values"] = view.values[:, :-1][view.batch.loss]
    return found
