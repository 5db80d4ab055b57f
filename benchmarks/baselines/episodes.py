"""What the scripts of this folder share: tasks as environments, evaluation on fixed seeds, results as JSON."""

import argparse
import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

SEED = 10_000  # of the evaluations, as `ocelot evaluate`
LIBRARIES = ("torch", "numpy", "gymnasium", "minari", "d3rlpy", "ray", "dm-control")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that all scripts have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("task", help="a task of gym/, control/, metaworld/ or babyai/")
    parser.add_argument("--quality", default="medium")
    parser.add_argument("--seconds", type=float, default=120.0, help="CPU time of training")
    parser.add_argument("--episodes", type=int, default=50, help="of the evaluation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True)
    return parser


def dataset_id(task: str, quality: str) -> str:
    """As `ocelot experts collect` names it."""
    domain, _, name = task.partition("/")
    return f"ocelot/{domain}/{name}-{quality}-v0"


def make(task: str) -> gymnasium.Env:
    """The task as an environment with flat observations."""
    domain, _, name = task.partition("/")
    if domain == "gym":
        return gymnasium.make(name)
    if domain == "control":
        return gymnasium.wrappers.FlattenObservation(Control(*name.split("-", 1)))
    from actors import domains  # Ocelot's own wrappers of these two; the repository's root must be on PYTHONPATH

    if domain == "metaworld":
        return domains.make(task)
    if domain == "babyai":
        env = domains.make(task)
        numbers = cells(env.reset(seed=0)[0]["image"][None]).shape[1] + DIRECTIONS + len(WORDS)
        box = gymnasium.spaces.Box(-np.inf, np.inf, (numbers,), np.float32)
        return gymnasium.wrappers.TransformObservation(env, lambda seen: told([seen])[0], box)
    raise SystemExit(f"{task}: the baselines play gym/, control/, metaworld/ and babyai/ tasks")


WORDS = ("a", "the", "red", "green", "blue", "purple", "yellow", "grey", "ball", "box", "key", "door")
"""Of BabyAI's missions with one place to go to."""
DIRECTIONS = 4


def cells(images: np.ndarray) -> np.ndarray:
    """Ocelot's cells, int [n, 7, 7], for a perceptron: object, colour and state one-hot, float32 [n, numbers]."""
    from actors.domains.babyai import CELLS

    told_apart = zip(CELLS, np.unravel_index(images, CELLS), strict=True)
    parts = [np.eye(size, dtype=np.float32)[part] for size, part in told_apart]
    return np.concatenate(parts, axis=-1).reshape(len(images), -1)


def told(observations: list[dict[str, Any]]) -> np.ndarray:
    """BabyAI's observations for a perceptron: cells, direction one-hot, and which words the mission has."""
    direction = np.eye(DIRECTIONS, dtype=np.float32)[[int(seen["direction"]) for seen in observations]]
    split = [str(seen["mission"]).split() for seen in observations]
    mission = np.array([[word in mission for word in WORDS] for mission in split], dtype=np.float32)
    return np.concatenate([cells(np.stack([seen["image"] for seen in observations])), direction, mission], axis=1)


class Control(gymnasium.Env):
    """A task of the DM Control Suite, 1,000 steps an episode, from state."""

    def __init__(self, domain: str, task: str):
        self._names = (domain, task)
        self._open(0)
        specs = self._env.observation_spec()
        box = gymnasium.spaces.Box
        self.observation_space = gymnasium.spaces.Dict(
            {key: box(-np.inf, np.inf, spec.shape or (1,), np.float32) for key, spec in sorted(specs.items())}
        )
        action = self._env.action_spec()
        self.action_space = box(action.minimum.astype(np.float32), action.maximum.astype(np.float32))

    def _open(self, seed: int) -> None:
        from dm_control import suite

        self._env = suite.load(*self._names, task_kwargs={"random": seed})

    def _seen(self, observation: dict[str, Any]) -> dict[str, np.ndarray]:
        return {key: np.atleast_1d(np.asarray(value, np.float32)) for key, value in sorted(observation.items())}

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        if seed is not None:
            self._open(seed)
        return self._seen(self._env.reset().observation), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        now = self._env.step(action)
        over = now.last()
        return self._seen(now.observation), float(now.reward or 0.0), False, over, {}


def flat(observations: Any) -> np.ndarray:
    """A Minari episode's observations as float32 [steps, numbers]; keys in lexicographic order."""
    if isinstance(observations, dict) and "mission" in observations:
        count = len(observations["mission"])
        return told([{key: value[step] for key, value in observations.items()} for step in range(count)])
    if isinstance(observations, dict):
        return np.concatenate([flat(observations[key]) for key in sorted(observations)], axis=1)
    values = np.asarray(observations, dtype=np.float32)
    return values.reshape(len(values), -1)


def evaluate(task: str, act: Callable[[np.ndarray], Any], episodes: int) -> list[float]:
    """The returns of so many episodes; `act` takes one flat observation."""
    env = make(task)
    returns = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=SEED + episode)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(act(np.asarray(observation, dtype=np.float32)))
            total += float(reward)
            over = terminated or truncated
        returns.append(total)
    return returns


class Clock:
    """CPU seconds of this process, with pauses."""

    def __init__(self, seconds: float):
        self._left, self._began = seconds, time.process_time()

    def over(self) -> bool:
        """Whether they are used up."""
        return time.process_time() - self._began >= self._left


def write(file: Path, **result: Any) -> None:
    """Writes a result and what it was made with, and says its mean."""
    made = {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": versions(),
        "hardware": hardware(),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result | made, indent=1) + "\n")
    print(f"{result['task']} {result['algorithm']}: mean return {np.mean(result['returns']):.1f}, written to {file}")


def versions() -> dict[str, str]:
    """Of Python and of those libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def hardware() -> str:
    """The processor's name, and how many cores this process may use."""
    names = [line.partition(":")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{names[0].strip() if names else platform.machine()}, {len(os.sched_getaffinity(0))} core(s)"
