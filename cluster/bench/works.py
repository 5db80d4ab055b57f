"""What the decoding benchmark serves: how many tokens a step has, and how large the policy is."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from policy.config import PolicyConfig
from policy.images import PATCH, ImageShape
from policy.types import ActRequest
from policy.vocabulary import DEFAULT

SLOTS = 64
CONTEXT = 256
MODELS = {
    "4x128": PolicyConfig(layers=4, width=128, heads=4, feedforward=512, context=CONTEXT),
    "6x256": PolicyConfig(layers=6, width=256, heads=8, feedforward=1024, context=CONTEXT),
    "8x768": PolicyConfig(layers=8, width=768, heads=24, feedforward=3072, context=CONTEXT),
}


@dataclass(frozen=True)
class Work:
    """Random steps of one kind of task: as many tokens as the task has, of which the last ones are its action."""

    name: str
    observed: int
    """Tokens of the observation, of which the first stand for image patches; the separator follows."""
    acting: int
    """Tokens of the action."""
    choices: int
    """Legal ids of each action token; all continuous."""
    patches: int = 0
    """Image patches of the observation."""

    @property
    def step_tokens(self) -> int:
        """Tokens of a whole step."""
        return self.observed + 1 + self.acting

    @property
    def steps(self) -> int:
        """Whole steps that fit into the context: the length of an episode."""
        return CONTEXT // self.step_tokens

    @cached_property
    def legal(self) -> np.ndarray:
        """int32 [acting, 2]."""
        start = DEFAULT.continuous.start
        return np.tile(np.array([start, start + self.choices], dtype=np.int32), (self.acting, 1))

    @cached_property
    def tokens(self) -> np.ndarray:
        """Observations, int32 [steps, SLOTS, observed]."""
        low, high = DEFAULT.continuous.start, DEFAULT.continuous.stop
        random = np.random.default_rng(0)
        tokens = random.integers(low, high, (self.steps, SLOTS, self.observed)).astype(np.int32)
        tokens[:, :, : self.patches] = DEFAULT.patch
        return tokens

    @cached_property
    def pixels(self) -> np.ndarray:
        """Of the patches, uint8 [steps, SLOTS, patches, 16, 16, 3]."""
        random = np.random.default_rng(1)
        return random.integers(0, 256, (self.steps, SLOTS, self.patches, PATCH, PATCH, 3), dtype=np.uint8)

    @cached_property
    def intervals(self) -> np.ndarray:
        """Where they lie in an image of one row of them, int32 [patches, 2, 2]."""
        return ImageShape(1, PATCH, PATCH * max(1, self.patches), 3).intervals[: self.patches]

    def request(self, step: int, reset: np.ndarray, rows: np.ndarray, actor: str = "bench") -> ActRequest:
        """What an actor asks in one step of these rows (int [n] of SLOTS) of which `reset` (bool [n]) begin."""
        return ActRequest(
            actor=actor,
            run_id=0,
            slots=rows.astype(np.int32),
            reset=reset,
            tokens=self.tokens[step, rows],
            legal=self.legal,
            patches=self.pixels[step, rows] if self.patches else None,
            patch_intervals=self.intervals if self.patches else None,
        )


WORKS = {
    "7": Work("7 tokens", observed=5, acting=1, choices=1024),
    "44": Work("44 tokens, 4 of them action (Meta-World)", observed=39, acting=4, choices=1024),
    "22": Work("22 tokens, 20 of them patches (Atari)", observed=20, acting=1, choices=18, patches=20),
}
