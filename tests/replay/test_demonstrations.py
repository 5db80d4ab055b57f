import json

import minari
import numpy as np
import pytest
from gymnasium import spaces

from actors.spaces import describe
from policy.layout import Layout
from policy.text import TextTokenizer
from replay.demonstrations import Demonstrations, Recorder, load, local_ids
from replay.errors import DatasetError

BOX = spaces.Box(-1.0, 1.0, (3,), np.float32)
NESTED = spaces.Dict(
    {
        "arm": spaces.Tuple((spaces.Discrete(4, start=2), spaces.Box(0.0, 9.0, (2, 2), np.float64))),
        "memory": spaces.Box(0, 255, (5,), np.uint8),
        "flags": spaces.MultiBinary(3),
    }
)


def layout(observation, action, task="gym/Task-v0", text=None):
    return Layout(task, describe(observation, task), describe(action, task), text=text)


def play(observation, action, steps, seed):
    observation.seed(seed)
    action.seed(seed)
    return (
        [observation.sample() for _ in range(steps + 1)],
        [action.sample() for _ in range(steps)],
        np.random.default_rng(seed).normal(size=steps).tolist(),
    )


def record(name, observation, action, lengths=(4, 7, 1), **settings):
    episodes = [play(observation, action, steps, seed) for seed, steps in enumerate(lengths)]
    given = {"task": "gym/Task-v0", "quality": "medium", "expert": "trained", "seed": 3} | settings
    with Recorder(name, observation, action, **given) as recorder:
        for number, episode in enumerate(episodes):
            recorder.add(*episode, terminated=number % 2 == 0, truncated=number % 2 == 1, seed=number)
    return episodes


@pytest.mark.parametrize(
    ("observation", "action"),
    [
        (BOX, spaces.Discrete(3)),
        (BOX, spaces.Box(-2.0, 2.0, (2,), np.float32)),
        (NESTED, spaces.Dict({"turn": spaces.MultiDiscrete([3, 5]), "push": spaces.Box(0.0, 1.0, (1,), np.float32)})),
        (spaces.MultiDiscrete([4, 4]), spaces.MultiBinary(2)),
    ],
    ids=["discrete", "continuous", "nested", "multi"],
)
def test_what_is_recorded_comes_back_as_its_tokens(minari_home, observation, action):
    episodes = record("test/round-v0", observation, action)
    reader = layout(observation, action)
    loaded = list(load("test/round-v0", reader))
    assert [len(t) for t in loaded] == [4, 7, 1]
    for number, ((observations, actions, rewards), trajectory) in enumerate(zip(episodes, loaded, strict=True)):
        trajectory.check()
        for step, value in enumerate(observations):
            expected = reader.encode_observation(_batched(observation, value))[0]
            row = trajectory.tail if step == len(actions) else trajectory.tokens[step]
            np.testing.assert_array_equal(row[: reader.observation_tokens], expected)
            assert row[reader.observation_tokens] == reader.vocabulary.separator
        for step, value in enumerate(actions):
            expected = reader.encode_action(_batched(action, value))[0]
            np.testing.assert_array_equal(trajectory.tokens[step, reader.observation_tokens + 1 :], expected)
        np.testing.assert_array_equal(trajectory.rewards, np.float32(rewards))
        assert trajectory.returns_to_go[0] == pytest.approx(sum(rewards), abs=1e-5)
        assert trajectory.episode_return == pytest.approx(sum(rewards), abs=1e-5)
        assert (trajectory.terminated, trajectory.truncated) == (number % 2 == 0, number % 2 == 1)
        assert trajectory.episode == number
        assert np.isnan(trajectory.log_probs).all()


def _batched(space, value):
    if isinstance(space, spaces.Dict):
        return {key: _batched(part, value[key]) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_batched(part, value[at]) for at, part in enumerate(space.spaces))
    return np.asarray(value)[None]


