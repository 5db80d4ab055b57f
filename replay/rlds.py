"""Datasets in the format of RLDS (Ramos et al., arXiv 2111.02767), read by TensorFlow Datasets, an optional package."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policy.layout import Layout
from replay.errors import DatasetError
from replay.importing import datasets_at, import_dataset
from replay.recording import Recorder, require_free


def import_rlds(
    source: str,
    layout: Layout,
    observation_space: Any,
    action_space: Any,
    dataset_id: str,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> str:
    """Writes an RLDS dataset as a Minari dataset: whole and checked against its task, or not at all.

    The last step of an RLDS episode holds the final observation; its action and reward mean nothing and are left out.

    Args:
        source: the folder of one version of it, as TensorFlow Datasets writes them.
        layout: of the task that it was recorded on.
        observation_space, action_space: of the task, in Gymnasium's terms; the dataset's keys must be theirs.
        dataset_id: of the new dataset.
        progress: called with (episodes checked, episodes).

    Returns:
        The dataset's id.

    Raises:
        DatasetError: no such dataset or package, one of another task, or an id that is taken.
    """
    from minari.storage import get_dataset_path

    require_free(dataset_id)
    staging = Path(get_dataset_path()) / f".reading-{os.getpid()}"  # hidden: Minari takes it for nothing
    try:
        with datasets_at(staging):
            _record(source, layout.task, observation_space, action_space, dataset_id)
        return import_dataset(str(staging / dataset_id), lambda _: layout, progress=progress)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _record(source: str, task: str, observation_space: Any, action_space: Any, dataset_id: str) -> None:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DatasetError(f"reading RLDS needs TensorFlow Datasets ({error}); pip install 'ocelot[rlds]'") from None
    try:
        builder = tfds.builder_from_directory(str(Path(source).expanduser()))
        episodes = builder.as_dataset(split="all")
    except Exception as error:  # of whichever of its readers
        raise DatasetError(
            f"'{source}' is no RLDS dataset: {str(error).splitlines()[0]}; name the folder that holds dataset_info.json"
        ) from error
    with Recorder(
        dataset_id,
        observation_space,
        action_space,
        task=task,
        quality="unknown",
        expert=builder.name,
        seed=0,
        description=f"Imported from the RLDS dataset {builder.name} {builder.version}.",
    ) as recorder:
        for number, episode in enumerate(episodes):
            steps = list(tfds.as_numpy(episode["steps"]))
            ended = bool(steps[-1]["is_terminal"])
            try:
                recorder.add(
                    [step["observation"] for step in steps],
                    [step["action"] for step in steps[:-1]],
                    [float(step["reward"]) for step in steps[:-1]],
                    ended,
                    not ended,
                )
            except (KeyError, ValueError, TypeError, IndexError) as error:
                raise DatasetError(
                    f"'{source}', episode {number} does not have the spaces of {task} "
                    f"({type(error).__name__}: {error}); name the task that it was recorded on"
                ) from error
