"""Small hand-made windows for the learner's tests."""

import numpy as np

from policy.returns import returns_to_go
from policy.vocabulary import DEFAULT
from replay.trajectory import EXPERT, ONLINE, Trajectory


def window(
    seed: int = 0,
    steps: int = 5,
    task: str = "gym/A",
    observed: int = 3,
    actions: int = 1,
    legal: tuple[int, int] = (DEFAULT.discrete.start, DEFAULT.discrete.start + 4),
    terminated: bool = True,
    online: bool = True,
    burn_in: int = 0,
) -> Trajectory:
    """A random episode of `steps` steps, as one window."""
    rng = np.random.default_rng(seed)
    low, high = DEFAULT.continuous.start, DEFAULT.continuous.stop
    tokens = np.concatenate(
        [
            rng.integers(low, high, (steps, observed)),
            np.full((steps, 1), DEFAULT.separator),
            rng.integers(*legal, (steps, actions)),
        ],
        axis=1,
    ).astype(np.int32)
    tail = np.append(rng.integers(low, high, observed), DEFAULT.separator).astype(np.int32)
    rewards = rng.normal(size=steps).astype(np.float32)
    return Trajectory(
        task=task,
        source=ONLINE if online else EXPERT,
        actor=0,
        episode=seed,
        first_step=0,
        burn_in=burn_in,
        tokens=tokens,
        tail=tail,
        legal=np.asarray([legal] * actions, dtype=np.int32),
        rewards=rewards,
        returns_to_go=returns_to_go(rewards).astype(np.float32),
        terminated=terminated,
        truncated=not terminated,
        log_probs=np.zeros((steps, actions), dtype=np.float32),
        versions=np.zeros((steps, 2), dtype=np.int32),
        context_start=np.zeros(steps, dtype=np.int32),
        return_tokens=np.full(steps, -1, dtype=np.int32),
        temperature=1.0,
        episode_return=float(rewards.sum()),
    )


def mixed(count: int = 6) -> list[Trajectory]:
    """Windows of two tasks with different layouts, lengths and endings."""
    continuous = (DEFAULT.continuous.start, DEFAULT.continuous.start + 64)
    result = []
    for seed in range(count):
        if seed % 2:
            result.append(window(seed, 4 + seed % 3, terminated=seed % 4 == 1))
        else:
            result.append(window(seed, 3 + seed % 3, "gym/B", 2, 2, continuous, seed % 4 == 0, burn_in=seed % 3))
    return result
