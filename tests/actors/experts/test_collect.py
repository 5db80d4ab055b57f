import shutil

import minari
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from actors import domains
from actors.errors import TaskError
from actors.experts import files, references
from actors.experts.collect import Collection, collect, default_dataset_id
from actors.experts.play import play
from actors.experts.registry import expert
from actors.experts.types import ExpertError
from replay.demonstrations import load, local_ids
from replay.errors import DatasetError

CARTPOLE = "gym/CartPole-v1"


def episodes(dataset_id):
    return list(minari.load_dataset(dataset_id))


@pytest.mark.parametrize(
    ("task", "quality", "count"),
    [(CARTPOLE, "medium", 25), ("gym/Pendulum-v1", "medium", 6), ("control/cartpole-swingup", "random", 2)],
)
def test_the_same_seed_records_the_same_episodes(task, quality, count):
    names = [collect(task, quality, count, seed, f"tests/{name}-v0") for seed, name in ((1, "a"), (1, "b"), (2, "c"))]
    a, b, c = (episodes(name) for name in names)
    assert len(a) == len(b) == len(c) == count
    for one, other in zip(a, b, strict=True):
        assert np.array_equal(one.rewards, other.rewards)
        assert np.array_equal(one.actions, other.actions)
    assert [len(one.rewards) for one in a] != [len(one.rewards) for one in c] or not np.array_equal(
        a[0].actions, c[0].actions
    )


def test_datasets_are_read_by_minari_and_as_tokens():
    told = []
    name = collect(CARTPOLE, "medium", 30, 3, progress=lambda done, of: told.append((done, of)))
    assert name == default_dataset_id(CARTPOLE, "medium") == "ocelot/gym/CartPole-v1-medium-v0"
    assert told == [(done, 30) for done in range(1, 31)]
    dataset = minari.load_dataset(name)
    assert dataset.recover_environment().spec.id == "CartPole-v1"
    returns = [episode.rewards.sum() for episode in dataset]
    metadata = dataset.storage.metadata
    assert metadata["mean_return"] == pytest.approx(np.mean(returns))
    assert (metadata["task"], metadata["quality"], metadata["expert"]) == (CARTPOLE, "medium", "ppo-medium")
    assert metadata["seed"] == 3
    assert metadata["versions"]["gymnasium"]
    for episode, tokens in zip(dataset, load(name, domains.task_layout(CARTPOLE)), strict=True):
        assert len(episode.observations) == len(episode.rewards) + 1 == len(tokens) + 1
        assert tokens.returns_to_go[0] == episode.rewards.sum()
        assert bool(episode.terminations[-1]) == tokens.terminated
        assert not episode.terminations[:-1].any()


def test_mixed_takes_medium_and_expert_episodes_in_turn():
    returns = [episode.rewards.sum() for episode in episodes(collect(CARTPOLE, "mixed", 11))]
    assert all(total == 500 for total in returns[1::2])
    assert np.mean(returns[::2]) < 300
    assert minari.load_dataset(default_dataset_id(CARTPOLE, "mixed")).storage.metadata["expert"] == (
        "ppo-medium+scripted-lqr"
    )


def test_observations_follow_one_another():
    layout = domains.task_layout(CARTPOLE)
    for episode in play(expert(layout, "random", 0), layout, 20, 0):
        assert len(episode.observations) == len(episode.actions) + 1 == len(episode.rewards) + 1
        assert episode.terminated
        position, velocity = np.array(episode.observations).T[:2]
        assert position[1:] == pytest.approx(position[:-1] + 0.02 * velocity[:-1], abs=1e-6)


def test_the_number_of_an_episode_decides_its_start():
    layout = domains.task_layout(CARTPOLE)
    starts = [
        [episode.observations[0] for episode in play(expert(layout, "random", 0), layout, count, 4)]
        for count in (3, 12)
    ]
    assert len(starts[1]) == 12
    assert len({start.tobytes() for start in starts[1]}) == 12


class Killed(Exception):
    pass


def test_an_interrupted_collection_goes_on_with_nothing_doubled():
    def stop(done, of):
        told.append(done)
        if done == 25:
            raise Killed

    told = []
    with pytest.raises(Killed):
        collect(CARTPOLE, "random", 34, 5, progress=stop)
    assert local_ids() == []
    with pytest.raises(ExpertError, match=r"begun with seed 5; give the command as it was"):
        collect(CARTPOLE, "random", 34, 6)
    again = []
    name = collect(CARTPOLE, "random", 34, 5, progress=lambda done, of: again.append(done))
    assert again == list(range(21, 35))
    whole = collect(CARTPOLE, "random", 34, 5, "tests/whole-v0")
    assert local_ids() == [name, whole]
    resumed, uninterrupted = episodes(name), episodes(whole)
    assert len(resumed) == len(uninterrupted) == 34
    for one, other in zip(resumed, uninterrupted, strict=True):
        assert np.array_equal(one.observations, other.observations)
        assert np.array_equal(one.actions, other.actions)
    assert len({one.observations.tobytes() for one in resumed}) == 34


