import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from actors import domains
from actors.experts import files, registry
from actors.experts.network import GAUSSIAN, GREEDY, SQUASHED, Network
from actors.experts.players import NetworkExpert, RandomExpert, flatten, network_sizes
from actors.experts.types import ExpertError
from policy.layout import Layout

CARTPOLE = "gym/CartPole-v1"


def tensors(inputs=4, hidden=8, outputs=2, **others):
    def random(*shape):
        return np.random.default_rng(0).normal(size=shape).astype(np.float32)

    return {
        "layers.0.weight": random(hidden, inputs),
        "layers.0.bias": random(hidden),
        "layers.1.weight": random(outputs, hidden),
        "layers.1.bias": random(outputs),
        **others,
    }


def test_saved_and_loaded_networks_agree(tmp_path):
    save_file(tensors(log_std=np.zeros(2, dtype=np.float32)), tmp_path / "a.safetensors")
    network = Network.load(tmp_path / "a.safetensors")
    network.save(tmp_path / "b.safetensors")
    x = np.random.default_rng(1).normal(size=(5, 4))
    assert np.array_equal(network.forward(x), Network.load(tmp_path / "b.safetensors").forward(x))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({}, "no layers"),
        (tensors(surplus=np.zeros(1, dtype=np.float32)), "surplus"),
        (tensors() | {"layers.1.weight": np.zeros((2, 9), dtype=np.float32)}, "layer 1 .* after 8 units"),
        (tensors() | {"layers.0.bias": np.zeros(3, dtype=np.float32)}, "layer 0"),
        (tensors(log_std=np.zeros(3, dtype=np.float32)), "log_std has shape"),
        (tensors() | {"layers.1.bias": np.array([0.0, np.nan], dtype=np.float32)}, "finite float32"),
        (tensors() | {"layers.1.bias": np.zeros(2)}, "finite float32"),
    ],
)
def test_tensors_that_make_no_network_are_refused(tmp_path, bad, why):
    save_file(bad, tmp_path / "bad.safetensors")
    with pytest.raises(ExpertError, match=f"bad.safetensors.*{why}"):
        Network.load(tmp_path / "bad.safetensors")


def test_files_that_are_no_safetensors_are_refused(tmp_path):
    path = tmp_path / "bad.safetensors"
    with pytest.raises(ExpertError, match="no such file"):
        Network.load(path)
    for content in (b"", b"not safetensors", files.network_path(files.SHIPPED, CARTPOLE, "medium").read_bytes()[:-100]):
        path.write_bytes(content)
        with pytest.raises(ExpertError, match=r"bad.safetensors: not a readable safetensors file"):
            Network.load(path)


def test_a_network_of_other_sizes_is_refused_with_both(tmp_path):
    save_file(tensors(inputs=5), tmp_path / "a.safetensors")
    with pytest.raises(ExpertError, match=r"CartPole-v1.*\(5, 2, 'discrete'\).*\(4, 2, 'discrete'\)"):
        NetworkExpert("a", Network.load(tmp_path / "a.safetensors"), domains.task_layout(CARTPOLE), 0)


def test_sampling_follows_the_distribution():
    bias = np.log(np.array([0.7, 0.3], dtype=np.float32))
    network = Network(((np.zeros((2, 4), dtype=np.float32), bias),))
    actions = NetworkExpert("a", network, domains.task_layout(CARTPOLE), 0).act(np.zeros((20_000, 4)), [], np.array([]))
    assert abs(actions.mean() - 0.3) < 0.02

    mean, log_std = np.array([0.2], dtype=np.float32), np.log(np.array([0.1], dtype=np.float32))
    network = Network(((np.zeros((1, 3), dtype=np.float32), mean),), log_std, GAUSSIAN)
    actions = NetworkExpert("b", network, domains.task_layout("gym/Pendulum-v1"), 0).act(
        np.zeros((20_000, 3)), [], np.array([])
    )
    assert actions.shape == (20_000, 1)
    assert actions.dtype == np.float32
    assert abs(actions.mean() - 0.4) < 0.01  # the torque's bounds are -2 and 2
    assert abs(actions.std() - 0.2) < 0.01


