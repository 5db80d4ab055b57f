"""Learning from the scripted expert: it finds a player, goes on where it was stopped, and says when it cannot."""

import numpy as np
import pytest

from actors import domains
from actors.experts import files
from actors.experts.judging import Stopped, returns_of
from actors.experts.network import CATEGORICAL, GAUSSIAN, Network
from actors.experts.players import from_actions, to_actions
from actors.experts.train import train
from actors.experts.types import ExpertError

POLE = "gym/CartPole-v1"


def learn(folder, task=POLE, until_return=200.0, **rest):
    return train(task, "medium", until_return, 20_000, folder=folder, algorithm="dagger", **rest)


@pytest.mark.timeout(120)
def test_it_learns_a_choice_from_the_expert(tmp_path):
    seen = []
    file = learn(tmp_path, progress=seen.append)
    network, about = Network.load(file), files.load_about(file)
    assert (network.inputs, network.actions, network.head) == (4, 2, CATEGORICAL)
    assert about["mean_return"] > 100, "random actions return 20"
    assert about["env_steps"] == seen[-1].env_steps
    assert "--algorithm dagger" in about["command"]
    assert not file.with_suffix(".dagger-training").exists()
    returned = sum(returns_of(network, domains.task_layout(POLE), 5, seed=7)) / 5
    assert returned > 100, "inputs are brought to their spread inside the network's own weights"


@pytest.mark.timeout(120)
def test_it_learns_numbers_and_goes_on_where_it_was_stopped(tmp_path):
    task, steps = "gym/Pendulum-v1", []
    with pytest.raises(Stopped):
        learn(tmp_path, task, 0.0, progress=lambda at: steps.append(at.env_steps), stop=lambda: True)
    file = learn(tmp_path, task, -700.0, progress=lambda at: steps.append(at.env_steps))
    assert steps[0] == 400
    assert steps[1] == 800, "what was seen before the stop is still learned from"
    network = Network.load(file)
    assert (network.inputs, network.actions, network.head) == (3, 1, GAUSSIAN)
    assert files.load_about(file)["mean_return"] > -900, "random actions return -1,200"


def test_a_task_without_a_scripted_expert_is_refused(tmp_path):
    with pytest.raises(ExpertError, match="it has no scripted expert to learn from"):
        learn(tmp_path, "gym/InvertedPendulum-v5")


@pytest.mark.parametrize("task", [POLE, "gym/Pendulum-v1", "control/reacher-easy"])
def test_an_experts_actions_come_back_from_a_networks_units(task):
    space = domains.task_layout(task).action
    draws = np.array([0, 1, 1]) if space["kind"] == "discrete" else np.linspace(-1, 1, 3)[:, None]
    actions = to_actions(space, np.repeat(draws, np.prod(space["shape"]), axis=1) if draws.ndim == 2 else draws)
    np.testing.assert_allclose(to_actions(space, from_actions(space, actions)), actions, atol=1e-6)
    np.testing.assert_allclose(from_actions(space, actions).reshape(3, -1)[:, 0], draws.reshape(3), atol=1e-6)
