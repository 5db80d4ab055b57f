"""An endless, shuffled, resumable stream of windows from demonstration datasets on disk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from policy.images import PATCH
from policy.layout import Layout
from replay.corpus import Corpus, TextCorpus
from replay.demonstrations import Demonstrations
from replay.errors import DatasetError
from replay.prompts import prompt_steps as most_steps
from replay.prompts import training_prompt
from replay.trajectory import Trajectory, cut

OTHERS = 24  # bytes of a step: reward, return to go, version, context start, return token


class DemonstrationStream:
    """Windows of several tasks, mixed by weight; the same seed gives the same stream, to the bit.

    Of each task the episodes are shuffled, taken in blocks that fit in memory, and the windows of a block shuffled;
    every window comes once before any comes again. A share of the windows get a prompt: steps of another episode of the
    same dataset, half of the time its end (Gato, arXiv 2205.06175, section 2.2). Such a window is cut as a policy that
    acts with that prompt would see it, and one of its pieces is taken.

    Args:
        datasets: ids of local Minari datasets, by task.
        layouts: by task.
        context: tokens that a window may hold.
        weights: share of each task among windows, at least 0; None gives each the same.
        seed: of all shuffling.
        cached_steps: steps to keep in memory over all tasks; at least one episode of each is kept.
        prompts: share of the windows that get a prompt (Gato: 0.25); those of texts get none.
        prompt_steps: timesteps of a prompt at most; None: half of what the context holds.
        cached_bytes: that these steps may take at most; one step with images weighs as much as thousands without.
        attention_steps: as in `PolicyConfig`.
        held_out: share of each task's episodes that the stream leaves out, for `held_out_windows`.
        texts: texts, and images with texts, by task; their weights stand among the others.

    Raises:
        DatasetError: as `replay.demonstrations.load`, and for a task without datasets.
        SpaceError: when not even one step of a task fits into the context.
    """

    def __init__(
        self,
        datasets: Mapping[str, Sequence[str]],
        layouts: Mapping[str, Layout],
        context: int,
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
        cached_steps: int = 200_000,
        attention_steps: int | None = None,
        held_out: float = 0.0,
        cached_bytes: int = 512 * 2**20,
        prompts: float = 0.0,
        prompt_steps: int | None = None,
        texts: Mapping[str, TextCorpus] | None = None,
    ):
        for task, ids in datasets.items():
            if not ids:
                raise DatasetError(f"no datasets are named for {task}; name one, or leave the task out")
        texts = texts or {}
        names = [*datasets, *texts]
        share = np.asarray([1.0 if weights is None else weights[name] for name in names], dtype=np.float64)
        if (share < 0).any() or share.sum() <= 0:
            raise DatasetError(f"weights {dict(weights or {})} must be at least 0, and one of them above")
        self._cumulative = np.cumsum(share / share.sum())
        self._seed = seed
        self._prompts = prompts
        self._random = np.random.default_rng(np.random.SeedSequence((seed, 0)))
        self._tasks = {
            task: _TaskWindows(
                [Demonstrations(dataset_id, layouts[task]) for dataset_id in ids],
                context,
                attention_steps,
                (seed, 1, index),
                min(cached_steps, cached_bytes // step_bytes(layouts[task])) // len(names),
                held_out,
                most_steps(context, layouts[task].places, prompt_steps),
            )
            for index, (task, ids) in enumerate(datasets.items())
        }
        for index, (task, corpus) in enumerate(texts.items(), len(datasets)):
            fitting = min(cached_steps, cached_bytes // text_step_bytes(corpus)) // len(names)
            self._tasks[task] = _TaskWindows([corpus], context, attention_steps, (seed, 1, index), fitting, held_out, 0)

    def windows(self, count: int) -> list[Trajectory]:
        """The next `count` windows; do not change them, they come again.

        Raises:
            DatasetError: when an episode turns out damaged.
        """
        return [next(self) for _ in range(count)]

    def held_out_windows(self, count: int) -> list[Trajectory]:
        """Up to `count` windows of each task's held-out episodes, spread evenly over them; always the same."""
        return [window for windows in self._tasks.values() for window in windows.held_out(count)]

    def __iter__(self) -> Iterator[Trajectory]:
        return self

    def __next__(self) -> Trajectory:
        at = int(np.searchsorted(self._cumulative, self._random.random(), side="right"))
        windows = list(self._tasks.values())[min(at, len(self._tasks) - 1)]
        window = windows.next()
        if self._prompts and self._random.random() < self._prompts:
            return windows.prompted(window, self._random)
        return window

    def state(self) -> dict[str, Any]:
        """Where the stream is, as plain JSON."""
        return {
            "seed": self._seed,
            "random": self._random.bit_generator.state,
            "tasks": {task: windows.state() for task, windows in self._tasks.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes to where `state` was taken; what follows is the same to the bit.

        Raises:
            DatasetError: when it was taken from other datasets or with another seed.
        """
        if state["seed"] != self._seed or list(state["tasks"]) != list(self._tasks):
            raise DatasetError(
                f"the saved position belongs to the tasks {list(state['tasks'])} with seed {state['seed']}, this "
                f"stream has {list(self._tasks)} with seed {self._seed}; resume with the configuration it began with"
            )
        for task, windows in self._tasks.items():
            windows.restore(task, state["tasks"][task])
        self._random.bit_generator.state = state["random"]


def step_bytes(layout: Layout) -> int:
    """Memory of a step in windows, at most: where contexts slide, every step is in two of them."""
    tokens = 4 * layout.step_tokens + 4 * layout.action_tokens
    return 2 * (tokens + OTHERS + layout.patches * PATCH * PATCH * 3)


def text_step_bytes(corpus: TextCorpus) -> int:
    """The same of a text's timestep, all of whose tokens may be action tokens, with a range of legal ids each."""
    return 2 * (16 * corpus.step_tokens + OTHERS + corpus.patches * PATCH * PATCH * 3)


class _TaskWindows:
    """One task's share of the stream: epochs of blocks of episodes."""

    def __init__(
        self,
        sources: Sequence[Corpus],
        context: int,
        attention_steps: int | None,
        seed: tuple[int, ...],
        cached_steps: int,
        held_out: float,
        prompt_steps: int,
    ):
        self._sources = sources
        self._context = context
        self._attention_steps = attention_steps
        self._seed = seed
        self._cached_steps = cached_steps
        self._prompt_steps = prompt_steps
        episodes = [(source, index) for source in range(len(sources)) for index in range(len(sources[source]))]
        order = np.random.default_rng((*seed, 0, 0)).permutation(len(episodes))
        left_out = min(round(held_out * len(episodes)), len(episodes) - 1)
        self._held_out = [episodes[index] for index in sorted(order[:left_out])]
        kept = sorted(order[left_out:])
        self._episodes = [episodes[index] for index in kept]
        self._steps = np.concatenate([source.steps for source in sources])[kept]
        self._cache: dict[int, list[Trajectory]] = {}
        self._go(epoch=0, first=0, position=0)

    def next(self) -> Trajectory:
        while self._position >= len(self._block):
            if self._last < len(self._order):
                self._go(self._epoch, self._last, 0)
            else:
                self._go(self._epoch + 1, 0, 0)
        self._episode, window = self._block[self._position]
        self._position += 1
        return window

    def prompted(self, window: Trajectory, random: np.random.Generator) -> Trajectory:
        """The window that `next` gave last, behind a prompt; as it is, where there is nothing to prompt with."""
        source = self._episodes[self._episode][0]
        others = [
            episode for episode in self._cache if episode != self._episode and self._episodes[episode][0] == source
        ]
        if not others or self._prompt_steps < 1:
            return window
        other = self._cache[others[int(random.integers(len(others)))]]
        prompt = training_prompt(other, self._prompt_steps, random)
        behind = replace(window, prompt=prompt.tokens, prompt_patches=prompt.patches)
        pieces = cut(behind, self._context, self._attention_steps)
        return pieces[int(random.integers(len(pieces)))]

    def held_out(self, count: int) -> list[Trajectory]:
        windows = [
            window
            for source, index in self._held_out
            for window in cut(self._sources[source].episode(index), self._context, self._attention_steps)
        ]
        chosen = np.linspace(0, len(windows) - 1, min(count, len(windows))).round().astype(int)
        return [windows[index] for index in chosen]

    def state(self) -> dict[str, int]:
        return {
            "epoch": self._epoch,
            "first": self._first,
            "position": self._position,
            "episodes": len(self._episodes),
            "steps": int(self._steps.sum()),
        }

    def restore(self, task: str, state: dict[str, int]) -> None:
        found = (len(self._episodes), int(self._steps.sum()))
        if found != (state["episodes"], state["steps"]):
            raise DatasetError(
                f"the datasets of {task} have changed: {found[0]} episodes with {found[1]} steps, there were "
                f"{state['episodes']} with {state['steps']}; bring the old ones back, or start a new run"
            )
        self._go(state["epoch"], state["first"], state["position"])

    def _go(self, epoch: int, first: int, position: int) -> None:
        """Loads the block that begins at episode `first` of the epoch's order."""
        self._epoch, self._first, self._position = epoch, first, position
        self._order = np.random.default_rng((*self._seed, epoch)).permutation(len(self._episodes))
        steps = np.cumsum(self._steps[self._order[first:]])
        self._last = first + max(1, int(np.searchsorted(steps, self._cached_steps, side="right")))
        chosen = [int(episode) for episode in self._order[first : self._last]]
        # Let the rest go before loading more, so that two blocks are never held at once.
        self._cache = {episode: self._cache[episode] for episode in chosen if episode in self._cache}
        for episode in chosen:
            if episode not in self._cache:
                source, index = self._episodes[episode]
                self._cache[episode] = cut(self._sources[source].episode(index), self._context, self._attention_steps)
        windows = [(episode, window) for episode in chosen for window in self._cache[episode]]
        shuffled = np.random.default_rng((*self._seed, epoch, first + 1)).permutation(len(windows))
        self._block = [windows[index] for index in shuffled]
