"""The cross-entropy method over linear policies (Szita and Lorincz, Neural Computation 18, 2006).

It compares whole episodes, so a reward that comes rarely and late is no harder for it than another.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from actors.experts.judging import STOPPING_EPISODES, Progress, Stopped, episodes_of, not_reached, returns_of
from actors.experts.network import GAUSSIAN, LOG_STD, Network
from actors.experts.players import network_sizes
from policy.layout import Layout

NAME = "cem"
DRAWN, KEPT, EPISODES = 24, 4, 4
"""Policies of a generation, the best of them that the next is drawn around, episodes that each plays."""
LEAST, MORE, GENERATIONS = 0.02, 0.3, 10
"""Deviation added to that of the kept ones; MORE of it falls to nothing within so many generations, as in the paper."""


@dataclass
class Search:
    """Where a search stands."""

    mean: np.ndarray
    """float64 [parameters]."""
    deviation: np.ndarray
    """float64 [parameters]."""
    generation: int = 0
    env_steps: int = 0

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / "search.partial"
        about = {"generation": str(self.generation), "env_steps": str(self.env_steps)}
        save_file({"mean": self.mean, "deviation": self.deviation}, partial, about)
        partial.replace(folder / "search.safetensors")

    @classmethod
    def load(cls, folder: Path) -> "Search":
        with safe_open(folder / "search.safetensors", "np") as file:
            about = file.metadata()
            return cls(
                file.get_tensor("mean"),
                file.get_tensor("deviation"),
                int(about["generation"]),
                int(about["env_steps"]),
            )


def search(
    layout: Layout,
    until_return: float | None,
    max_env_steps: int,
    seed: int,
    state: Path,
    progress: Callable[[Progress], None],
    stop: Callable[[], object],
) -> tuple[Network, int]:
    """A linear player, and the environment steps that it took to find it. Arguments as `train`.

    Each generation's policies play the same episodes. The best of them plays others before it counts as good enough.

    Args:
        state: a folder in which each generation leaves where the search stands; the same call goes on from there.

    Raises:
        ExpertError: `until_return` was not reached.
        Stopped: `stop` said so.
    """
    inputs, outputs, _ = network_sizes(layout)
    size = (inputs + 1) * outputs
    at = Search.load(state) if state.exists() else Search(np.zeros(size), np.ones(size))
    best, mean = None, -math.inf
    while best is None or mean < (math.inf if until_return is None else until_return):
        if best is not None and at.env_steps >= max_env_steps:
            if until_return is None:
                break
            raise not_reached(layout, mean, until_return, at.env_steps)
        generator = np.random.default_rng((seed, at.generation))
        drawn = generator.normal(at.mean, at.deviation, (DRAWN, size))
        start = int(generator.integers(2**31))
        scores = []
        for parameters in drawn:
            played = episodes_of(_network(parameters, inputs), layout, EPISODES, start)
            scores.append(float(np.mean([episode.total for episode in played])))
            at.env_steps += sum(len(episode.rewards) for episode in played)
        kept = drawn[np.argsort(scores)[-KEPT:]]
        best = _network(kept[-1], inputs)
        mean = float(np.mean(returns_of(best, layout, STOPPING_EPISODES, seed)))
        at.generation += 1
        more = MORE * max(0.0, 1.0 - at.generation / GENERATIONS)
        at.mean, at.deviation = kept.mean(axis=0), kept.std(axis=0) + LEAST + more
        at.save(state)
        metrics = {f"charts/episodic_return/{layout.task}": float(np.mean(scores)), f"eval/return/{layout.task}": mean}
        progress(Progress(at.env_steps, max_env_steps, mean, metrics))
        if stop():
            raise Stopped
    return best, at.env_steps


def _network(parameters: np.ndarray, inputs: int) -> Network:
    """The policy with these weights and biases, flat, outputs first."""
    table = parameters.astype(np.float32).reshape(-1, inputs + 1)  # [outputs, inputs and bias]
    return Network(((table[:, :-1], table[:, -1]),), np.full(len(table), LOG_STD, np.float32), GAUSSIAN)