def test_minaris_own_loader_reads_a_recording_and_its_metadata(minari_home):
    episodes = record("test/own-v0", NESTED, spaces.Discrete(3), versions={"gymnasium": "1.2"}, description="Some.")
    dataset = minari.load_dataset("test/own-v0")
    assert dataset.total_episodes == 3
    assert dataset.total_steps == 12
    assert dataset.observation_space == NESTED
    for (observations, actions, rewards), episode in zip(episodes, dataset, strict=True):
        np.testing.assert_array_equal(episode.observations["memory"], [o["memory"] for o in observations])
        np.testing.assert_array_equal(episode.observations["arm"][1], [o["arm"][1] for o in observations])
        np.testing.assert_array_equal(episode.actions, actions)
        np.testing.assert_array_equal(episode.rewards, rewards)
    metadata = json.loads((minari_home / "test/own-v0/data/metadata.json").read_text())
    assert metadata["task"] == "gym/Task-v0"
    assert (metadata["quality"], metadata["expert"], metadata["seed"]) == ("medium", "trained", 3)
    assert (metadata["versions"], metadata["description"]) == ({"gymnasium": "1.2"}, "Some.")
    assert local_ids() == ["test/own-v0"]


def test_text_observations(minari_home):
    observation = spaces.Dict({"mission": spaces.Text(40), "state": BOX})
    missions = ["go to the red ball", "open the door", "go to the blue key"]
    with Recorder("test/text-v0", observation, spaces.Discrete(2), task="t", quality="q", expert="e", seed=0) as into:
        values = [{"mission": text, "state": np.zeros(3, np.float32)} for text in missions]
        into.add(values, [0, 1], [0.0, 1.0], terminated=True, truncated=False)
    text = TextTokenizer.default()
    (loaded,) = load("test/text-v0", layout(observation, spaces.Discrete(2), text=text))
    ids = text.encode(missions[1])
    assert loaded.tokens[1, : len(ids)].tolist() == ids


def test_more_episodes_than_are_held_in_memory(minari_home):
    record("test/many-v0", BOX, spaces.Discrete(3), lengths=[2] * 45)
    assert len(Demonstrations("test/many-v0", layout(BOX, spaces.Discrete(3)))) == 45


def test_an_unknown_dataset_is_named_with_the_local_ones(minari_home):
    reader = layout(BOX, spaces.Discrete(3))
    with pytest.raises(DatasetError, match="there is none at all"):
        next(load("test/missing-v0", reader))
    record("test/there-v0", BOX, spaces.Discrete(3))
    with pytest.raises(DatasetError, match=r"no dataset 'test/missing-v0'.*there are test/there-v0"):
        next(load("test/missing-v0", reader))


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (BOX, spaces.Discrete(4), r"action space the space has \(start, n\) \(0, 3\), the task has \(0, 4\)"),
        (BOX, spaces.Box(-1.0, 1.0, (1,), np.float32), "action space the space is a Discrete, the task has a Box"),
        (spaces.Box(-1.0, 1.0, (4,), np.float32), spaces.Discrete(3), r"has shape \(3,\), the task has \(4,\)"),
        (spaces.Box(-1.0, 2.0, (3,), np.float32), spaces.Discrete(3), "has high 1 at element 0, the task has 2"),
        (spaces.Dict({"a": BOX}), spaces.Discrete(3), "observation space the space is a Box, the task has a Dict"),
    ],
)
def test_another_tasks_dataset_is_refused(minari_home, observation, action, message):
    record("test/other-v0", BOX, spaces.Discrete(3))
    with pytest.raises(DatasetError, match=f"'test/other-v0' was not made for gym/Task-v0: in its .*{message}"):
        next(load("test/other-v0", layout(observation, action)))


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (
            spaces.MultiDiscrete(np.full((7, 7), 264)),
            r"has shape \(7, 7, 3\), the task has \(7, 7\)\. .*record one anew",
        ),
        (spaces.MultiDiscrete(np.full((7, 7, 3), [11, 6, 5])), r"has 4 values at element \[0, 0, 2\], the task has 5"),
    ],
)
def test_a_dataset_of_a_task_that_has_changed_since_is_refused(minari_home, observation, message):
    record("test/old-v0", spaces.MultiDiscrete(np.full((7, 7, 3), [11, 6, 4])), spaces.Discrete(3))
    with pytest.raises(DatasetError, match=message):
        next(load("test/old-v0", layout(observation, spaces.Discrete(3))))


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(minari_home, keep):
    record("test/cut-v0", BOX, spaces.Discrete(3), lengths=[50] * 10)
    path = minari_home / "test/cut-v0/data/main_data.hdf5"
    with open(path, "r+b") as file:
        file.truncate(int(path.stat().st_size * keep))
    with pytest.raises(DatasetError, match=r"dataset 'test/cut-v0' is damaged.*minari delete test/cut-v0"):
        list(load("test/cut-v0", layout(BOX, spaces.Discrete(3))))


