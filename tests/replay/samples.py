"""Trajectories for tests."""

import numpy as np

from policy.context import fitting_steps, next_start
from policy.returns import returns_to_go
from policy.vocabulary import DEFAULT
from replay.trajectory import EXPERT, ONLINE, Trajectory


def episode(
    steps: int = 12,
    observed: int = 3,
    acting: int = 2,
    *,
    task: str = "gym/Task-v0",
    number: int = 0,
    update: int = 0,
    context: int | None = None,
    finished: bool = True,
    seed: int = 0,
) -> Trajectory:
    """A whole online episode (given a context, with the starts that a policy server would report), else expert."""
    random = np.random.default_rng((seed, number))
    tokens = np.empty((steps, observed + 1 + acting), dtype=np.int32)
    tokens[:, :observed] = random.integers(DEFAULT.continuous.start, DEFAULT.continuous.stop, (steps, observed))
    tokens[:, observed] = DEFAULT.separator
    legal = np.asarray([(DEFAULT.discrete.start, DEFAULT.discrete.start + 2 + a) for a in range(acting)], np.int32)
    tokens[:, observed + 1 :] = random.integers(legal[:, 0], legal[:, 1], (steps, acting))
    tail = np.append(random.integers(*_ids(), observed), DEFAULT.separator).astype(np.int32)
    rewards = random.integers(-3, 4, steps).astype(np.float32)
    online = context is not None
    starts, start = np.full(steps, -1, dtype=np.int32), 0
    if context is not None:
        fit = fitting_steps(context, tokens.shape[1])
        for step in range(steps):
            start = next_start(start, step, fit)
            starts[step] = start
    return Trajectory(
        task=task,
        source=ONLINE if online else EXPERT,
        actor=3 if online else -1,
        episode=number,
        first_step=0,
        burn_in=0,
        tokens=tokens,
        tail=tail,
        legal=legal,
        rewards=rewards,
        returns_to_go=returns_to_go(rewards).astype(np.float32) if finished else np.full(steps, np.nan, np.float32),
        terminated=finished,
        truncated=False,
        log_probs=np.full((steps, acting), -0.5 if online else np.nan, dtype=np.float32),
        versions=np.full((steps, 2), update if online else -1, dtype=np.int32),
        context_start=starts,
        return_tokens=np.full(steps, -1, dtype=np.int32),
        temperature=1.0 if online else -1.0,
        episode_return=float(rewards.sum()) if finished else float("nan"),
    )


def online(number: int, update: int = 0, **settings) -> Trajectory:
    """A short online window that `number` tells from others."""
    return episode(4, number=number, update=update, context=256, **settings)


def same(left: Trajectory, right: Trajectory) -> bool:
    """Equal in every field and dtype, NaN included."""
    first, second = left.to_arrays(), right.to_arrays()
    return all(
        first[name].dtype == second[name].dtype
        and first[name].shape == second[name].shape
        and first[name].tobytes() == second[name].tobytes()
        for name in first
    )


def _ids() -> tuple[int, int]:
    return DEFAULT.continuous.start, DEFAULT.continuous.stop