def test_a_collection_does_not_go_on_with_an_expert_trained_anew(tmp_path, monkeypatch):
    collection = Collection(CARTPOLE, "medium", 12, 0)
    collection.play(collection.missing()[0])
    shipped = files.network_path(files.SHIPPED, CARTPOLE, "medium")
    monkeypatch.setenv(files.OWN_VARIABLE, str(tmp_path))
    for file in (shipped, shipped.with_suffix(".json")):
        shutil.copy(file, tmp_path)
    assert Collection(CARTPOLE, "medium", 12, 0).missing() == collection.missing()  # another place, the same weights
    own = tmp_path / shipped.name
    save_file({name: 1.5 * value for name, value in load_file(own).items()}, own, metadata=_header(own))
    with pytest.raises(ExpertError, match=r"was begun with weights \['[0-9a-f]{64}'\]; give the command as it was"):
        Collection(CARTPOLE, "medium", 12, 0)


def _header(path):
    with safe_open(path, "np") as file:
        return file.metadata()


def test_a_collection_that_plays_nothing_leaves_nothing():
    def stop(done, of):
        raise Killed

    with pytest.raises(Killed):
        collect(CARTPOLE, "random", 12, 0, progress=stop)
    other = Collection(CARTPOLE, "random", 12, 1)  # nothing was begun that it would have to go on with
    assert not other.folder.exists()


def test_a_damaged_block_is_named_and_nothing_half_written_is_left():
    collection = Collection(CARTPOLE, "random", 12, 0)
    for block in collection.missing():
        collection.play(block)
    block = next(iter(sorted(collection.folder.glob("block-*"))))
    block.write_bytes(block.read_bytes()[:200])
    with pytest.raises(ExpertError, match=f"{block.name}: damaged .*; delete it, and the same command plays it again"):
        collection.finish()
    assert local_ids() == []
    block.unlink()
    assert len(episodes(collect(CARTPOLE, "random", 12, 0))) == 12


def test_episodes_far_below_the_best_are_left_out():
    name = collect("gym/Pendulum-v1", "expert", 20, 0, "tests/kept-v0")
    every = collect("gym/Pendulum-v1", "expert", 20, 0, "tests/all-v0", keep_all=True)
    returns = np.array([episode.rewards.sum() for episode in episodes(every)])
    best = (returns[1:] + returns[:-1]).max() / 2
    random = references.load("gym/Pendulum-v1").random.mean
    kept = [episode.rewards.sum() for episode in episodes(name)]
    assert kept == [total for total in returns if total >= random + 0.8 * (best - random)]
    asked = minari.load_dataset(name).storage.metadata["filter"]
    assert (asked["window"], asked["played"], asked["kept"]) == (2, 20, len(kept))
    assert asked["expert_return"] == pytest.approx(best)
    assert "filter" not in minari.load_dataset(every).storage.metadata


def test_what_cannot_be_collected_is_named():
    with pytest.raises(ExpertError, match="unknown quality 'experts': did you mean 'expert'"):
        collect(CARTPOLE, "experts", 1)
    with pytest.raises(TaskError, match="did you mean gym/CartPole-v1"):
        collect("gym/CartPoel-v1", "random", 1)
    with pytest.raises(ExpertError, match="cannot collect 0 episodes"):
        collect(CARTPOLE, "random", 0)
    with pytest.raises(ExpertError, match="gym/Taxi-v3 has no medium expert"):
        collect("gym/Taxi-v3", "mixed", 2)
    with pytest.raises(DatasetError, match="write it as namespace/name-v0"):
        collect(CARTPOLE, "random", 1, dataset_id="no id")
    collect(CARTPOLE, "random", 1)
    with pytest.raises(DatasetError, match="minari delete"):
        collect(CARTPOLE, "random", 1)
    assert local_ids() == [default_dataset_id(CARTPOLE, "random")]


def test_names_of_a_persons_own_tasks_become_ids():
    assert default_dataset_id("gym/my_package:MyEnv-v0", "random") == "ocelot/gym/my_package-MyEnv-v0-random-v0"
