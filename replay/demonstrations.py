"""Demonstrations out of Minari datasets, and (`Recorder`) into them.

Minari keeps its datasets under MINARI_DATASETS_PATH, or ~/.minari/datasets where that is not set.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from policy.errors import TokenError
from policy.layout import Layout
from policy.returns import returns_to_go
from replay.errors import DatasetError
from replay.fit import mismatch
from replay.recording import COMPLETE, Recorder
from replay.trajectory import EXPERT, Trajectory

__all__ = ["Demonstrations", "Recorder", "load", "local_ids"]


def load(dataset_id: str, layout: Layout) -> Iterator[Trajectory]:
    """The episodes of a local dataset as tokens, one whole episode each, in the dataset's order.

    Args:
        dataset_id: as in `minari list local`.
        layout: of the task that the dataset was recorded on.

    Raises:
        DatasetError: for a dataset that is not there, was made for other spaces, is damaged, or holds a reward that is
            not finite.
    """
    demonstrations = Demonstrations(dataset_id, layout)
    for index in range(len(demonstrations)):
        yield demonstrations.episode(index)


def local_ids() -> list[str]:
    """Ids of all local Minari datasets, sorted; those whose recording was interrupted left out."""
    import minari

    return sorted(name for name, metadata in minari.list_local_datasets().items() if metadata.get(COMPLETE, True))


class Demonstrations:
    """One local Minari dataset, read an episode at a time. Arguments and errors as `load`."""

    def __init__(self, dataset_id: str, layout: Layout):
        self.dataset_id = dataset_id
        self.layout = layout
        self._dataset = open_dataset(dataset_id)
        for part, description, space in (
            ("observation", layout.observation, self._dataset.observation_space),
            ("action", layout.action, self._dataset.action_space),
        ):
            wrong = mismatch(description, space)
            if wrong:
                raise DatasetError(
                    f"dataset '{dataset_id}' was not made for {layout.task}: in its {part} space {wrong}. "
                    f"Name a dataset that was recorded on {layout.task} as it is now, or record one anew"
                )
        try:
            metadata = self._dataset.storage.get_episode_metadata(self._dataset.episode_indices)
            self.steps = np.asarray([episode["total_steps"] for episode in metadata], dtype=np.int64)
            """Length of each episode."""
        except DAMAGE as error:
            raise damaged(dataset_id, self._dataset, error) from error
        if not len(self.steps):
            raise DatasetError(f"dataset '{dataset_id}' holds no episodes; record some, or name another")

    def __len__(self) -> int:
        return len(self.steps)

    def episode(self, index: int) -> Trajectory:
        """Episode `index` as tokens.

        Raises:
            DatasetError: as `load`.
        """
        where = f"dataset '{self.dataset_id}', episode {index}"
        try:
            episode = self._dataset[index]
            observations = self.layout.encode_observation(episode.observations)  # [N + 1, observation tokens]
            patches = self.layout.encode_patches(episode.observations)  # [N + 1, P, 16, 16, 3]
            actions = self.layout.encode_action(episode.actions)  # [N, A]
        except TokenError as error:
            raise DatasetError(f"{where}: {error}; record it anew, or leave the dataset out") from error
        except DAMAGE as error:
            raise damaged(self.dataset_id, self._dataset, error) from error
        rewards = np.asarray(episode.rewards, dtype=np.float32)
        steps = len(rewards)
        if not steps or len(actions) != steps or len(observations) != steps + 1:
            raise DatasetError(
                f"{where}: {len(observations)} observations, {len(actions)} actions and {steps} rewards do not "
                f"belong together; Minari stores one observation more than actions. Record it anew"
            )
        if not np.isfinite(rewards).all():
            step = int(np.flatnonzero(~np.isfinite(rewards))[0])
            raise DatasetError(
                f"{where}: the reward at step {step} is {rewards[step]}; mend the environment and record it anew"
            )
        separator = np.full((steps + 1, 1), self.layout.vocabulary.separator, dtype=np.int32)
        observed = np.concatenate([observations, separator], axis=1)
        terminated = bool(episode.terminations[-1])
        return Trajectory(
            task=self.layout.task,
            source=EXPERT,
            actor=-1,
            episode=index,
            first_step=0,
            burn_in=0,
            tokens=np.concatenate([observed[:-1], actions], axis=1).astype(np.int32),
            tail=observed[-1].astype(np.int32),
            legal=self.layout.legal,
            rewards=rewards,
            returns_to_go=returns_to_go(rewards).astype(np.float32),
            terminated=terminated,
            # A recording that just stops was cut off too: nothing says that the task ended there.
            truncated=not terminated,
            log_probs=np.full((steps, self.layout.action_tokens), np.nan, dtype=np.float32),
            versions=np.full((steps, 2), -1, dtype=np.int32),
            context_start=np.full(steps, -1, dtype=np.int32),
            return_tokens=np.full(steps, -1, dtype=np.int32),
            temperature=-1.0,
            episode_return=float(rewards.sum(dtype=np.float64)),
            patches=patches[:-1],
            tail_patches=patches[-1],
            patch_intervals=self.layout.patch_intervals,
        )


DAMAGE = (OSError, KeyError, ValueError, RuntimeError, AssertionError)  # what h5py and Minari raise on damaged files


def open_dataset(dataset_id: str) -> Any:
    """Minari's own object of a local dataset. Raises DatasetError as `load`, other than for its spaces."""
    import minari

    try:
        dataset = minari.load_dataset(dataset_id)
        complete = dataset.storage.metadata.get(COMPLETE, True)
    except FileNotFoundError:
        known = local_ids()
        raise DatasetError(
            f"no dataset '{dataset_id}' on this machine; "
            + (f"there are {', '.join(known)}" if known else "there is none at all")
            + f". Fetch it with `minari download {dataset_id}`, record one with `ocelot experts collect`, or point "
            "MINARI_DATASETS_PATH at where it is"
        ) from None
    except DAMAGE as error:
        raise DatasetError(
            f"dataset '{dataset_id}' cannot be read ({error}); delete it with `minari delete {dataset_id}` and fetch "
            "or record it anew"
        ) from error
    if not complete:
        raise DatasetError(
            f"the recording of dataset '{dataset_id}' was interrupted; delete it with `minari delete {dataset_id}` and "
            "record it anew"
        )
    return dataset


def damaged(dataset_id: str, dataset: Any, error: Exception) -> DatasetError:
    """What to say of a dataset of which a part cannot be read."""
    return DatasetError(
        f"dataset '{dataset_id}' is damaged: {dataset.storage.data_path} cannot be read "
        f"({str(error).splitlines()[0]}). Delete it with `minari delete {dataset_id}` and fetch or record it anew"
    )
