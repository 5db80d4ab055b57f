"""What training takes of a device's memory, by part, looked at before any of it is taken."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from learner.config import LearnerConfig
from learner.schedule import Schedule
from learner.types import MemoryFullError
from policy.capacity import GIB, available
from policy.model import Policy

LOG = logging.getLogger(__name__)

# Numbers that an update keeps for each token, in widths of the policy: fitted to what docs/scale-out.md measures.
BLOCK = 17  # each block
ENTRY = 1  # what enters a block, or a part of the batch
HEADS = 8  # embeddings, heads and losses of the whole batch
COPIED = 4  # times the weights: what a checkpoint is written from (weights, moving average, moments)


def parts(
    policy: Policy, config: LearnerConfig, schedule: Schedule, workers: int = 1, sharded: bool = False
) -> dict[str, int]:
    """Bytes that one worker needs, by part.

    Activations are an estimate, of the largest batch with full contexts. The rest is exact where data has all that the
    policy knows; parts that it never has (texts, images) have no gradients and no moments.
    """
    weights = sum(each.numel() * each.element_size() for each in policy.parameters()) // (workers if sharded else 1)
    return {
        "weights": weights,
        "gradients": weights,
        "AdamW's moments": 2 * weights,
        "moving average": weights,
        "activations": activations(policy, config, schedule, workers),
    }


def activations(policy: Policy, config: LearnerConfig, schedule: Schedule, workers: int = 1) -> int:
    """About how many bytes the largest update keeps for its gradient, in each worker."""
    sizes = policy.config
    windows = max(sum(entry.share(workers).values()) for entry in schedule.entries)
    blocks = BLOCK * sizes.layers
    if config.checkpointing:
        blocks = ENTRY * sizes.layers + BLOCK
    cut = min(config.accumulation, windows)
    widths = blocks / cut + HEADS + (ENTRY if cut > 1 else 0)
    number = 2 if config.precision == "bfloat16" else next(policy.parameters()).element_size()
    return int(windows * sizes.context * sizes.width * widths * number)


def check(
    policy: Policy,
    config: LearnerConfig,
    schedule: Schedule,
    device: torch.device,
    workers: int = 1,
    sharded: bool = False,
    beside: Mapping[str, int] | None = None,
) -> None:
    """Refuses a training that cannot fit, and warns of one that is not likely to.

    Args:
        policy: still where it was made, on the CPU.
        workers: that train together; they are taken to share this machine's memory.
        beside: bytes, by part, that other processes will take of the device once training has begun.

    Raises:
        MemoryFullError: says how much each part takes, how much is free, and what would fit.
    """
    copied = COPIED * parts(policy, config, schedule)["weights"]  # by all workers together
    if device.type != "cpu":
        _check_copies(copied)
    room = available(device)
    if room is None:
        return
    here = workers if device.type == "cpu" else 1

    def needs(number: int, cut: bool, **settings: Any) -> dict[str, int]:
        found = parts(policy, replace(config, **settings), schedule, number, cut)
        if device.type == "cpu":
            found["weights"] = 0  # there already
        every = {name: here * value for name, value in found.items()}
        return every | ({"a checkpoint's copy": copied} if device.type == "cpu" else {}) | dict(beside or {})

    need = needs(workers, sharded)
    if sum(need.values()) <= room:
        return
    others = {name: needs(workers, sharded, **settings) for name, settings in LESS.items()}
    if device.type != "cpu":
        crews = [size for size in CREWS if all(entry.batch % size == 0 for entry in schedule.entries)]
        fitting = [size for size in crews if sum(needs(size, True).values()) <= room]
        others |= {f"{size} GPUs with parallel.sharding full, on each": needs(size, True) for size in fitting[:1]}
    cures = [f"{name} ({_gib(sum(found.values()))})" for name, found in others.items() if sum(found.values()) <= room]
    text = (
        f"training needs about {_gib(sum(need.values()))} of {device}, and {_gib(room)} are free: "
        f"{', '.join(f'{name} {_gib(value)}' for name, value in need.items() if value)}"
        f"{f', of {here} workers together' if here > 1 else ''}. What would fit: "
        f"{'; '.join([*cures, ALWAYS, *([FEWER] if beside else [])])}"
    )
    if sum(need.values()) - need["activations"] > room:
        raise MemoryFullError(text)
    LOG.warning("%s", text)


def _check_copies(copied: int) -> None:
    """Refuses a training on GPUs whose checkpoints have no room beside them."""
    room = available(torch.device("cpu"))
    if room is not None and copied > room:
        raise MemoryFullError(
            f"checkpoints are written from a copy in this machine's memory, which takes {_gib(copied)}, and "
            f"{_gib(room)} are free: a smaller policy, or a machine with more memory"
        )


def _gib(size: int) -> str:
    return f"{size / GIB:.2g} GiB" if size < 10 * GIB else f"{size / GIB:,.0f} GiB"


LESS: dict[str, dict[str, Any]] = {
    "learner.accumulation 4": {"accumulation": 4},
    "learner.checkpointing true": {"checkpointing": True},
    "both of these": {"accumulation": 4, "checkpointing": True},
}
CREWS = (2, 4, 8, 16, 32, 64)
ALWAYS = "a smaller policy, a shorter policy.context, smaller batches"
FEWER = "fewer actors.environments, server.dtype bfloat16"
