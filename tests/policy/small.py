"""A small policy and requests for it, shared by the tests of this folder."""

import numpy as np
import torch

from policy.config import PolicyConfig
from policy.images import ImageShape
from policy.model import Policy
from policy.types import ActRequest
from policy.vocabulary import DEFAULT, Range


def policy(
    dtype: torch.dtype = torch.float64,
    context: int = 48,
    seed: int = 0,
    spread: float = 0.3,
    feedforward: int = 64,
    **fields,
) -> Policy:
    """A random policy whose outputs depend strongly on its whole context, unlike one fresh from initialisation."""
    torch.manual_seed(seed)
    model = Policy(PolicyConfig(layers=3, width=32, heads=2, feedforward=feedforward, context=context, **fields))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=spread if "embedding" in name else 0.25)
    return model.to(dtype).eval()


DISCRETE = np.array([[DEFAULT.discrete.start, DEFAULT.discrete.start + 3]], dtype=np.int32)
CONTINUOUS = np.array([[DEFAULT.continuous.start, DEFAULT.continuous.stop]] * 3, dtype=np.int32)
IMAGE = ImageShape(1, 32, 32, 1)  # four patches


def request(
    rng: np.random.Generator,
    actor: str = "actor",
    slots: int = 2,
    reset: bool | np.ndarray = False,
    observed: int = 4,
    legal: np.ndarray = DISCRETE,
    numbers: Range = DEFAULT.continuous,
    **fields,
) -> ActRequest:
    """Random observations of `observed` tokens of these ids for slots 0, 1, ... of an actor."""
    return ActRequest(
        actor=actor,
        run_id=fields.pop("run_id", 1),
        slots=np.arange(slots, dtype=np.int32),
        reset=np.broadcast_to(reset, slots).copy(),
        tokens=rng.integers(numbers.start, numbers.stop, (slots, observed)).astype(np.int32),
        legal=legal,
        **fields,
    )


def seeing(rng: np.random.Generator, actor: str = "eyes", slots: int = 2, reset=False, prompt: int = 0, **fields):
    """A request with an image and two numbers in each observation; a prompt of so many steps for rows that reset."""
    asked = request(rng, actor, slots, reset, observed=6, **fields)
    asked.tokens[:, :4] = DEFAULT.patch
    asked.patches = rng.integers(0, 256, (slots, 4, 16, 16, 3), dtype=np.uint8)
    asked.patch_intervals = IMAGE.intervals
    if prompt:
        numbers = fields.get("numbers", DEFAULT.continuous)
        asked.prompt = steps(rng, int(asked.reset.sum()), prompt, 6, asked.legal, numbers)
        asked.prompt[:, :, :4] = DEFAULT.patch
        asked.prompt_patches = rng.integers(0, 256, (*asked.prompt.shape[:2], 4, 16, 16, 3), dtype=np.uint8)
    return asked


def numbers_of(model: Policy) -> Range:
    """Ids of the observed numbers of a policy's tasks."""
    return DEFAULT.elements if model.config.vectors else DEFAULT.continuous


def steps(
    rng: np.random.Generator,
    rows: int,
    count: int,
    observed: int,
    legal: np.ndarray,
    numbers: Range = DEFAULT.continuous,
) -> np.ndarray:
    """Whole timesteps int32 [rows, count, observed + 1 + len(legal)]."""
    tokens = rng.integers(numbers.start, numbers.stop, (rows, count, observed + 1 + len(legal))).astype(np.int32)
    tokens[:, :, observed] = DEFAULT.separator
    tokens[:, :, observed + 1 :] = legal[:, 0]
    return tokens
