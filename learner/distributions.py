"""What an objective has read of a batch, for histograms."""

import torch

from learner.view import View


def distributions(view: View) -> dict[str, torch.Tensor]:
    """Only what was computed anyway; nothing is computed for histograms.

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
