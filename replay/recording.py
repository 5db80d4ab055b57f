"""Episodes into Minari datasets, by Minari's own writer, so that its loader reads them."""

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from replay.errors import DatasetError

COMPLETE = "ocelot_complete"  # metadata key: false while a recording runs
AT_ONCE = 20  # episodes held in memory before they are written


class Recorder:
    """Writes one dataset, an episode at a time, holding few in memory. Use it as a context manager.

    A recording that ends with an exception is deleted; one whose process was killed is refused by `load`, and replaced
    by the next recording of its name.

    Args:
        dataset_id: "namespace/name-v0", as Minari wants it.
        observation_space, action_space: Gymnasium spaces.
        task: "domain/name".
        quality: "random", "medium" or "expert".
        expert: who acted.
        seed: of the recording.
        versions: of the simulator and libraries, by name.
        description: one or two sentences for people.
        environment: the Gymnasium environment, for Minari's `recover_environment`; None leaves it out.

    Raises:
        DatasetError: when the id is malformed or there is such a dataset already.
    """

    def __init__(
        self,
        dataset_id: str,
        observation_space: Any,
        action_space: Any,
        *,
        task: str,
        quality: str,
        expert: str,
        seed: int,
        versions: dict[str, str] | None = None,
        description: str = "",
        environment: Any = None,
    ):
        import minari

        require_free(dataset_id)
        self.dataset_id = dataset_id
        self._spaces = observation_space, action_space
        self._waiting: list[Any] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about optional metadata
            self._dataset = minari.create_dataset_from_buffers(
                dataset_id,
                [],
                env=environment,
                observation_space=observation_space,
                action_space=action_space,
                algorithm_name=expert,
                description=description,
            )
        self._dataset.storage.update_metadata(
            {
                "task": task,
                "quality": quality,
                "expert": expert,
                "seed": seed,
                "versions": versions or {},
                COMPLETE: False,
            }
        )

    def add(
        self,
        observations: Sequence[Any],
        actions: Sequence[Any],
        rewards: Sequence[float],
        terminated: bool,
        truncated: bool,
        seed: int | None = None,
    ) -> None:
        """One episode of N steps.

        Args:
            observations: N + 1, each as the environment gave it; the last is what followed the last action.
            actions: N, each as the environment took it.
            rewards: N, finite.
            terminated, truncated: how the last step ended it.
            seed: that the environment was reset with.

        Raises:
            DatasetError: when the numbers do not belong together or a reward is not finite.
        """
        from minari.data_collector import EpisodeBuffer

        steps = len(rewards)
        where = f"dataset '{self.dataset_id}', episode {self._dataset.total_episodes + len(self._waiting)}"
        if not steps or len(actions) != steps or len(observations) != steps + 1:
            raise DatasetError(
                f"{where}: {len(observations)} observations, {len(actions)} actions, {steps} rewards; give one "
                "observation more than actions, and as many rewards as actions"
            )
        values = np.asarray(rewards, dtype=np.float64)
        if not np.isfinite(values).all():
            step = int(np.flatnonzero(~np.isfinite(values))[0])
            raise DatasetError(f"{where}: the reward at step {step} is {values[step]}; mend the environment")
        ends = np.zeros(steps, dtype=bool)
        self._waiting.append(
            EpisodeBuffer(
                seed=seed,
                observations=_stack(self._spaces[0], observations),
                actions=_stack(self._spaces[1], actions),
                rewards=values.tolist(),
                terminations=[*ends[:-1].tolist(), bool(terminated)],
                truncations=[*ends[:-1].tolist(), bool(truncated)],
            )
        )
        if len(self._waiting) >= AT_ONCE:
            self._write()

    def close(self) -> str:
        """Writes what waits and marks the dataset complete. Returns its id."""
        self._write()
        self._dataset.storage.update_metadata({COMPLETE: True})
        return self.dataset_id

    def discard(self) -> None:
        """Deletes the dataset."""
        shutil.rmtree(self._dataset.storage.data_path.parent)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _write(self) -> None:
        if self._waiting:
            self._dataset.update_dataset_from_buffer(self._waiting)
            self._waiting = []


def require_free(dataset_id: str) -> Path:
    """The folder of a dataset that is to be recorded. What a recording of its name left that was killed is deleted.

    Raises:
        DatasetError: when the id is malformed or there is such a dataset already.
    """
    from minari.dataset.minari_dataset import parse_dataset_id
    from minari.storage import get_dataset_path

    try:
        parse_dataset_id(dataset_id)
    except (ValueError, TypeError):  # TypeError where the version is missing
        raise DatasetError(f"'{dataset_id}' is no dataset id; write it as namespace/name-v0") from None
    folder = Path(get_dataset_path(dataset_id))
    _discard_interrupted(dataset_id)
    if folder.exists():
        raise DatasetError(
            f"dataset '{dataset_id}' already exists in {folder}. To replace it: `minari delete {dataset_id}`"
        )
    return folder


def _stack(space: Any, values: Sequence[Any]) -> Any:
    """Steps of nested values as the nesting of stacked leaves that Minari writes."""
    from gymnasium import spaces
    from minari.dataset.minari_storage import is_image_space

    from replay.minari_images import Plain, pngs

    if isinstance(space, spaces.Dict):
        return {key: _stack(part, [value[key] for value in values]) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_stack(part, [value[at] for value in values]) for at, part in enumerate(space.spaces))
    if isinstance(space, spaces.Text):
        return [str(value) for value in values]
    stacked = np.asarray(values, dtype=space.dtype).reshape(len(values), *space.shape)
    if stacked.dtype != np.uint8:
        return stacked
    return pngs(stacked) if is_image_space(space) else Plain(stacked)


def _discard_interrupted(dataset_id: str) -> None:
    """Deletes what a recording of this name left that was killed before its end; a complete dataset stays."""
    import minari
    from minari.storage import get_dataset_path

    metadata = minari.list_local_datasets().get(dataset_id, {})
    if metadata.get(COMPLETE, True) is False:
        shutil.rmtree(get_dataset_path(dataset_id))
