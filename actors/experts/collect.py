"""Records an expert's episodes as a Minari dataset."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain, zip_longest

import numpy as np

from actors import domains
from actors.experts import files, registry
from actors.experts.play import Episode, play
from actors.experts.types import EXPERT, MEDIUM, MIXED, Expert, ExpertError
from actors.experts.versions import versions
from policy.layout import Layout
from policy.text import TextTokenizer
from replay.demonstrations import Recorder


def default_dataset_id(task: str, quality: str) -> str:
    """`gym/CartPole-v1` in medium quality is `ocelot/gym/CartPole-v1-medium-v0`."""
    domain, _, name = task.partition("/")
    return f"ocelot/{domain}/{files.stem(name)}-{quality}-v0"


def collect(
    task: str,
    quality: str,
    episodes: int,
    seed: int = 0,
    dataset_id: str | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> str:
    """Plays whole episodes of a task and writes them as a new Minari dataset; the same seed gives the same episodes.

    Its metadata names task, quality, expert, seed, versions and `mean_return`. Nothing is left where an exception ends
    the collection.

    Args:
        task: `domain/name`.
        quality: `random`, `medium`, `expert`, or `mixed`: medium and expert episodes in turn.
        episodes: at least one.
        seed: of the environments and of what the expert draws.
        dataset_id: of the new dataset; `default_dataset_id` if None.
        progress: called with (episodes done, episodes) after each.

    Returns:
        The dataset's id.

    Raises:
        TaskError, ExpertError: unknown task or quality, or an expert that the task does not have.
        DatasetError: a dataset of this id exists, or the id is malformed.
        EnvironmentFailed: the environment keeps failing.
    """
    if episodes < 1:
        raise ExpertError(f"{task}: cannot collect {episodes} episodes; collect at least 1")
    registry.check_quality(quality)
    layout = domains.task_layout(task, text=TextTokenizer.default())
    players = [
        registry.expert(layout, one, seed + place)
        for place, one in enumerate((MEDIUM, EXPERT) if quality == MIXED else (quality,))
    ]
    name = "+".join(player.name for player in players)
    returns = []
    with closing(domains.make(task)) as environment:
        recorder = Recorder(
            dataset_id or default_dataset_id(task, quality),
            environment.observation_space,
            environment.action_space,
            task=task,
            quality=quality,
            expert=name,
            seed=seed,
            versions=versions(),
            description=f"{episodes} {quality} episodes of {task}, played by {name}.",
            environment=environment if environment.spec is not None else None,
        )
    with recorder:
        for episode in _episodes(players, layout, episodes, seed):
            recorder.add(episode.observations, episode.actions, episode.rewards, episode.terminated, episode.truncated)
            returns.append(episode.total)
            progress(len(returns), episodes)
    _describe(recorder.dataset_id, float(np.mean(returns)))
    return recorder.dataset_id


def _episodes(players: list[Expert], layout: Layout, episodes: int, seed: int) -> Iterator[Episode]:
    """The players' episodes in turn; the first plays one more where they do not divide evenly."""
    shares = [(episodes + len(players) - 1 - place) // len(players) for place in range(len(players))]
    streams = [
        play(player, layout, share, seed + place)
        for place, (player, share) in enumerate(zip(players, shares, strict=True))
        if share
    ]
    return (episode for episode in chain.from_iterable(zip_longest(*streams)) if episode is not None)


def _describe(dataset_id: str, mean_return: float) -> None:
    import minari

    minari.load_dataset(dataset_id).storage.update_metadata({"mean_return": mean_return})
