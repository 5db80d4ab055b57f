from typing import Any

import ale_py
import gymnasium
import numpy as np
import pytest

from actors.atari_game import AtariGame

gymnasium.register_envs(ale_py)


def game(frames: int = 4, sticky: float = 0.0, name: str = "breakout") -> AtariGame:
    return AtariGame(name, frames, sticky, 108_000, (80, 64))


def memory(env: Any, actions: np.ndarray) -> np.ndarray:
    """The console's memory after a reset and after every action, uint8 [steps + 1, 128]."""
    _, info = env.reset(seed=3)
    assert info["episode_frame_number"] == 0
    found = [env.unwrapped.ale.getRAM().copy()]
    for action in actions:
        env.step(action)
        found.append(env.unwrapped.ale.getRAM().copy())
    return np.array(found)


@pytest.fixture
def actions() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, 300)


def test_without_sticky_actions_a_game_is_gymnasiums(actions):
    theirs = memory(gymnasium.make("ALE/Breakout-v5", repeat_action_probability=0.0), actions)
    np.testing.assert_array_equal(memory(game(), actions), theirs)


@pytest.mark.parametrize("name", ["breakout", "tennis"])  # the memory of tennis starts at random
def test_a_reset_begins_as_a_game_loaded_anew(name, actions):
    env = game(sticky=0.25, name=name)
    first = memory(env, actions)
    np.testing.assert_array_equal(memory(env, actions), first)
    other = game(sticky=0.25, name=name)
    np.testing.assert_array_equal(other.reset(seed=3)[0], env.reset(seed=3)[0])
    np.testing.assert_array_equal(memory(other, actions), first)


def test_an_action_that_always_sticks_never_begins(actions):
    np.testing.assert_array_equal(memory(game(sticky=1.0), actions), memory(game(), np.zeros_like(actions)))


def test_sticky_actions_come_at_their_rate():
    env = game(frames=2, sticky=0.25)
    env.reset(seed=0)
    missed, steps = 0, 4000
    for step in range(steps):
        action = 2 + step % 2  # right and left
        _, _, terminated, truncated, _ = env.step(action)
        missed += env._going_on != env._action_set[action]
        if terminated or truncated:
            env.reset()
    # Missed when both frames stick: one step of 16, here within four standard deviations.
    assert missed == pytest.approx(steps / 16, abs=4 * np.sqrt(steps / 16 * 15 / 16))
