import json

import numpy as np
import pytest

from actors import domains
from actors.errors import TaskError
from actors.experts import files, registry
from actors.experts.network import Network
from actors.experts.players import NetworkExpert, features
from actors.experts.train import Stopped, default_algorithm, train
from actors.experts.types import ExpertError
from cluster.local_ray import local_ray


@pytest.fixture(scope="module")
def rllib():
    """One Ray for all trainings, as a command starts it."""
    pytest.importorskip("ray.rllib")
    with local_ray():
        yield


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("ppo", "gym/CartPole-v1"),
        ("ppo", "gym/Pendulum-v1"),
        ("sac", "gym/Pendulum-v1"),
        ("dqn", "gym/CartPole-v1"),
    ],
)
def test_the_exported_network_equals_the_trained_module(name, task, rllib, tmp_path):
    import torch

    from actors.experts.rllib import KINDS, running

    layout = domains.task_layout(task)
    with running(name, layout, seed=1) as algorithm:
        before = KINDS[name].export(algorithm)
        algorithm.train()
        network = KINDS[name].export(algorithm)
        x = np.random.default_rng(0).normal(size=(64, network.inputs)).astype(np.float32)
        wanted = module_outputs(name, algorithm, torch.as_tensor(x))
    network.save(tmp_path / "network.safetensors")
    network = Network.load(tmp_path / "network.safetensors")
    found = network.forward(x)
    if network.log_std is not None:
        found = np.concatenate([found, np.broadcast_to(network.log_std, found.shape)], axis=1)
    assert found == pytest.approx(wanted, abs=1e-5)
    assert not np.array_equal(before.forward(x), network.forward(x))
    NetworkExpert(name, network, layout, 0)  # it fits the task


def module_outputs(name, algorithm, x):
    module = algorithm.get_module()
    if name == "dqn":
        return module.compute_q_values({"obs": x})["qf_preds"].detach().numpy()
    return module.forward_inference({"obs": x})["action_dist_inputs"].detach().numpy()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("architecture", "convolutions", "dense"),
    [
        # Mnih et al., arXiv 1312.5602, section 4.1; 84x84 becomes 20x20, then 9x9.
        ("nips2013", [(16, 4, 8, 8), (32, 16, 4, 4)], [(256, 9 * 9 * 32), (6, 256)]),
        # Mnih et al., Nature 518 (2015), Methods; 20x20, 9x9, 7x7.
        ("nature2015", [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3)], [(512, 7 * 7 * 64), (6, 512)]),
    ],
)
def test_dqn_plays_atari_with_the_papers_networks(architecture, convolutions, dense, rllib, tmp_path):
    import torch

    from actors.experts.rllib import KINDS, running

    layout = domains.task_layout("atari/pong-grey")
    with running("dqn", layout, seed=1, network=architecture) as algorithm:
        network = KINDS["dqn"].export(algorithm)
        frames = np.random.default_rng(0).integers(0, 256, (3, 4, 84, 84)).astype(np.uint8)
        seen = features(layout.observation, frames)  # [3, 84, 84, 4]
        wanted = module_outputs("dqn", algorithm, torch.as_tensor(seen))
    assert [weight.shape for weight, _ in network.convolutions] == convolutions
    assert [weight.shape for weight, _ in network.layers] == dense
    assert [stride for stride in network.strides] == ([4, 2] if architecture == "nips2013" else [4, 2, 1])
    network.save(tmp_path / "network.safetensors")
    network = Network.load(tmp_path / "network.safetensors")
    assert network.forward(seen) == pytest.approx(wanted, abs=1e-5)
    player = NetworkExpert("dqn", network, layout, 0)
    chosen = np.array([player.act(frames, [], np.array([])) for _ in range(400)])  # [400, 3]
    others = (chosen != wanted.argmax(axis=1)).mean()
    assert 0.02 < others < 0.07  # 5% are drawn, of which one in six is the greedy one


def test_the_algorithm_follows_from_actions_and_observations():
    assert default_algorithm(domains.task_layout("gym/CartPole-v1")) == "ppo"
    assert default_algorithm(domains.task_layout("gym/Pendulum-v1")) == "sac"
    assert default_algorithm(domains.task_layout("atari/pong-grey")) == "dqn"
    with pytest.raises(ExpertError, match="unknown algorithm 'a2c': it is one of ppo, sac, dqn"):
        train("gym/CartPole-v1", algorithm="a2c")
    with pytest.raises(ExpertError, match="unknown network 'nature'"):
        train("atari/pong-grey", network="nature")
    with pytest.raises(ExpertError, match="actions are a discrete, which SAC cannot learn"):
        train("gym/CartPole-v1", algorithm="sac")
    with pytest.raises(ExpertError, match="seen as an image, from which only DQN learns"):
        train("atari/pong-grey", algorithm="ppo")


@pytest.mark.timeout(120)
def test_training_stops_short_resumes_and_is_found(own_folder, rllib):
    task, told = "gym/CartPole-v1", []
    with pytest.raises(Stopped):
        train(task, "medium", until_return=1000.0, seed=1, progress=told.append, stop=lambda: told)
    with pytest.raises(ExpertError, match=r"not yet 1000; allow more steps \(max_env_steps\)"):
        train(task, "medium", until_return=1000.0, max_env_steps=4000, seed=1, progress=told.append)
    assert len(told) == 2
    assert {"charts/episodic_return/gym/CartPole-v1", "losses/policy_loss"} <= told[0].metrics.keys()
    assert not files.network_path(own_folder, task, "medium").exists()

    path = train(task, "medium", until_return=20.0, max_env_steps=10_000, seed=1, progress=told.append)
    assert told[2].env_steps > told[1].env_steps > told[0].env_steps  # went on, instead of beginning again
    assert path == files.network_path(own_folder, task, "medium")
    assert sorted(entry.name for entry in own_folder.iterdir()) == [path.with_suffix(".json").name, path.name]
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["env_steps"] == told[-1].env_steps
    assert about["mean_return"] > 15
    assert registry.expert(domains.task_layout(task), "medium", 0).network.inputs == 4


def test_what_cannot_be_trained_is_named():
    with pytest.raises(ExpertError, match="cannot train quality 'random'"):
        train("gym/CartPole-v1", "random")
    with pytest.raises(ExpertError, match="needs the return"):
        train("gym/CartPole-v1", "medium")
    with pytest.raises(ExpertError, match="at least 1"):
        train("gym/CartPole-v1", max_env_steps=0)
    with pytest.raises(TaskError, match="did you mean gym/CartPole-v1"):
        train("gym/CartPole-v9")
