"""What learners are given in benchmarks: windows that fill their context."""

from dataclasses import dataclass

import numpy as np

from policy.images import PATCH, ImageShape
from policy.vocabulary import DEFAULT
from replay.trajectory import EXPERT, Trajectory

TASK = "gym/CartPole-v1"
"""Of all windows: nothing but a discount depends on it."""


@dataclass(frozen=True)
class Layout:
    """Tokens of a step: observed ones, a separator, and an action token."""

    observed: int
    actions: int
    """Legal ids of the action token."""
    image: ImageShape | None = None
    """What the observation is; None: numbers."""

    @property
    def patches(self) -> int:
        """Of a step."""
        return 0 if self.image is None else self.image.patches

    @property
    def intervals(self) -> np.ndarray:
        """As `Trajectory.patch_intervals`."""
        return np.zeros((0, 2, 2), dtype=np.int32) if self.image is None else self.image.intervals


CARTPOLE = Layout(observed=4, actions=2)
ATARI = Layout(observed=20, actions=18, image=ImageShape(1, 80, 64, 3))


def windows(count: int, context: int, layout: Layout = CARTPOLE) -> list[Trajectory]:
    """Windows of a whole context, of random tokens and pixels."""
    random = np.random.default_rng(0)
    size = layout.observed + 2
    steps = context // size
    first = DEFAULT.discrete.start
    result = []
    for number in range(count):
        tokens = random.integers(DEFAULT.continuous.start, DEFAULT.continuous.stop, (steps, size)).astype(np.int32)
        tokens[:, : layout.patches] = DEFAULT.patch
        tokens[:, layout.observed] = DEFAULT.separator
        tokens[:, layout.observed + 1] = random.integers(first, first + layout.actions, steps)
        rewards = np.ones(steps, dtype=np.float32)
        pixels = random.integers(0, 256, (steps, layout.patches, PATCH, PATCH, 3), dtype=np.uint8)
        result.append(
            Trajectory(
                task=TASK,
                source=EXPERT,
                actor=-1,
                episode=number,
                first_step=0,
                burn_in=0,
                tokens=tokens,
                tail=tokens[0, : layout.observed + 1].copy(),
                legal=np.array([[first, first + layout.actions]], dtype=np.int32),
                rewards=rewards,
                returns_to_go=np.cumsum(rewards)[::-1].copy(),
                terminated=False,
                truncated=True,
                log_probs=np.full((steps, 1), np.nan, dtype=np.float32),
                versions=np.full((steps, 2), -1, dtype=np.int32),
                context_start=np.full(steps, -1, dtype=np.int32),
                return_tokens=np.full(steps, -1, dtype=np.int32),
                temperature=-1.0,
                episode_return=float(steps),
                patches=pixels,
                tail_patches=pixels[0],
                patch_intervals=layout.intervals,
            )
        )
    return result
