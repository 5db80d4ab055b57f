"""What a stream of training windows reads: episodes of one task, wherever they come from."""

from typing import Protocol

import numpy as np

from policy.vocabulary import DEFAULT
from replay.trajectory import EXPERT, Trajectory


class Corpus(Protocol):
    """Episodes that can be read one at a time, in any order."""

    steps: np.ndarray
    """int64: length of each episode."""

    def __len__(self) -> int: ...

    def episode(self, index: int) -> Trajectory:
        """Episode `index`. Raises DatasetError when it cannot be read."""


class TextCorpus(Corpus, Protocol):
    """Episodes whose actions are text."""

    step_tokens: int
    """Of a timestep, at most; tells how much fits into memory."""
    patches: int
    """Of a timestep."""


def text_episode(
    task: str,
    number: int,
    observations: np.ndarray,
    answers: np.ndarray,
    pieces: int,
    patches: np.ndarray | None = None,
    intervals: np.ndarray | None = None,
) -> Trajectory:
    """A record whose actions are text: what is answered to each observation, and all that has a loss.

    Args:
        task: its name.
        number: of the episode.
        observations: int32 [N, O]; O may be 0.
        answers: int32 [N, A], padded; padding has no loss.
        pieces: of the tokenizer: ids that may come next are [0, pieces).
        patches: uint8 [N, P, 16, 16, 3]; None: no images.
        intervals: int32 [P, 2, 2], as `policy.images.ImageShape.intervals`.

    Returns:
        Rewards and returns are 0, and the last step terminates: values of text are 0, and weights of its losses 1.
    """
    steps, longest = answers.shape
    separator = np.full((steps, 1), DEFAULT.separator, dtype=np.int32)
    images = {}
    if patches is not None and intervals is not None:
        images = {"patches": patches, "tail_patches": patches[-1], "patch_intervals": intervals}
    return Trajectory(
        task=task,
        source=EXPERT,
        actor=-1,
        episode=number,
        first_step=0,
        burn_in=0,
        tokens=np.concatenate([observations, separator, answers], axis=1).astype(np.int32),
        tail=np.append(observations[-1], DEFAULT.separator).astype(np.int32),
        legal=np.tile(np.asarray([[0, pieces]], dtype=np.int32), (longest, 1)),
        rewards=np.zeros(steps, dtype=np.float32),
        returns_to_go=np.zeros(steps, dtype=np.float32),
        terminated=True,
        truncated=False,
        log_probs=np.full((steps, longest), np.nan, dtype=np.float32),
        versions=np.full((steps, 2), -1, dtype=np.int32),
        context_start=np.full(steps, -1, dtype=np.int32),
        return_tokens=np.full(steps, -1, dtype=np.int32),
        temperature=-1.0,
        episode_return=0.0,
        **images,
    )