def test_damaged_metadata_is_refused(minari_home):
    record("test/meta-v0", BOX, spaces.Discrete(3))
    (minari_home / "test/meta-v0/data/metadata.json").write_text('{"total_epi')
    with pytest.raises(DatasetError, match="'test/meta-v0' cannot be read"):
        next(load("test/meta-v0", layout(BOX, spaces.Discrete(3))))


def test_rewards_and_observations_that_are_not_finite_are_named(minari_home):
    import h5py

    record("test/nan-v0", BOX, spaces.Discrete(3))
    with h5py.File(minari_home / "test/nan-v0/data/main_data.hdf5", "r+") as file:
        file["episode_1"]["rewards"][5] = np.nan
        file["episode_2"]["observations"][0] = np.inf
    demonstrations = Demonstrations("test/nan-v0", layout(BOX, spaces.Discrete(3)))
    demonstrations.episode(0)
    with pytest.raises(DatasetError, match="'test/nan-v0', episode 1: the reward at step 5 is nan"):
        demonstrations.episode(1)
    with pytest.raises(DatasetError, match=r"'test/nan-v0', episode 2: gym/Task-v0: inf"):
        demonstrations.episode(2)


@pytest.mark.parametrize(
    ("episode", "message"),
    [
        (([0], [1], [0.0]), "1 observations, 1 actions, 1 rewards"),
        (([0, 0], [1], [float("nan")]), "episode 0: the reward at step 0 is nan"),
    ],
)
def test_a_recorder_refuses_what_cannot_be_read_and_leaves_nothing(minari_home, episode, message):
    with (
        pytest.raises(DatasetError, match=message),
        Recorder(
            "test/bad-v0", spaces.Discrete(2), spaces.Discrete(2), task="t", quality="q", expert="e", seed=0
        ) as recorder,
    ):
        recorder.add(*episode, terminated=True, truncated=False)
    assert local_ids() == []


def test_ids_that_exist_or_are_malformed_are_refused(minari_home):
    record("test/twice-v0", BOX, spaces.Discrete(3))
    with pytest.raises(DatasetError, match=r"'test/twice-v0'.*already exists.*minari delete"):
        record("test/twice-v0", BOX, spaces.Discrete(3))
    with pytest.raises(DatasetError, match="'no version' is no dataset id"):
        record("no version", BOX, spaces.Discrete(3))


def test_an_interrupted_recording_is_refused(minari_home):
    recorder = Recorder("test/half-v0", BOX, spaces.Discrete(3), task="t", quality="q", expert="e", seed=0)
    recorder.add(*play(BOX, spaces.Discrete(3), 3, 0), terminated=True, truncated=False)
    with pytest.raises(DatasetError, match="recording of dataset 'test/half-v0' was interrupted"):
        next(load("test/half-v0", layout(BOX, spaces.Discrete(3))))
    assert local_ids() == []
    record("test/half-v0", BOX, spaces.Discrete(3))  # what was left is replaced
    assert local_ids() == ["test/half-v0"]
