"""Episodes in files of their own while a collection runs: NumPy archives without pickles, whole or not there."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actors.experts.play import Episode
from actors.experts.types import ExpertError
from policy.spaces import Description, build, leaves, pick


def save(path: Path, episodes: Sequence[Episode], observation: Description, action: Description) -> None:
    """Writes the episodes; an interruption leaves no file of this name."""
    arrays: dict[str, np.ndarray] = {
        "seeds": np.array([episode.seed for episode in episodes]),
        "lengths": np.array([len(episode.rewards) for episode in episodes]),
        "rewards": np.concatenate([episode.rewards for episode in episodes]),
        "terminated": np.array([episode.terminated for episode in episodes]),
        "truncated": np.array([episode.truncated for episode in episodes]),
    }
    for name, _ in leaves(observation):
        arrays[f"observation {name}"] = np.array([pick(each, name) for one in episodes for each in one.observations])
    for name, _ in leaves(action):
        arrays[f"action {name}"] = np.array([pick(each, name) for one in episodes for each in one.actions])
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    partial.replace(path)


def returns(path: Path) -> list[float]:
    """The undiscounted return of each episode. Raises ExpertError for a damaged file."""
    arrays = _read(path, ("lengths", "rewards"))
    ends = np.cumsum(arrays["lengths"])
    return [float(rewards.sum()) for rewards in np.split(arrays["rewards"], ends[:-1])]


def load(path: Path, observation: Description, action: Description) -> Iterator[Episode]:
    """The episodes, as they were saved. Raises ExpertError for a damaged file."""
    names = [f"observation {name}" for name, _ in leaves(observation)], [f"action {name}" for name, _ in leaves(action)]
    arrays = _read(path, ("seeds", "lengths", "rewards", "terminated", "truncated", *names[0], *names[1]))
    seen = acted = 0
    for index, steps in enumerate(arrays["lengths"].tolist()):
        rewards = arrays["rewards"][acted : acted + steps].tolist()
        yield Episode(
            int(arrays["seeds"][index]),
            [_nested(observation, arrays, "observation", step) for step in range(seen, seen + steps + 1)],
            [_nested(action, arrays, "action", step) for step in range(acted, acted + steps)],
            rewards,
            bool(arrays["terminated"][index]),
            bool(arrays["truncated"][index]),
        )
        seen, acted = seen + steps + 1, acted + steps


def _nested(description: Description, arrays: dict[str, np.ndarray], part: str, step: int) -> Any:
    return build(description, {name: arrays[f"{part} {name}"][step] for name, _ in leaves(description)})


def _read(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ExpertError(f"{path}: damaged ({error}); delete it, and the same command plays it again") from None
