"""How fast the decoding engine alone plays CartPole, in one process: what the whole loop is held against."""

import time
from dataclasses import dataclass

import numpy as np

from cluster.bench.figures import Figure, repeat
from policy.config import PolicyConfig
from policy.layout import Layout

TASK = "gym/CartPole-v1"
POLICY = PolicyConfig(layers=4, width=128, heads=4, feedforward=512, context=256)
SLOTS = 64
WARM = 1.0  # seconds before each measurement begins


@dataclass(frozen=True)
class Played:
    """Episodes of all slots, played at random: the workload that an untrained policy has in the loop."""

    layout: Layout
    tokens: np.ndarray
    """int32 [steps, slots, observation tokens]."""
    reset: np.ndarray
    """bool [steps, slots]."""


def play(steps: int = 300, slots: int = SLOTS) -> Played:
    """Plays `steps` steps in each of `slots` environments."""
    from actors.domains import task_layout
    from actors.environments import Environments

    layout = task_layout(TASK, POLICY.action_bins)
    environments = Environments(layout, slots, seed=0)
    random = np.random.default_rng(0)
    low, high = layout.legal.T
    observation, reset = environments.reset(), np.ones(slots, dtype=bool)
    tokens, resets = [], []
    for _ in range(steps):
        tokens.append(layout.encode_observation(observation))
        resets.append(reset)
        result = environments.step(layout.decode_action(random.integers(low, high, size=(slots, len(low)))))
        observation, reset = result.observation, result.ended
    environments.close()
    return Played(layout, np.stack(tokens), np.stack(resets))


def decode(threads: int, dtype: str, seconds: float, repeats: int) -> Figure:
    """Environment steps a second of the engine alone, every slot in each batch."""
    import torch

    from policy.engine import Engine
    from policy.model import Policy
    from policy.threads import torch_threads
    from policy.types import ActRequest

    torch.manual_seed(0)
    engine = Engine(Policy(POLICY), SLOTS, getattr(torch, dtype), threads=threads)
    played = play()
    slots = np.arange(SLOTS, dtype=np.int32)
    at = 0

    def act() -> None:
        nonlocal at
        row = at % len(played.tokens)
        reset = played.reset[row] | (row == 0)
        engine.act([ActRequest("bench", 0, slots, reset, played.tokens[row], played.layout.legal)])
        at += 1

    def measure() -> float:
        for lasts in (WARM, seconds):
            began, first = time.perf_counter(), at
            while time.perf_counter() - began < lasts:
                act()
        return (at - first) * SLOTS / (time.perf_counter() - began)

    with torch_threads(1):  # as the policy server does: the engine has threads of its own
        return Figure.of(f"engine alone, {threads} threads, {dtype}", repeat(measure, repeats), "env steps/s")
