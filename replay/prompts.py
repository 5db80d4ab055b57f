"""Prompts: steps of an episode that stand in front of another one of the same task (Gato, arXiv 2205.06175, 2.2)."""

from typing import NamedTuple

import numpy as np

from replay.trajectory import Trajectory, no_patches


class Prompt(NamedTuple):
    """K timesteps (observation, separator, action) of S tokens; K may be 0."""

    tokens: np.ndarray
    """int32 [K, S]."""
    patches: np.ndarray
    """uint8 [K, P, 16, 16, 3]: the images that their patch tokens stand for."""

    @classmethod
    def of(cls, steps: Trajectory) -> "Prompt":
        """All steps of a record."""
        return cls(steps.tokens, steps.patches)


NO_PROMPT = Prompt(np.zeros((0, 0), dtype=np.int32), no_patches())
