"""Every task that is known by name, one test each: `OCELOT_ALL_TASKS=1 pytest tests/actors/test_domains_all.py`.

All of them take a quarter of an hour on a quiet core; `OCELOT_ALL_TASKS=maze,sokoban` takes those domains alone.
"""

import os
from contextlib import closing

import numpy as np
import pytest

from actors import domains
from policy.errors import SpaceError
from tests.actors.test_domains import TEXT, assert_actions_survive, play, trace

UNBOUNDED = ("control/lqr-",)  # refused by name
ASKED = os.environ.get("OCELOT_ALL_TASKS", "")
CHOSEN = [] if not ASKED else list(domains.DOMAINS) if ASKED == "1" else ASKED.split(",")
TASKS = [f"{domain}/{name}" for domain in CHOSEN for name in domains.DOMAINS[domain].names()]


@pytest.mark.slow
@pytest.mark.skipif(not ASKED, reason="takes a quarter of an hour: OCELOT_ALL_TASKS=1")
@pytest.mark.parametrize("task", TASKS)
def test_a_task_has_a_layout_plays_repeats_itself_and_keeps_to_its_spaces(task):
    if task.startswith(UNBOUNDED):
        with pytest.raises(SpaceError, match="finite bounds"):
            domains.task_layout(task)
        return
    layout = domains.task_layout(task, text=TEXT)
    seen, patches, rewards = play(layout)
    assert seen.shape == (21, 2, layout.observation_tokens)
    assert patches.shape[:3] == (21, 2, layout.patches)
    assert rewards.shape == (20, 2)
    with closing(domains.make(task)) as env:
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(20)]
        first, again = trace(env, actions), trace(env, actions)
        assert len(first) == len(again)
        for one, other in zip(first, again, strict=True):
            for (name, part), (_, part_again) in zip(one, other, strict=True):
                np.testing.assert_array_equal(part, part_again, err_msg=name)
        assert_actions_survive(layout, env.action_space, actions)
