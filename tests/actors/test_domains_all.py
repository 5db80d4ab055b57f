"""Every task that is known by name. Some minutes: `OCELOT_ALL_TASKS=1 pytest tests/actors/test_domains_all.py`."""

import os

import pytest

from actors import domains
from tests.actors.test_domains import TEXT, play, trace

UNBOUNDED = ("control/lqr-",)  # refused by name


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("OCELOT_ALL_TASKS"), reason="takes minutes: OCELOT_ALL_TASKS=1")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("domain", domains.DOMAINS)
def test_every_task_of_a_domain_plays_and_repeats_itself(domain):
    for name in domains.DOMAINS[domain].names():
        task = f"{domain}/{name}"
        if task.startswith(UNBOUNDED):
            continue
        layout = domains.task_layout(task, text=TEXT)
        seen, patches, rewards = play(layout)
        assert seen.shape == (21, 2, layout.observation_tokens), task
        assert patches.shape[:3] == (21, 2, layout.patches), task
        env = domains.make(task)
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(20)]
        assert repr(trace(env, actions)) == repr(trace(env, actions)), task
        env.close()
        assert rewards.shape == (20, 2)
