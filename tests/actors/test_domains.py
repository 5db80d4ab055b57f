import os
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from actors import domains
from actors.environments import Environments
from actors.errors import TaskError
from policy.errors import SpaceError
from tests.actors.toys import PREFIX

TASKS = [
    "gym/CartPole-v1",
    "gym/Pendulum-v1",
    "gym/MountainCarContinuous-v0",
    "gym/FrozenLake-v1",
    "gym/HalfCheetah-v5",
    "control/cartpole-swingup",
    "control/ball_in_cup-catch",
    "control/humanoid-walk",
    PREFIX + "Toy-v0",
]
STEP_TOKENS = {"gym/CartPole-v1": 4 + 1 + 1, "gym/Pendulum-v1": 3 + 1 + 1, "control/cartpole-swingup": 5 + 1 + 1}


def play(layout, steps=20):
    """Observation tokens and rewards of two environments under actions drawn from a fixed seed."""
    envs = Environments(layout, 2, seed=7)
    generator = np.random.default_rng(0)
    seen, rewards = [layout.encode_observation(envs.reset())], []
    for _ in range(steps):
        tokens = generator.integers(layout.legal[:, 0], layout.legal[:, 1], size=(2, layout.action_tokens))
        result = envs.step(layout.decode_action(tokens))
        seen.append(layout.encode_observation(result.observation))
        rewards.append(result.rewards)
    assert envs.faults == 0
    envs.close()
    return np.array(seen), np.array(rewards)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_plays_and_repeats_itself(task):
    layout = domains.task_layout(task)
    assert layout.step_tokens == STEP_TOKENS.get(task, layout.step_tokens)
    assert 0 < domains.discount(task) <= 1
    seen, rewards = play(layout)
    again, rewards_again = play(layout)
    np.testing.assert_array_equal(seen, again)
    np.testing.assert_array_equal(rewards, rewards_again)
    if task != "gym/FrozenLake-v1":  # has but one start
        assert (seen[0, 0] != seen[0, 1]).any()  # environments differ from each other


@pytest.mark.parametrize("task", TASKS)
def test_actions_decode_to_within_half_a_bin(task):
    layout = domains.task_layout(task, action_bins=64)
    env = domains.make(task)
    env.action_space.seed(0)
    for _ in range(20):
        action = env.action_space.sample()
        decoded = layout.decode_action(layout.encode_action(np.asarray(action)[None]))[0]
        if layout.action_leaves[0].kind == "discrete":
            assert decoded == action
        else:
            assert isinstance(env.action_space, gymnasium.spaces.Box)
            half = (env.action_space.high - env.action_space.low) / 64 / 2
            assert (np.abs(decoded - action) <= half * (1 + 1e-3)).all()
    env.close()


def test_suite_episodes_end_truncated_after_a_thousand_steps():
    env = domains.make("control/cartpole-swingup")
    env.reset(seed=0)
    for step in range(1000):
        _, _, terminated, truncated, _ = env.step(np.zeros(1, dtype=np.float32))
        assert not terminated
        assert truncated == (step == 999)


def test_suite_observations_belong_to_their_space():
    env = domains.make("control/humanoid-walk")
    observation, _ = env.reset(seed=0)
    assert isinstance(env.observation_space, gymnasium.spaces.Dict)
    assert list(env.observation_space.spaces) == list(observation)
    assert env.observation_space.contains(observation)


def test_names_hold_both_domains():
    names = domains.names()
    assert {"control/cartpole-swingup", "control/ball_in_cup-catch", "gym/CartPole-v1", "gym/Pendulum-v1"} <= set(names)
    assert "gym/CartPole-v0" not in names


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("gim/CartPole-v1", ["gim/CartPole-v1", "gym/CartPole-v1"]),
        ("CartPole-v1", ["CartPole-v1", "control", "gym"]),
        ("gym/CartPol-v1", ["gym/CartPole-v1"]),
        ("gym/CartPole-v9", ["gym/CartPole-v1"]),
        ("gym/no_such_module:Env-v0", ["no_such_module", "PYTHONPATH"]),
        (PREFIX + "Toi-v0", ["Toi-v0"]),
        ("control/cartpole-swingpu", ["control/cartpole-swingup"]),
        ("control/", ["control/"]),
    ],
)
def test_unknown_tasks_name_the_nearest(task, words):
    with pytest.raises(TaskError) as error:
        domains.make(task)
    for word in words:
        assert word in str(error.value)


def test_a_constructor_that_raises_is_named(monkeypatch):
    import tests.actors.toys

    def broken(self, **_):
        raise ValueError("no toys today")

    monkeypatch.setattr(tests.actors.toys.Toy, "__init__", broken)
    with pytest.raises(TaskError, match="ValueError: no toys today"):
        domains.make(PREFIX + "Toy-v0")


def test_actuators_without_limits_are_refused_by_name():
    with pytest.raises(SpaceError, match=r"control/lqr-lqr_2_1.*finite bounds"):
        domains.task_layout("control/lqr-lqr_2_1")


def test_a_broken_gl_setting_is_named_with_its_cure():
    code = "from actors.domains import control; control.make('cartpole-swingup')"
    environment = {**os.environ, "MUJOCO_GL": "nonsense"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert "TaskError" in done.stderr
    assert "MUJOCO_GL=disabled" in done.stderr
