"""Pictures of a dataset of demonstrations: histograms of its returns and lengths, and a filmstrip of one episode."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cluster.rundir import writing
from policy.layout import Layout
from policy.spaces import pick
from replay.errors import DatasetError
from replay.summary import Summary

FRAMES = 8


def histograms(summary: Summary, file: Path) -> None:
    """Writes a PNG with the returns and the lengths of all episodes."""
    figure = _figure(8.0, 3.0)
    for panel, values, name in zip(
        figure.subplots(1, 2), (summary.returns, summary.lengths), ("return", "steps"), strict=True
    ):
        panel.hist(values, bins=min(30, max(5, len(values) // 5)), color="C0")
        panel.set_xlabel(f"{name} of an episode")
        panel.set_ylabel("episodes")
    figure.suptitle(f"{summary.dataset_id}: {len(summary.returns)} episodes")
    _save(figure, file)


def filmstrip(summary: Summary, layout: Layout, file: Path) -> None:
    """Writes a PNG with moments of the episode of median return, from its start to its end.

    Raises:
        DatasetError: it holds no images, and cannot be played again to draw some.
        TaskError: its task cannot be drawn on this machine.
    """
    episode = int(np.argsort(summary.returns, kind="stable")[len(summary.returns) // 2])
    steps = np.unique(np.linspace(0, summary.lengths[episode], FRAMES).round().astype(int))
    frames = _frames(summary.dataset_id, layout, episode, [int(step) for step in steps])
    figure = _figure(1.6 * len(frames), 2.1)
    for panel, frame, step in zip(figure.subplots(1, len(frames), squeeze=False)[0], frames, steps, strict=True):
        panel.imshow(frame, cmap="gray", interpolation="nearest")
        panel.set_title(f"step {step}", fontsize=8)
        panel.axis("off")
    figure.suptitle(f"episode {episode}, return {summary.returns[episode]:.1f}", fontsize=9)
    _save(figure, file)


def _frames(dataset_id: str, layout: Layout, index: int, steps: Sequence[int]) -> list[np.ndarray]:
    from replay.demonstrations import open_dataset

    dataset = open_dataset(dataset_id)
    episode = dataset[index]
    image = next((leaf for leaf in layout.observation_leaves if leaf.kind == "image"), None)
    if image is not None:
        return [np.squeeze(pick(episode.observations, image.name)[step]) for step in steps]
    seed = next(iter(dataset.storage.get_episode_metadata([index]))).get("seed")
    if seed is None:
        raise DatasetError(f"dataset '{dataset_id}' holds no images, nor the seeds with which to play it again")
    return _played_again(layout, episode, int(seed), steps, dataset_id)


def _played_again(layout: Layout, episode: Any, seed: int, steps: Sequence[int], dataset_id: str) -> list[np.ndarray]:
    """The frames of the episode's actions, taken anew from its seed."""
    from actors import domains
    from actors.nesting import unstack

    environment = domains.make(layout.task, render=True)
    try:
        environment.reset(seed=seed)
        frames: dict[int, Any] = {0: environment.render()}
        rewards = []
        for step, action in enumerate(unstack(layout.action, episode.actions, len(episode.rewards)), start=1):
            rewards.append(float(environment.step(action)[1]))
            if step in steps:
                frames[step] = environment.render()
    finally:
        environment.close()
    if not np.allclose(rewards, episode.rewards, rtol=1e-4, atol=1e-4):
        raise DatasetError(
            f"dataset '{dataset_id}' was recorded with another version of its simulator: played again, its rewards "
            "are not the same"
        )
    return [np.asarray(frames[step]) for step in steps]


def _save(figure: Any, file: Path) -> None:
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=110)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
