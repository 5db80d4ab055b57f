import json
import os
import shutil
import subprocess
import sys

import minari
import numpy as np
import pytest
from gymnasium import spaces

from policy.layout import Layout
from replay.demonstrations import Recorder, load, local_ids
from replay.errors import DatasetError
from replay.importing import import_dataset
from replay.summary import summarise

TASK = "toy/walk"
NAME = "test/walk-v0"
BOX = {"kind": "box", "shape": [3], "low": [-1.0] * 3, "high": [1.0] * 3, "dtype": "float32"}


def layout_of(task):
    discrete = 2 if task == TASK else 5
    return Layout(task, BOX, {"kind": "discrete", "n": discrete, "start": 0})


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The folder of a dataset that was made on another machine; the local folder is empty."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "other"))
    random = np.random.default_rng(0)
    space = spaces.Box(-1.0, 1.0, (3,), np.float32)
    with Recorder(NAME, space, spaces.Discrete(2), task=TASK, quality="random", expert="r", seed=0) as recorder:
        for steps in (4, 7, 2):
            observations = random.uniform(-1, 1, (steps + 1, 3)).astype(np.float32)
            recorder.add(observations, random.integers(2, size=steps), np.arange(float(steps)), steps == 4, steps != 4)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "here"))
    return tmp_path / "other" / NAME


def nothing_left(tmp_path):
    return not any((tmp_path / "here").iterdir()) if (tmp_path / "here").exists() else True


@pytest.mark.parametrize("part", ["", "data"])
def test_an_imported_dataset_is_the_same_as_tokens_and_for_minari(elsewhere, part, tmp_path):
    told = []
    kept = import_dataset(str(elsewhere / part), layout_of, progress=lambda done, of: told.append((done, of)))
    assert kept == NAME
    assert local_ids() == [NAME]
    assert told == [(1, 3), (2, 3), (3, 3)]
    dataset = minari.load_dataset(kept)
    original = minari.MinariDataset(elsewhere / "data")
    for one, other in zip(dataset, original, strict=True):
        assert np.array_equal(one.observations, other.observations)
        assert np.array_equal(one.rewards, other.rewards)
    assert [len(episode) for episode in load(kept, layout_of(TASK))] == [4, 7, 2]
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["test"]


def test_it_can_have_another_name_and_say_its_task(elsewhere):
    path = elsewhere / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    del metadata["task"]
    path.write_text(json.dumps(metadata))
    with pytest.raises(DatasetError, match="does not say on which task it was recorded; name it"):
        import_dataset(str(elsewhere), layout_of)
    assert import_dataset(str(elsewhere), layout_of, TASK, "mine/other-v3") == "mine/other-v3"
    summary = summarise("mine/other-v3")
    assert summary.task == TASK
    assert summary.lengths.tolist() == [4, 7, 2]
    assert summary.returns.tolist() == [6.0, 21.0, 1.0]
    assert summary.terminated == 1
    with pytest.raises(DatasetError, match="'mine/other-v3' already exists"):
        import_dataset(str(elsewhere), layout_of, TASK, "mine/other-v3")


def test_a_dataset_of_another_task_is_named_and_not_kept(elsewhere, tmp_path):
    with pytest.raises(DatasetError, match="was not made for toy/run: in its action space"):
        import_dataset(str(elsewhere), layout_of, "toy/run")
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_truncated_file_is_named_and_not_kept(elsewhere, share, tmp_path):
    file = elsewhere / "data" / "main_data.hdf5"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DatasetError, match=NAME):
        import_dataset(str(elsewhere), layout_of)
    assert nothing_left(tmp_path)


def test_what_a_killed_import_left_is_removed_by_the_next(elsewhere, tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    left, running = (tmp_path / "here" / f".importing-{pid}" for pid in (killed.pid, os.getppid()))
    for folder in (left, running):
        (folder / NAME).mkdir(parents=True)
    import_dataset(str(elsewhere), layout_of)
    assert not left.exists()
    assert running.exists()


def test_what_is_no_dataset_is_named(elsewhere, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty' is no Minari dataset"):
        import_dataset(str(tmp_path / "empty"), layout_of)

    def no_network(dataset_id):
        raise OSError("no route to host")

    monkeypatch.setattr(minari, "download_dataset", no_network)
    with pytest.raises(DatasetError, match=r"'D4RL/door/human-v2' is no folder here.*no route to host.*minari list"):
        import_dataset("D4RL/door/human-v2", layout_of)
    assert nothing_left(tmp_path)


def test_a_download_is_checked_like_a_copy(elsewhere, monkeypatch):
    def download(dataset_id):
        shutil.copytree(elsewhere, minari.storage.get_dataset_path(NAME))

    monkeypatch.setattr(minari, "download_dataset", download)
    assert import_dataset("hf://somebody/" + NAME, layout_of) == NAME
    assert local_ids() == [NAME]


def test_a_damaged_dataset_has_no_summary(elsewhere, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(elsewhere.parent.parent))
    file = elsewhere / "data" / "main_data.hdf5"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(DatasetError, match="'test/walk-v0' is damaged"):
        summarise(NAME)
