"""The example of a person's own environment: a task by its id, with no code of Ocelot's."""

from pathlib import Path

import numpy as np
import pytest

from actors import domains
from actors.environments import Environments
from policy.text import TextTokenizer
from tests.actors.test_domains import play, trace

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_environment"
TASK = "gym/forager:Forager-v0"


@pytest.fixture(autouse=True)
def _findable(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))


def test_an_image_a_vector_a_discrete_value_and_a_text_become_tokens():
    layout = domains.task_layout(TASK, text=TextTokenizer.default())
    assert [(leaf.name, leaf.kind, leaf.size) for leaf in layout.observation_leaves] == [
        ("mission", "text", 32),
        ("view", "image", 4),
        ("place", "continuous", 2),
        ("season", "discrete", 1),
    ]
    assert layout.step_tokens == 39 + 1 + 3
    seen, patches, _ = play(layout)
    assert patches.shape == (21, 2, 4, 16, 16, 3)
    np.testing.assert_array_equal(seen, play(layout)[0])


def test_it_keeps_to_its_spaces_and_its_seed():
    env = domains.make(TASK)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(100)]
    assert repr(trace(env, actions)) == repr(trace(env, actions))


def test_picking_what_the_mission_names_pays():
    layout = domains.task_layout(TASK, text=TextTokenizer.default())
    envs = Environments(layout, 1, seed=0)
    envs.reset()
    forager = envs.at(np.array([0]))[0].unwrapped
    for _ in range(100):
        wanted = [
            place for place, colour in zip(forager.berries, forager.colours, strict=True) if colour == forager.wanted
        ]
        left = [left for left, colour in zip(forager.left, forager.colours, strict=True) if colour == forager.wanted]
        way = wanted[left.index(True)] - forager.place
        pick = np.abs(way).max() < 0.02
        result = envs.step({"move": np.clip(way / 0.1, -1, 1)[None], "pick": np.array([int(pick)])})
        if result.ended[0]:
            break
    assert result.terminated[0]
    assert result.returns[0] > 0
