"""Returns of the random player and of the expert, by task: the 0 and the 100 of normalised scores."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from actors import domains
from actors.experts import files, registry
from actors.experts.play import play
from actors.experts.types import EXPERT, RANDOM, ExpertError
from actors.experts.versions import versions
from policy.layout import Layout
from policy.text import TextTokenizer

SHIPPED = files.SHIPPED / "references.json"


@dataclass(frozen=True)
class Measurement:
    """What a player returned, undiscounted."""

    player: str
    episodes: int
    mean: float
    low: float
    high: float
    """95% interval of the mean, from the normal approximation."""


@dataclass(frozen=True)
class Reference:
    """The two ends of a task's scale."""

    task: str
    random: Measurement
    expert: Measurement
    seed: int
    versions: dict[str, str]

    @property
    def meaningful(self) -> bool:
        """The expert is better than random actions; otherwise the task has no score."""
        return self.expert.mean > self.random.mean


def load(task: str) -> Reference:
    """The reference of a task: the person's own measurement, or the one that comes with Ocelot.

    Raises:
        ExpertError: when the task was not measured, the file is damaged, or its expert is no better than random, so
            that scores would mean nothing.
    """
    reference = find(task)
    if reference is None:
        raise ExpertError(
            f"{task}: no reference returns, so no normalised score; measured are {', '.join(known())}. "
            f"Measure it: ocelot experts measure {task}"
        )
    if not reference.meaningful:
        raise ExpertError(
            f"{task}: its expert returns {reference.expert.mean:.1f} on average and random actions "
            f"{reference.random.mean:.1f}, so it has no score; give it a better expert and measure it again"
        )
    return reference


def find(task: str) -> Reference | None:
    """As `load`, but None where nobody measured it, and whatever the expert is worth. Raises ExpertError for damage."""
    for path in (_own(), SHIPPED):
        if task in files.read_json(path):
            return entry(task, path)
    return None


def entry(task: str, path: Path | None = None) -> Reference:
    """The reference of a task as it stands in a file, the person's own one if None, meaningful or not.

    Raises:
        ExpertError: when the file has none, or is damaged.
    """
    path = path or _own()
    found = files.read_json(path).get(task)
    try:
        if found is None:
            raise KeyError(task)
        return Reference(
            task,
            Measurement(**found["random"]),
            Measurement(**found["expert"]),
            int(found["seed"]),
            dict(found["versions"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ExpertError(f"{path}: the entry of {task} is damaged ({error!r}); measure it again") from None


def up_to_date(task: str, episodes: int, seed: int, path: Path | None = None) -> bool:
    """Whether a file has the task's reference from as many episodes, the same seed and the same versions."""
    if task not in files.read_json(path or _own()):
        return False
    found = entry(task, path)
    asked = (episodes, episodes, seed, versions(task))
    return (found.random.episodes, found.expert.episodes, found.seed, found.versions) == asked


def measured(task: str) -> float:
    """Mean return of random actions; NaN where nobody measured it. Raises ExpertError for a damaged file."""
    found = find(task)
    return math.nan if found is None else found.random.mean


def known() -> list[str]:
    """Tasks that have a reference, sorted."""
    return sorted(files.read_json(SHIPPED).keys() | files.read_json(_own()).keys())


def measure(
    task: str, episodes: int = 100, seed: int = 0, progress: Callable[[int, int], None] = lambda done, of: None
) -> Reference:
    """Plays `episodes` episodes with random actions and as many with the task's expert; `save` keeps the result.

    Args:
        task: `domain/name`.
        episodes: at least 2, so that there is an interval.
        seed: of both players' episodes; they start alike.
        progress: called with (episodes done, episodes of both) after each.

    Raises:
        TaskError, ExpertError: unknown task, or one without an expert.
    """
    if episodes < 2:
        raise ExpertError(f"{task}: cannot measure a mean's interval from {episodes} episodes; play at least 2")
    layout = domains.task_layout(task, text=TextTokenizer.default())
    random, expert = (
        _measure(layout, quality, episodes, seed, partial(_report, progress, place * episodes, 2 * episodes))
        for place, quality in enumerate((RANDOM, EXPERT))
    )
    return Reference(task, random, expert, seed, versions(task))


class Meter:
    """Measures one task after the other. Arguments as `measure`."""

    def __init__(self, episodes: int, seed: int):
        self._episodes, self._seed = episodes, seed

    def measure(self, task: str) -> Reference:
        """As `measure`."""
        return measure(task, self._episodes, self._seed)


def save(reference: Reference, path: Path | None = None) -> Path:
    """Adds a reference to a file, the person's own one if None; an entry of the same task is replaced."""
    path = path or _own()
    path.parent.mkdir(parents=True, exist_ok=True)
    added = asdict(reference)
    del added["task"]
    files.write_json(path, dict(sorted({**files.read_json(path), reference.task: added}.items())))
    return path


def _measure(layout: Layout, quality: str, episodes: int, seed: int, progress: Callable[[int], None]) -> Measurement:
    player = registry.expert(layout, quality, seed)
    returns = []
    for episode in play(player, layout, episodes, seed):
        returns.append(episode.total)
        progress(len(returns))
    mean = float(np.mean(returns))
    half = 1.96 * float(np.std(returns, ddof=1)) / math.sqrt(episodes)
    return Measurement(player.name, episodes, mean, mean - half, mean + half)


def _report(progress: Callable[[int, int], None], before: int, of: int, done: int) -> None:
    progress(before + done, of)


def _own() -> Path:
    return files.own_folder() / "references.json"
