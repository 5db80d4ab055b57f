import json

import numpy as np
import pytest

from actors import domains
from actors.errors import TaskError
from actors.experts import files, registry
from actors.experts.train import train
from actors.experts.types import ExpertError


@pytest.fixture(scope="module")
def rllib():
    """One Ray for all trainings: each would start and stop its own."""
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.rllib")
    started = not ray.is_initialized()
    if started:
        ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield
    if started:
        ray.shutdown()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("task", ["gym/CartPole-v1", "gym/Pendulum-v1", "control/cartpole-swingup"])
def test_the_exported_network_equals_the_trained_module(task, rllib):
    import torch

    from actors.experts import ppo

    layout = domains.task_layout(task)
    with ppo.running(layout, seed=1) as algorithm:
        before = ppo.export(algorithm)
        algorithm.train()
        network = ppo.export(algorithm)
        x = np.random.default_rng(0).normal(size=(64, network.inputs)).astype(np.float32)
        outputs = algorithm.get_module().forward_inference({"obs": torch.as_tensor(x)})
        wanted = outputs["action_dist_inputs"].detach().numpy()
    found = network.forward(x)
    if network.log_std is not None:
        found = np.concatenate([found, np.broadcast_to(network.log_std, found.shape)], axis=1)
    assert found == pytest.approx(wanted, abs=1e-5)
    assert not np.array_equal(before.forward(x), network.forward(x))


@pytest.mark.timeout(120)
def test_training_stops_short_resumes_and_is_found(own_folder, rllib):
    task, told = "gym/CartPole-v1", []
    with pytest.raises(ExpertError, match=r"not yet 1000; allow more steps \(max_env_steps\)"):
        train(task, "medium", until_return=1000.0, max_env_steps=2000, seed=1, progress=told.append)
    assert len(told) == 1
    assert not files.network_path(own_folder, task, "medium").exists()

    path = train(task, "medium", until_return=20.0, max_env_steps=10_000, seed=1, progress=told.append)
    assert told[1].env_steps > told[0].env_steps  # went on, instead of beginning again
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