def test_squashed_draws_and_greedy_choices():
    outputs = np.array([0.5, -1.0], dtype=np.float32)  # mean and logarithm of the deviation
    network = Network(((np.zeros((2, 3), dtype=np.float32), outputs),), head=SQUASHED)
    draws = network.choose(np.zeros((50_000, 3)), np.random.default_rng(0))
    assert draws.shape == (50_000, 1)
    inner = np.arctanh(draws)
    assert inner.mean() == pytest.approx(0.5, abs=0.01)
    assert inner.std() == pytest.approx(np.exp(-1.0), abs=0.01)
    network = Network(((np.eye(3, dtype=np.float32), np.zeros(3, dtype=np.float32)),), head=GREEDY)
    assert network.choose(np.array([[0.0, 2.0, 1.0]]), np.random.default_rng(0)).tolist() == [1]


def test_random_actions_lie_in_any_space():
    box = {"kind": "box", "shape": [2, 1], "low": [-1.0, 0.0], "high": [0.0, 3.0], "dtype": "float32"}
    parts = {
        "a": box,
        "b": {"kind": "discrete", "n": 3, "start": -1},
        "c": {"kind": "multi_discrete", "nvec": [2, 5]},
        "d": {"kind": "multi_binary", "n": [4]},
    }
    layout = Layout("toy", box, {"kind": "dict", "spaces": parts})
    actions = RandomExpert(layout, 0).act(np.zeros((1000, 2, 1)), [], np.array([]))
    assert actions["a"].shape == (1000, 2, 1)
    assert (actions["a"][:, 0] <= 0).all()
    assert (actions["a"][:, 1] >= 0).all()
    assert set(actions["b"]) == {-1, 0, 1}
    assert actions["c"].max(axis=0).tolist() == [1, 4]
    assert actions["d"].shape == (1000, 4)


def test_discrete_observations_become_one_hot():
    discrete = {"kind": "discrete", "n": 3, "start": 1}
    box = {"kind": "box", "shape": [2], "low": [-1.0, -1.0], "high": [1.0, 1.0], "dtype": "float32"}
    observation = {"kind": "dict", "spaces": {"b": discrete, "a": box}}
    flat = flatten(observation, {"a": np.array([[0.5, -0.5]]), "b": np.array([3])})
    assert flat.tolist() == [[0.5, -0.5, 0.0, 0.0, 1.0]]
    assert network_sizes(Layout("toy", observation, discrete)) == (5, 3, "discrete")


def test_spaces_that_no_network_plays_are_named():
    box = {"kind": "box", "shape": [1], "low": [-1.0], "high": [1.0], "dtype": "float32"}
    with pytest.raises(ExpertError, match="toy: networks play one Box or Discrete action, not a multi_discrete"):
        network_sizes(Layout("toy", box, {"kind": "multi_discrete", "nvec": [2, 2]}))
    with pytest.raises(ExpertError, match="toy: networks see Box and Discrete observations, not 'x'"):
        network_sizes(Layout("toy", {"kind": "dict", "spaces": {"x": {"kind": "multi_binary", "n": [2]}}}, box))


def test_a_damaged_description_is_named(own_folder):
    path = files.network_path(own_folder, CARTPOLE, "medium")
    own_folder.mkdir()
    save_file(tensors(), path)
    layout = domains.task_layout(CARTPOLE)
    with pytest.raises(ExpertError, match=r"gym-CartPole-v1-medium.json is missing"):
        registry.expert(layout, "medium", 0)
    for content in ("{", "[]", json.dumps({"task": CARTPOLE})):
        path.with_suffix(".json").write_text(content)
        with pytest.raises(ExpertError, match="not the description of an expert"):
            registry.expert(layout, "medium", 0)
    path.with_suffix(".json").write_text(json.dumps({"algorithm": "PPO"}))
    assert registry.expert(layout, "medium", 0).act(np.zeros((3, 4)), [], np.array([])).shape == (3,)
