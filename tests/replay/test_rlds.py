import minari
import numpy as np
import pytest
from gymnasium import spaces

from policy.layout import Layout
from replay.demonstrations import load, local_ids
from replay.errors import DatasetError
from replay.rlds import import_rlds

BOX = spaces.Box(-1.0, 1.0, (3,), np.float32)
LAYOUT = Layout(
    "toy/walk",
    {"kind": "box", "shape": [3], "low": [-1.0] * 3, "high": [1.0] * 3, "dtype": "float32"},
    {"kind": "discrete", "n": 2, "start": 0},
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "here"))
    return tmp_path / "here"


def rows(episode):
    """An episode by step, as it is written."""
    return {"steps": [{name: column[at] for name, column in episode.items()} for at in range(len(episode["reward"]))]}


@pytest.fixture
def written(tmp_path):
    """The folder of an RLDS dataset of two episodes, and what they hold."""
    tfds = pytest.importorskip("tensorflow_datasets")
    import tensorflow as tf

    random = np.random.default_rng(0)
    episodes = []
    for steps, terminal in ((4, True), (6, False)):
        last = np.arange(steps) == steps - 1
        episodes.append(
            {
                "observation": random.uniform(-1, 1, (steps, 3)).astype(np.float32),
                "action": random.integers(2, size=steps).astype(np.int64),
                "reward": random.normal(size=steps).astype(np.float32),
                "is_first": np.arange(steps) == 0,
                "is_last": last,
                "is_terminal": last & terminal,
            }
        )
    kinds = {"observation": tfds.features.Tensor(shape=(3,), dtype=np.float32), "action": np.int64}
    kinds |= {"reward": np.float32, "is_first": np.bool_, "is_last": np.bool_, "is_terminal": np.bool_}
    features = tfds.features.FeaturesDict({"steps": tfds.features.Dataset(kinds)})
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        name="walk",
        version="1.0.0",
        features=features,
        split_datasets={"train": list(enumerate(map(rows, episodes)))},
        data_dir=str(tmp_path / "written"),
        disable_shuffling=True,
    )
    assert tf.io.gfile.exists(builder.data_dir)
    return str(builder.data_dir), episodes


def test_an_rlds_dataset_becomes_minaris(written):
    folder, episodes = written
    assert import_rlds(folder, LAYOUT, BOX, spaces.Discrete(2), "from/walk-v0") == "from/walk-v0"
    found = list(minari.load_dataset("from/walk-v0"))
    tokens = list(load("from/walk-v0", LAYOUT))
    for wanted, episode, trajectory in zip(episodes, found, tokens, strict=True):
        assert np.array_equal(episode.observations, wanted["observation"])
        assert np.array_equal(episode.actions, wanted["action"][:-1])
        assert episode.rewards == pytest.approx(wanted["reward"][:-1])
        assert trajectory.terminated == wanted["is_terminal"][-1]
        assert trajectory.truncated != trajectory.terminated


def test_an_rlds_dataset_of_another_task_is_named_and_not_kept(written, here):
    wider = spaces.Box(-1.0, 1.0, (4,), np.float32)
    with pytest.raises(DatasetError, match="episode 0 does not have the spaces of toy/walk"):
        import_rlds(written[0], LAYOUT, wider, spaces.Discrete(2), "from/walk-v0")
    assert local_ids() == []
    assert [path.name for path in here.iterdir()] == []


def test_what_is_no_rlds_dataset_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"reading RLDS needs TensorFlow Datasets|is no RLDS dataset"):
        import_rlds(str(tmp_path), LAYOUT, BOX, spaces.Discrete(2), "from/walk-v0")
    assert local_ids() == []
