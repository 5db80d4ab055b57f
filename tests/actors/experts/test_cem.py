"""The search for linear players: it finds one, goes on to the bit where it was stopped, and says when it does not."""

import numpy as np
import pytest

from actors.experts import files, registry
from actors.experts.judging import Stopped
from actors.experts.network import GAUSSIAN, Network
from actors.experts.train import train
from actors.experts.types import ExpertError

POLE = "gym/InvertedPendulum-v5"


def search(folder, until_return=20.0, max_env_steps=100_000, **rest):
    return train(POLE, "medium", until_return, max_env_steps, folder=folder, algorithm="cem", **rest)


def stops_at(count):
    """A `stop` that is true from the so manyth question on."""
    asked = iter(range(count - 1))
    return lambda: next(asked, None) is None


@pytest.mark.timeout(120)
def test_it_finds_a_player_and_resumes_to_the_bit(tmp_path):
    seen = []
    whole = search(tmp_path / "whole", progress=seen.append)
    network, about = Network.load(whole), files.load_about(whole)
    assert (network.inputs, network.actions, network.head, len(network.layers)) == (4, 1, GAUSSIAN, 1)
    assert about["mean_return"] > 15 > seen[0].metrics[f"charts/episodic_return/{POLE}"]
    assert about["env_steps"] == seen[-1].env_steps
    assert "--algorithm cem" in about["command"]
    assert len(seen) > 1, "a goal that the first generation reaches shows nothing of a stop"
    with pytest.raises(Stopped):
        search(tmp_path / "halves", stop=stops_at(1))
    again = search(tmp_path / "halves")
    assert not again.with_suffix(".cem-training").exists()
    for (weight, bias), (same, too) in zip(network.layers, Network.load(again).layers, strict=True):
        assert np.array_equal(weight, same)
        assert np.array_equal(bias, too)


@pytest.mark.timeout(60)
def test_a_goal_that_is_not_reached_is_an_error_that_resumes(tmp_path, monkeypatch):
    with pytest.raises(ExpertError, match=r"not yet 1e\+06; allow more steps"):
        search(tmp_path, until_return=1e6, max_env_steps=1)
    assert files.network_path(tmp_path, POLE, "medium").with_suffix(".cem-training").exists()
    monkeypatch.setenv(files.OWN_VARIABLE, str(tmp_path))
    assert registry.qualities(POLE) == ["random"]


def test_choices_are_refused(tmp_path):
    with pytest.raises(ExpertError, match="its actions are a discrete, which CEM cannot learn here"):
        train("gym/CartPole-v1", "medium", 100.0, folder=tmp_path, algorithm="cem")
