"""Whether a request makes sense at all, before anything is done for it."""

from typing import NamedTuple

import numpy as np

from policy.context import fitting_steps
from policy.images import PATCH
from policy.types import ActRequest
from policy.vectors import places
from policy.vocabulary import DEFAULT


class Timestep(NamedTuple):
    """What a request's timesteps look like."""

    size: int
    """Tokens of a whole one."""
    separator: int
    """Index of its separator."""


def check(request: ActRequest, context: int) -> Timestep:
    """Checks that a request's arrays agree with each other and with a context of so many tokens.

    Raises:
        SpaceError: timesteps, or a prompt, that do not fit into the context.
        ValueError: arrays that disagree; says which, and of whom.
    """
    n, who = len(request.slots), f"actor '{request.actor}'"
    if n == 0 or request.tokens.ndim != 2 or request.tokens.shape[1] == 0 or len(request.tokens) != n:
        raise ValueError(f"{who}: {n} slots with observation tokens of shape {request.tokens.shape}")
    if request.reset.shape != (n,) or request.legal.ndim != 2 or request.legal.shape[1:] != (2,):
        raise ValueError(f"{who}: reset of shape {request.reset.shape}, legal of shape {request.legal.shape}")
    low, high = request.legal[:, 0], request.legal[:, 1]
    if not len(low) or low.min() < 0 or high.max() > DEFAULT.size or (low >= high).any():
        raise ValueError(f"{who}: legal ranges {request.legal.tolist()} are empty or outside the vocabulary")
    if min(request.slots) < 0:
        raise ValueError(f"{who}: slot {min(request.slots)} does not exist; slots count from 0")
    if request.tokens.min() < 0 or request.tokens.max() >= DEFAULT.elements.stop or not request.temperature >= 0:
        raise ValueError(f"{who}: tokens outside the vocabulary, or temperature {request.temperature}")
    separator = places(request.tokens[0]) + request.with_return
    size = separator + 1 + len(request.legal)
    prompt = 0
    _check_images(request, who)
    if request.prompt is not None:
        _check_prompt(request, who)
        prompt = request.prompt.shape[1] if request.reset.any() else 0
    fitting_steps(context, size, who, prompt)
    return Timestep(size, separator)


def _check_images(request: ActRequest, who: str) -> None:
    places = (request.tokens == DEFAULT.patch).sum(axis=1)  # [n]
    if request.patches is None:
        if places.any():
            raise ValueError(f"{who}: the observation has image tokens, but the request brings no patches")
        return
    n, patches = len(request.slots), request.patches
    if (
        patches.dtype != np.uint8
        or patches.ndim != 5
        or patches.shape[0] != n
        or patches.shape[2:] != (PATCH, PATCH, 3)
    ):
        raise ValueError(
            f"{who}: patches of shape {patches.shape} and dtype {patches.dtype}; "
            f"they are uint8 [{n}, patches, {PATCH}, {PATCH}, 3]"
        )
    if (places != patches.shape[1]).any():
        raise ValueError(f"{who}: {patches.shape[1]} patches a row for {places.tolist()} image tokens")
    intervals = request.patch_intervals
    if intervals is None or intervals.shape != (patches.shape[1], 2, 2):
        shape = None if intervals is None else intervals.shape
        raise ValueError(f"{who}: patch_intervals of shape {shape}, they are [{patches.shape[1]}, 2, 2]")


def _check_prompt(request: ActRequest, who: str) -> None:
    prompt, resets = request.prompt, int(request.reset.sum())
    size = request.tokens.shape[1] + 1 + len(request.legal)
    assert prompt is not None
    if request.with_return:
        raise ValueError(f"{who}: a prompt does not go together with return tokens")
    if prompt.ndim != 3 or prompt.shape[0] != resets or (resets and prompt.shape[1:] != (prompt.shape[1], size)):
        raise ValueError(
            f"{who}: a prompt of shape {prompt.shape} for {resets} rows that reset, {size} tokens a timestep"
        )
    if prompt.size and (prompt.min() < 0 or prompt.max() >= DEFAULT.elements.stop):
        raise ValueError(f"{who}: the prompt has tokens outside the vocabulary")
    places = int((prompt == DEFAULT.patch).sum())
    given = 0 if request.prompt_patches is None else int(np.prod(request.prompt_patches.shape[:3]))
    if places != given:
        raise ValueError(f"{who}: the prompt has {places} image tokens and {given} patches")
