import json

import numpy as np
import pytest

from actors import domains
from actors.experts import files, registry
from actors.experts.lqr import gain
from actors.experts.play import play
from actors.experts.types import ExpertError

# Mean returns that each quality promises, with room for the few episodes that are played here.
PROMISES = {
    "gym/CartPole-v1": {"random": (0, 40), "medium": (100, 200), "expert": (495, 500)},
    "gym/Pendulum-v1": {"random": (-1400, -950), "medium": (-700, -450), "expert": (-220, -90)},
    "gym/Acrobot-v1": {"random": (-500, -450), "medium": (-260, -120), "expert": (-115, -70)},
    "control/cartpole-swingup": {"random": (0, 60), "medium": (300, 450), "expert": (860, 880)},
}


@pytest.mark.parametrize("task", PROMISES)
def test_returns_are_what_the_quality_promises(task):
    layout = domains.task_layout(task)
    episodes = 4 if task.startswith("control/") else 40
    means = []
    for quality, (low, high) in PROMISES[task].items():
        returns = [episode.total for episode in play(registry.expert(layout, quality, 5), layout, episodes, 6)]
        means.append(np.mean(returns))
        assert low <= means[-1] <= high, quality
    assert means == sorted(means)


@pytest.mark.parametrize("task", PROMISES)
def test_what_ships_says_how_it_was_made(task):
    about = files.load_about(files.network_path(files.SHIPPED, task, "medium"))
    assert about["task"] == task
    assert about["command"].startswith(f"ocelot experts train {task} --quality medium")
    low, high = PROMISES[task]["medium"]
    assert low <= about["mean_return"] <= high
    assert about["episodes"] >= 100
    assert {"seed", "env_steps", "versions"} <= about.keys()


def test_unknown_qualities_and_missing_experts_are_named(own_folder):
    layout = domains.task_layout("gym/Taxi-v3")
    assert registry.qualities("gym/Taxi-v3") == ["random"]
    assert registry.qualities("gym/CartPole-v1") == ["random", "medium", "expert", "mixed"]
    with pytest.raises(ExpertError, match="unknown quality 'meduim': did you mean 'medium'"):
        registry.expert(layout, "meduim", 0)
    with pytest.raises(ExpertError, match="unknown quality 'x': it is one of random, medium, expert, mixed"):
        registry.expert(layout, "x", 0)
    with pytest.raises(ExpertError, match=r"has no medium expert, it has: random; .*train gym/Taxi-v3.*until"):
        registry.expert(layout, "medium", 0)


def test_a_trained_expert_comes_before_the_scripted_one(own_folder):
    layout = domains.task_layout("gym/CartPole-v1")
    assert registry.expert(layout, "expert", 0).name == "scripted-lqr"
    path = files.network_path(own_folder, "gym/CartPole-v1", "expert")
    path.parent.mkdir()
    shipped = files.network_path(files.SHIPPED, "gym/CartPole-v1", "medium")
    path.write_bytes(shipped.read_bytes())
    path.with_suffix(".json").write_text(json.dumps({"algorithm": "PPO"}))
    assert registry.expert(layout, "expert", 0).name == "ppo-expert"


def test_the_regulator_of_one_state_is_the_closed_form():
    # x' = x + u, cost x^2 + u^2: the fixed point p = 1 + p - p^2 / (1 + p) is the golden ratio.
    golden = (1 + np.sqrt(5)) / 2
    found = gain(np.array([[1.0]]), np.array([1.0]), np.array([1.0]), 1.0)
    assert found == pytest.approx([golden / (1 + golden)])
