"""Workers that train together in processes of their own, on gloo, and what they bring back."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed, multiprocessing

from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from learner.shards import full
from learner.types import TaskInfo
from learner.workers import Alone, Workers
from policy.config import PolicyConfig
from policy.model import Policy
from policy.returns import ReturnScale
from policy.vocabulary import DEFAULT
from replay.trajectory import Trajectory
from tests.learner.windows import mixed, window

NAMES = ("gym/A", "gym/B", "gym/C")
TASKS = {name: TaskInfo(0.9, ReturnScale(-5.0, 5.0)) for name in NAMES}
SIZES = PolicyConfig(layers=1, width=32, heads=2, feedforward=64, context=64, action_bins=64)
BATCH = 6
HANG = 600  # seconds that a worker waits for another; the timeout of a test comes first


def make(
    workers: Workers, entries: list[Entry], sharded: bool = False, rank: int | None = None, **config: Any
) -> Learner:
    """A learner in float64 that has been given something to say.

    Args:
        rank: of weights that differ between the workers before they meet; None: all begin alike.
    """
    torch.manual_seed(7 + (rank or 0))
    policy = Policy(SIZES).double()
    with torch.no_grad():
        for head in (policy.value, policy.q, policy.action_values.table, policy.action_values.features):
            head.weight.normal_(std=0.1)
    settings = {"warmup_updates": 2, "learning_rate": 1e-3} | config
    return Learner(
        policy, TASKS, LearnerConfig(**settings), Schedule(entries), seed=3, workers=workers, sharded=sharded
    )


def windows(update: int, count: int = BATCH) -> list[Trajectory]:
    """Other windows of two tasks in each update, of several lengths."""
    return mixed(40)[update % 7 :][:count]


def own(learner: Learner, drawn: list[Trajectory]) -> Callable[[str, int], list[Trajectory]]:
    """How a worker fetches every so many-th window."""
    share = drawn[learner.workers.rank :: learner.workers.size]

    def fetch(table: str, count: int) -> list[Trajectory]:
        assert count <= len(share)
        return share[:count]

    return fetch


def updates(learner: Learner, count: int) -> list[dict[str, float]]:
    """What each of so many updates logs."""
    return [learner.update(own(learner, windows(learner.updates))) for _ in range(count)]


def weights(learner: Learner) -> dict[str, torch.Tensor]:
    """Of both networks, whole and copied; all workers call it."""
    both = {"policy": learner.policy, "average": learner.average}
    return {f"{key}/{name}": full(v).clone() for key, net in both.items() for name, v in net.state_dict().items()}


def together(scenario: Callable[[Workers, Path], Any], folder: Path, size: int = 2) -> list[Any]:
    """Runs a function in so many processes that know each other. Returns what each brings back."""
    folder.mkdir(parents=True, exist_ok=True)
    multiprocessing.spawn(_member, (scenario, folder, size), nprocs=size, daemon=True)
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(size)]


def _member(rank: int, scenario: Callable[[Workers, Path], Any], folder: Path, size: int) -> None:
    from learner.workers import Together

    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    distributed.init_process_group(
        "gloo", init_method=meeting, rank=rank, world_size=size, timeout=timedelta(seconds=HANG)
    )
    try:
        result = scenario(Together(), folder)
        (folder / f"{rank}.pickle").write_bytes(pickle.dumps(result))
    finally:
        distributed.destroy_process_group()


def alone(entries: list[Entry], count: int, **config: Any) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """What one worker logs of so many updates with the whole batch, and its weights."""
    learner = make(Alone(), entries, **config)
    return updates(learner, count), weights(learner)


def unlike(rank: int) -> list[Trajectory]:
    """Batches that have nothing in common: the first worker's have images; the second's are burn-in, without a loss."""
    if rank == 0:
        plain = window(1, 4, "gym/C", observed=3)
        tokens, tail = plain.tokens.copy(), plain.tail.copy()
        tokens[:, 0], tail[0] = DEFAULT.patch, DEFAULT.patch
        pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 16, 16, 3)).astype(np.uint8)
        where = np.array([[[0, 127], [0, 127]]], dtype=np.int32)
        images = {"patches": pixels, "tail_patches": pixels[0], "patch_intervals": where}
        return [replace(plain, tokens=tokens, tail=tail, **images)] * 3
    return [window(2, 4, burn_in=4)] * 3
