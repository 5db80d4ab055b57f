"""Prompts: steps of an episode that stand in front of another one of the same task (Gato, arXiv 2205.06175, 2.2)."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from policy.context import fitting_steps
from policy.layout import Layout
from replay.demonstrations import Demonstrations
from replay.errors import DatasetError, ReplayError
from replay.interface import Replay
from replay.trajectory import Trajectory, no_patches

TABLE = "prompts"
AT_ONCE = 8  # windows in one request to the store
Kind = Literal["demonstration", "goal"]
SUCCESSFUL = 0.25  # of a dataset's episodes, the best by return, that are shown to a policy that acts
AT_END = 0.5  # of the prompts in training, those that are an episode's end


class Prompt(NamedTuple):
    """K timesteps (observation, separator, action) of S tokens; K may be 0."""

    tokens: np.ndarray
    """int32 [K, S]."""
    patches: np.ndarray
    """uint8 [K, P, 16, 16, 3]: the images that their patch tokens stand for."""

    @classmethod
    def of(cls, windows: Sequence[Trajectory], start: int, stop: int) -> "Prompt":
        """Steps [start, stop) of an episode, given as all its windows (or as one record)."""
        tokens, patches = [], []
        for window in windows:
            first = max(start - window.first_step, window.burn_in)
            last = min(stop - window.first_step, len(window))
            if first < last:
                tokens.append(window.tokens[first:last])
                patches.append(window.patches[first:last])
        return cls(np.concatenate(tokens), np.concatenate(patches))


NO_PROMPT = Prompt(np.zeros((0, 0), dtype=np.int32), no_patches())


def prompt_steps(context: int, step_tokens: int, wanted: int | None = None) -> int:
    """Timesteps of a prompt, at most: `wanted`, or half of what a context holds; always leaving room for one step.

    Raises:
        SpaceError: when not even one step fits into the context.
    """
    fit = fitting_steps(context, step_tokens)
    return min(fit // 2 if wanted is None else wanted, fit - 1)


def training_prompt(windows: Sequence[Trajectory], most: int, random: np.random.Generator) -> Prompt:
    """Up to `most` steps of an episode: half the time its end (a goal), else anywhere, uniformly."""
    steps = windows[-1].first_step + len(windows[-1])
    count = min(most, steps)
    start = steps - count
    if random.random() >= AT_END:
        start = int(random.integers(start + 1))
    return Prompt.of(windows, start, start + count)


class ActingPrompts:
    """Prompts for a policy that acts: the beginning of a successful demonstration, or its end.

    Successful are the best quarter of each dataset's episodes by return.

    Args:
        datasets: ids of local Minari datasets of the layout's task.
        layout: of the task.
        context: tokens that the policy sees at once.
        kind: "demonstration" (from the first step on, as in Gato's evaluations) or "goal" (the last steps).
        steps: timesteps at most; None: half of what the context holds.
        seed: of which are drawn.

    Raises:
        DatasetError: as `replay.demonstrations.load`; without datasets; where the context has no room for a prompt.
    """

    def __init__(
        self,
        datasets: Sequence[str],
        layout: Layout,
        context: int,
        kind: Kind = "demonstration",
        steps: int | None = None,
        seed: int = 0,
    ):
        if not datasets:
            raise DatasetError(
                f"{layout.task}: prompts are taken from demonstrations, and no datasets are named for it"
            )
        self._kind = kind
        self._most = _room(layout, context, steps)
        self._random = np.random.default_rng(seed)
        self._best: list[tuple[Demonstrations, int]] = []
        for dataset_id in datasets:
            source = Demonstrations(dataset_id, layout)
            returns = [source.episode(index).episode_return for index in range(len(source))]
            best = np.argsort(returns)[::-1][: max(1, round(SUCCESSFUL * len(returns)))]
            self._best += [(source, int(index)) for index in best]

    def draw(self) -> Prompt:
        """A prompt of a demonstration drawn uniformly."""
        source, index = self._best[int(self._random.integers(len(self._best)))]
        episode = source.episode(index)
        count = min(self._most, len(episode))
        start = 0 if self._kind == "demonstration" else len(episode) - count
        return Prompt.of([episode], start, start + count)


class TablePrompts:
    """Prompts for the actors of one task out of replay's table `prompts`, which holds those of all tasks.

    Args:
        replay: the store.
        task: whose prompts are wanted.
        patience: seconds that one of them may take to be found.
    """

    def __init__(self, replay: Replay, task: str, patience: float = 60.0):
        self._replay = replay
        self._task = task
        self._patience = patience
        self._found: deque[Trajectory] = deque()

    def draw(self, count: int) -> list[Prompt]:
        """So many prompts of one length, the shortest's; longer ones lose their first steps.

        Raises:
            ReplayError: the store is gone, or nothing of the task was found in time.
        """
        given_up = time.monotonic() + self._patience
        while len(self._found) < count:
            drawn = self._replay.sample(TABLE, AT_ONCE, timeout=self._patience)
            self._found += [window for window in drawn if window.task == self._task]
            if len(self._found) < count and time.monotonic() > given_up:
                raise ReplayError(
                    f"replay table '{TABLE}' gave {len(self._found)} of {count} prompts of {self._task} in "
                    f"{self._patience:g} s; name demonstrations of that task, or set actors.prompts to false"
                )
        windows = [self._found.popleft() for _ in range(count)]
        steps = min(len(window) for window in windows)
        return [Prompt(window.tokens[-steps:], window.patches[-steps:]) for window in windows]


class PromptWindows:
    """Endless prompts of several tasks as windows, for replay's table `prompts`, drawn as in training.

    Args:
        datasets: ids of local Minari datasets, by task.
        layouts: by task.
        context: tokens that the policy sees at once.
        seed: of which are drawn.
        steps: timesteps at most; None: half of what the context holds.

    Raises:
        DatasetError: as `replay.demonstrations.load`; where the context has no room for a task's prompt.
    """

    def __init__(
        self,
        datasets: Mapping[str, Sequence[str]],
        layouts: Mapping[str, Layout],
        context: int,
        seed: int = 0,
        steps: int | None = None,
    ):
        self._random = np.random.default_rng(np.random.SeedSequence((seed, 2)))
        self._sources = [
            (Demonstrations(dataset_id, layouts[task]), _room(layouts[task], context, steps))
            for task, ids in datasets.items()
            for dataset_id in ids
        ]

    def __iter__(self) -> Iterator[Trajectory]:
        return self

    def __next__(self) -> Trajectory:
        source, most = self._sources[int(self._random.integers(len(self._sources)))]
        episode = source.episode(int(self._random.integers(len(source))))
        count = min(most, len(episode))
        start = len(episode) - count
        if self._random.random() >= AT_END:
            start = int(self._random.integers(start + 1))
        return episode.slice(start, start + count)


def _room(layout: Layout, context: int, steps: int | None) -> int:
    """Timesteps of a prompt to act with, at least one."""
    most = prompt_steps(context, layout.places, steps)
    if most < 1:
        raise DatasetError(
            f"{layout.task}: a context of {context} tokens holds one timestep of {layout.places}, and no room "
            "for a prompt; act without one"
        )
    return most
