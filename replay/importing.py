"""Brings a Minari dataset into the local folder: whole and checked against its task, or not at all."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from policy.layout import Layout
from replay.demonstrations import Demonstrations
from replay.errors import DatasetError
from replay.recording import require_free

VARIABLE = "MINARI_DATASETS_PATH"
STAGING = ".importing-"


def import_dataset(
    source: str,
    layout_of: Callable[[str], Layout],
    task: str | None = None,
    dataset_id: str | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> str:
    """Copies or downloads a dataset, reads every episode of it as tokens, and only then puts it where datasets are.

    Args:
        source: a folder (the dataset's own or its `data`), or the id of a dataset that Minari can download.
        layout_of: makes the layout of a task.
        task: that it was recorded on; None: what the dataset itself says.
        dataset_id: under which to keep it; None: the id that it has.
        progress: called with (episodes checked, episodes).

    Returns:
        The dataset's id.

    Raises:
        DatasetError: no such dataset or no network, one that is damaged or of another task, or an id that is taken.
        TaskError, SpaceError: a task that is unknown, or whose spaces cannot become tokens.
    """
    from minari.storage import get_dataset_path

    root = Path(get_dataset_path())
    _clear(root)
    staging = root / f"{STAGING}{os.getpid()}"  # hidden: Minari takes it for nothing
    try:
        found = _fetch(source, staging)
        kept_id = dataset_id or found
        folder = require_free(kept_id)
        of = task or _task(staging / found, kept_id)
        _annotate(staging / found, {"dataset_id": kept_id, "task": of})
        if kept_id != found:
            (staging / kept_id).parent.mkdir(parents=True, exist_ok=True)
            (staging / found).rename(staging / kept_id)
        with datasets_at(staging):
            demonstrations = Demonstrations(kept_id, layout_of(of))
            for index in range(len(demonstrations)):
                demonstrations.episode(index)
                progress(index + 1, len(demonstrations))
        folder.parent.mkdir(parents=True, exist_ok=True)
        (staging / kept_id).rename(folder)
        return kept_id
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _clear(root: Path) -> None:
    """Removes what imports left that were killed."""
    for left in root.glob(f"{STAGING}*"):
        if not psutil.pid_exists(int(left.name.removeprefix(STAGING))):
            shutil.rmtree(left, ignore_errors=True)


def _fetch(source: str, staging: Path) -> str:
    """Copies or downloads into the staging folder; the dataset's id."""
    path = Path(source).expanduser()
    if path.exists():
        data = path if (path / "metadata.json").exists() else path / "data"
        metadata = _metadata(data, source)
        found = str(metadata.get("dataset_id") or f"imported/{path.resolve().name}-v0")
        shutil.copytree(data, staging / found / "data")
        return found
    import minari

    staging.mkdir(parents=True, exist_ok=True)
    try:
        with datasets_at(staging):
            minari.download_dataset(source)
            ids = list(minari.list_local_datasets())
    except Exception as error:  # of whichever client its remote uses
        raise DatasetError(
            f"'{source}' is no folder here, and Minari cannot download it: {str(error).splitlines()[0]}. Give the path "
            "of a dataset's folder, or an id of `minari list remote` where there is a network"
        ) from error
    if len(ids) != 1:
        raise DatasetError(
            f"'{source}' is not one dataset: Minari downloaded {ids}; give an id of `minari list remote`"
        )
    return ids[0]


def _task(folder: Path, dataset_id: str) -> str:
    """What the dataset says of its task."""
    metadata = _metadata(folder / "data", dataset_id)
    if metadata.get("task"):
        return str(metadata["task"])
    if metadata.get("env_spec"):
        return f"gym/{json.loads(metadata['env_spec'])['id']}"
    raise DatasetError(f"dataset '{dataset_id}' does not say on which task it was recorded; name it (--task)")


def _annotate(folder: Path, changes: dict[str, Any]) -> None:
    path = folder / "data" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _metadata(data: Path, source: str) -> dict[str, Any]:
    try:
        return dict(json.loads((data / "metadata.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(f"'{source}' is no Minari dataset: its metadata.json cannot be read ({error})") from None


@contextmanager
def datasets_at(folder: Path) -> Iterator[None]:
    """Lets Minari keep its datasets there for a while."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
