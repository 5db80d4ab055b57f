"""Videos of checkpoints that play a task: one, or several side by side."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cluster.filming import files
from cluster.filming.overlay import Panel, draw
from cluster.filming.values import state_values
from cluster.reference_scores import find
from cluster.rundir import find_checkpoint
from policy import checkpoint as checkpoints
from policy.layout import Layout

if TYPE_CHECKING:
    from PIL import Image

    from actors.film import Film


GIF_FPS = 15.0  # pictures a second of a GIF, at most


@dataclass(frozen=True)
class Recorded:
    """One episode of a video."""

    checkpoint: str
    start: int
    """Its number among the starts that evaluations share."""
    episode_return: float
    score: float | None
    """Normalised; None for a task without references."""
    length: int
    value: float | None
    """What the value head said of the start; None where none was trained."""


def record(
    paths: Sequence[str | Path],
    task: str,
    out: Path,
    episodes: int = 1,
    temperature: float = 0.0,
    seed: int = 10_000,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Recorded]:
    """Plays episodes with each checkpoint and writes them as one video: a column a checkpoint, a row a start.

    Args:
        paths: checkpoints, or runs (their newest).
        task: any task; one that a checkpoint does not know is played all the same.
        out: an .mp4 or .gif file.
        episodes: starts, the first ones of an evaluation with this seed.
        temperature: of action sampling; 0 is greedy.
        progress: told how many checkpoints have played.

    Raises:
        VideoError, FilmError: a name of another kind, a task that cannot be drawn.
        RunError, CheckpointError, TaskError: no such checkpoint or task.
    """
    files.check(out)
    folders = [find_checkpoint(path) for path in paths]
    most_fps = GIF_FPS if out.suffix.lower() == ".gif" else 30.0
    columns = []
    for done, folder in enumerate(folders, 1):
        columns.append(_play(folder, task, episodes, temperature, seed, most_fps))
        progress(done)
    files.write(out, list(_pictures(columns)), columns[0][0].film.fps)
    return [
        _summary(folder, start, panel)
        for folder, column in zip(folders, columns, strict=True)
        for start, panel in enumerate(column)
    ]


def _play(folder: Path, task: str, episodes: int, temperature: float, seed: int, most_fps: float) -> list[Panel]:
    """Episodes of one checkpoint."""
    from actors.film import film
    from policy.engine import Engine

    loaded = checkpoints.load(folder)
    layout = loaded.layouts.get(task) or _new_layout(task, loaded)
    engine = Engine(loaded.model, episodes, seed=seed)
    acting = loaded.extra.get("acting", {})
    with_return, kappa = acting.get("with_return", False), acting.get("return_kappa", 10.0)
    films = film(
        lambda request: engine.act([request])[0],
        layout,
        loaded.model.config.context,
        episodes,
        temperature,
        seed,
        with_return,
        kappa,
        most_fps,
    )
    low, high = _bounds(layout)
    name = f"{folder.parents[1].name} {folder.name}" if folder.parent.name == "checkpoints" else folder.name
    panels = []
    for start, each in enumerate(films):
        score = _score(each)
        title = f"{name}, start {start}" + ("" if score is None else f": score {score:.2f}")
        panels.append(Panel(each, title, state_values(loaded.model, each.windows), low, high))
    return panels


def _new_layout(task: str, loaded: checkpoints.Checkpoint) -> Layout:
    from actors import domains
    from policy.text import TextTokenizer

    config, text = loaded.model.config, loaded.text or TextTokenizer.default()
    return domains.task_layout(task, config.action_bins, text, config.vectors)


def _bounds(layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Of an action's numbers, in the order of `overlay.flat`."""
    leaves = sorted(layout.action_leaves, key=lambda leaf: leaf.name)
    # An integer's upper bound is one above the greatest.
    high = [leaf.high - (leaf.kind != "continuous") for leaf in leaves]
    return np.concatenate([leaf.low for leaf in leaves]), np.concatenate(high)


def _pictures(columns: Sequence[Sequence[Panel]]) -> "Iterator[Image.Image]":
    """Until a second after the last film is over; those that are over stand still."""
    longest = max(len(panel.film.frames) for column in columns for panel in column)
    for index in range(longest + round(columns[0][0].film.fps)):
        yield files.tile([[draw(column[row], index) for column in columns] for row in range(len(columns[0]))])


def _score(film: "Film") -> float | None:
    """Normalised; None for a task without references."""
    reference = find(film.task)
    return None if reference is None else float(reference.score(np.asarray([sum(film.rewards)]))[0])


def _summary(folder: Path, start: int, panel: Panel) -> Recorded:
    return Recorded(
        str(folder),
        start,
        float(sum(panel.film.rewards)),
        _score(panel.film),
        len(panel.film.rewards),
        None if panel.values is None else float(panel.values[0]),
    )
