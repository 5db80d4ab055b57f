"""What a policy's value head says along an episode."""

from typing import TYPE_CHECKING

import numpy as np

from policy.model import Policy

if TYPE_CHECKING:
    from replay.trajectory import Trajectory

AT_ONCE = 8  # windows in one forward pass


def state_values(policy: Policy, windows: "list[Trajectory]") -> np.ndarray | None:
    """V at each step of an episode, in the contexts in which the policy acted, as the learner computes it.

    Args:
        policy: the network.
        windows: of the whole episode, in order.

    Returns:
        float32 [N], in returns; None for a value head that was never trained (pure cloning trains none).
    """
    import torch

    from learner.view import View
    from replay.batch import collate

    if not any(bool(parameter.any()) for parameter in policy.value.parameters()):
        return None  # as it was made: all zeros
    found = []
    with torch.no_grad():
        for first in range(0, len(windows), AT_ONCE):
            chunk = windows[first : first + AT_ONCE]
            values = View(policy, collate(chunk)).values.float().numpy()  # [windows, most steps + 1]
            for row, window in enumerate(chunk):
                found.append(values[row, window.burn_in : len(window)])
    return np.concatenate(found)
