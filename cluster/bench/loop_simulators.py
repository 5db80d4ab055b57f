"""Environments for benchmarks of whole loops, which count their steps and what processor time simulating takes.

They need Gymnasium and numpy alone, so that every library can step the very same.
"""

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import gymnasium
import numpy as np

FOLDER = "OCELOT_BENCH_CLOCKS"
"""Environment variable: the folder in which all processes of a loop keep their clocks."""
BUSY = 0.005  # seconds of processor time that a step of a slow simulator takes
EPISODE = 50  # steps
NUMBERS = itertools.count()  # of this process's clocks


class Clock:
    """Counts how often this process does something, and the processor time that it takes. A context manager.

    Args:
        part: what is done; the clocks of all processes for a part are added up by `totals`.
        read: seconds of processor time; by default of the calling thread.
    """

    def __init__(self, part: str, read: Callable[[], float] = time.thread_time):
        self._part, self._read = part, read
        self._totals: np.ndarray | None = None
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = self._read()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        spent = self._read() - self._began
        if self._totals is None:  # here, because a clock may be made in another process than it runs in
            file = Path(os.environ[FOLDER]) / f"{self._part}-{os.getpid()}-{next(NUMBERS)}"
            self._totals = np.memmap(file, np.float64, "w+", shape=(2,))
        self._totals[0] += 1.0
        self._totals[1] += spent


def totals(part: str) -> tuple[int, float]:
    """How often all processes have done something, and the seconds of processor time that it took."""
    found = np.zeros(2)
    for file in Path(os.environ[FOLDER]).glob(f"{part}-*"):
        found += np.fromfile(file, np.float64, 2)
    return int(found[0]), float(found[1])


class Clocked(gymnasium.Wrapper):
    """An environment whose steps are counted."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self._clock = Clock("simulator")

    def step(self, action: Any) -> Any:
        """As the environment's."""
        with self._clock:
            return self.env.step(action)


class Busy(gymnasium.Env):
    """A slow simulator: its steps keep a core busy, and mean nothing."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        """Begins an episode."""
        super().reset(seed=seed)
        return self._observation(), {}

    def step(self, action: Any) -> Any:
        """Takes BUSY seconds of processor time."""
        began = time.thread_time()
        while time.thread_time() - began < BUSY:
            pass
        return self._observation(), 1.0, False, False, {}

    def _observation(self) -> np.ndarray:
        return self.np_random.uniform(-1.0, 1.0, 4).astype(np.float32)


def cartpole(**options: Any) -> gymnasium.Env:
    """Gymnasium's CartPole-v1, counted."""
    return Clocked(gymnasium.make("CartPole-v1", disable_env_checker=True, **options))


def pendulum(**options: Any) -> gymnasium.Env:
    """Gymnasium's Pendulum-v1, counted."""
    return Clocked(gymnasium.make("Pendulum-v1", disable_env_checker=True, **options))


def busy() -> gymnasium.Env:
    """The slow simulator, counted."""
    return Clocked(gymnasium.wrappers.TimeLimit(Busy(), EPISODE))


MAKERS: dict[str, Callable[..., gymnasium.Env]] = {"cartpole": cartpole, "pendulum": pendulum, "busy": busy}
TASKS = {name: f"{__name__}:Clocked-{name}-v0" for name in MAKERS}
"""As `gymnasium.make` takes them, by name."""

for name, made in MAKERS.items():
    gymnasium.register(f"Clocked-{name}-v0", made)
