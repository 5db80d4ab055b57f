"""Records an expert's episodes as a Minari dataset, block by block, so that an interrupted collection goes on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from actors import domains
from actors.experts import blocks, files, registry
from actors.experts.filtering import choose
from actors.experts.play import Episode, play
from actors.experts.references import measured
from actors.experts.types import EXPERT, Expert, ExpertError, played_by
from actors.experts.versions import versions
from policy.layout import Layout
from policy.text import TextTokenizer
from replay.demonstrations import Recorder
from replay.recording import require_free

BLOCK = 10
"""Episodes that are played and kept together; even, so that `mixed` blocks hold as many of both."""


def default_dataset_id(task: str, quality: str) -> str:
    """`gym/CartPole-v1` in medium quality is `ocelot/gym/CartPole-v1-medium-v0`."""
    domain, _, name = task.partition("/")
    return f"ocelot/{domain}/{files.stem(name)}-{quality}-v0"


class Collection:
    """One dataset in the making. Its blocks can be played in any order and by any process; the result is the same.

    Args:
        task: `domain/name`.
        quality: `random`, `medium`, `expert`, or `mixed`: medium and expert episodes in turn.
        episodes: to play, at least one.
        seed: of the environments and of what the expert draws.
        dataset_id: of the new dataset; `default_dataset_id` if None.
        keep_all: keep those episodes of an expert too that are far below its best.

    Raises:
        TaskError, ExpertError: unknown task or quality, or an expert that the task does not have.
        DatasetError: a dataset of this id exists, or the id is malformed.
    """

    def __init__(
        self,
        task: str,
        quality: str,
        episodes: int,
        seed: int = 0,
        dataset_id: str | None = None,
        keep_all: bool = False,
    ):
        if episodes < 1:
            raise ExpertError(f"{task}: cannot collect {episodes} episodes; collect at least 1")
        registry.check_quality(quality)
        self.layout = domains.task_layout(task, text=TextTokenizer.default())
        self.quality, self.episodes, self.seed = quality, episodes, seed
        self.filtered = quality == EXPERT and not keep_all
        self.expert = "+".join(player.name for player in self._players(seed))
        self.dataset_id = dataset_id or default_dataset_id(task, quality)
        self.folder = _folder(require_free(self.dataset_id))
        self._check_plan()

    def missing(self) -> list[int]:
        """Numbers of the blocks that are still to be played."""
        return [block for block in range(-(-self.episodes // BLOCK)) if not self._path(block).exists()]

    def play(self, block: int, played: Callable[[int], None] = lambda _: None) -> int:
        """Plays a block, keeps it, and returns its number of episodes. `played` hears how many of them are done.

        Raises:
            EnvironmentFailed: the environment keeps failing.
        """
        # A block's episodes follow from its number and the seed alone.
        seed = int(np.random.SeedSequence((self.seed, block)).generate_state(1)[0])
        episodes = []
        for episode in _in_turn(self._players(seed), self.layout, self.size(block), seed):
            episodes.append(episode)
            played(len(episodes))
        self._keep_plan()  # not before, so that a collection whose first block fails leaves nothing
        blocks.save(self._path(block), episodes, self.layout.observation, self.layout.action)
        return len(episodes)

    def finish(self) -> str:
        """Writes the dataset from its blocks, which are deleted then; its id.

        Raises:
            ExpertError: a block is missing or damaged.
            DatasetError: a dataset of this id exists by now.
        """
        paths = [self._path(block) for block in range(-(-self.episodes // BLOCK))]
        returns = np.array([total for path in paths for total in blocks.returns(path)])
        kept, metadata = np.ones(len(returns), dtype=bool), {}
        if self.filtered:
            kept, asked = choose(returns, measured(self.layout.task))
            metadata["filter"] = asdict(asked)
        with self._recorder(int(kept.sum())) as recorder:
            keeps = iter(kept)
            for path in paths:
                for episode in blocks.load(path, self.layout.observation, self.layout.action):
                    if next(keeps):
                        recorder.add(
                            episode.observations,
                            episode.actions,
                            episode.rewards,
                            episode.terminated,
                            episode.truncated,
                            episode.seed,
                        )
            _describe(self.dataset_id, metadata | {"mean_return": float(returns[kept].mean())})
        shutil.rmtree(self.folder)
        return self.dataset_id

    def _players(self, seed: int) -> list[Expert]:
        return [registry.expert(self.layout, one, seed + place) for place, one in enumerate(played_by(self.quality))]

    def size(self, block: int) -> int:
        """Episodes of a block."""
        return min(BLOCK, self.episodes - block * BLOCK)

    def _path(self, block: int) -> Path:
        return self.folder / f"block-{block:06d}-{self.size(block)}.npz"

    def _check_plan(self) -> None:
        """Blocks of an unfinished collection must be those that this one would play."""
        if not self._plan_path.exists():
            return
        unfinished = files.read_json(self._plan_path)
        differ = [key for key, value in self._plan().items() if unfinished.get(key) != value]
        if differ:
            raise ExpertError(
                f"an unfinished collection of dataset '{self.dataset_id}' was begun with "
                f"{', '.join(f'{key} {unfinished.get(key)}' for key in differ)}; give the command as it was then, or "
                f"delete {self.folder} to begin anew"
            )

    def _keep_plan(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._plan_path.exists():
            files.write_json(self._plan_path, self._plan())

    @property
    def _plan_path(self) -> Path:
        return self.folder / "plan.json"

    def _plan(self) -> dict[str, Any]:
        return {
            "task": self.layout.task,
            "quality": self.quality,
            "expert": self.expert,
            "seed": self.seed,
            "versions": versions(self.layout.task),
            "weights": registry.weights(self.layout.task, self.quality),  # an expert trained anew is another
        }

    def _recorder(self, kept: int) -> Recorder:
        with closing(domains.make(self.layout.task)) as environment:
            return Recorder(
                self.dataset_id,
                environment.observation_space,
                environment.action_space,
                task=self.layout.task,
                quality=self.quality,
                expert=self.expert,
                seed=self.seed,
                versions=versions(self.layout.task),
                description=f"{kept} {self.quality} episodes of {self.layout.task}, played by {self.expert}.",
                environment=environment if environment.spec is not None else None,
            )


def collect(
    task: str,
    quality: str,
    episodes: int,
    seed: int = 0,
    dataset_id: str | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
    keep_all: bool = False,
) -> str:
    """Plays whole episodes of a task in this process and writes them as a new Minari dataset.

    The same seed gives the same episodes. Where an exception ends the collection, no dataset is left, and the same call
    goes on from the last whole block. The dataset's metadata names task, quality, expert, seed, versions, `mean_return`
    and, of an expert's episodes, what `filter` asked of them.

    Args:
        progress: called with (episodes done, episodes) after each.
        others: as `Collection`, which says what is raised.

    Returns:
        The dataset's id.

    Raises:
        EnvironmentFailed: the environment keeps failing.
    """
    collection = Collection(task, quality, episodes, seed, dataset_id, keep_all)
    missing = collection.missing()
    done = episodes - sum(collection.size(block) for block in missing)
    for block in missing:

        def report(played: int, before: int = done) -> None:
            progress(before + played, episodes)

        done += collection.play(block, report)
    return collection.finish()


def _in_turn(players: list[Expert], layout: Layout, episodes: int, seed: int) -> Iterator[Episode]:
    """The players' episodes in turn; the first plays one more where they do not divide evenly."""
    shares = [(episodes + len(players) - 1 - place) // len(players) for place in range(len(players))]
    streams = [
        play(player, layout, share, seed + place)
        for place, (player, share) in enumerate(zip(players, shares, strict=True))
        if share
    ]
    return (episode for episode in chain.from_iterable(zip_longest(*streams)) if episode is not None)


def _folder(dataset: Path) -> Path:
    """Where the blocks of a dataset are, beside it and hidden, so that Minari takes it for nothing."""
    return dataset.with_name(f".{dataset.name}.collecting")


def _describe(dataset_id: str, metadata: dict[str, Any]) -> None:
    import minari

    minari.load_dataset(dataset_id).storage.update_metadata(metadata)
