"""Tasks of a fine-tuning run that are not played: who gets actors, and what is refused."""

from typing import Any

import pytest

from cluster.actor_pool import _members
from cluster.config import FinetuneConfig
from cluster.finetune_check import check
from cluster.local_ray import ProcessError
from learner.types import ScheduleError
from tests.cluster.small import CARTPOLE, FINETUNE, PENDULUM, TASKS, changed

SCHEDULE = [
    {"objective": "awr", "batch": 8, "repeat": 9, "data": {"online": 1.0}},
    {"objective": "bc", "batch": 8, "data": {"expert": 1.0}},
]


def config(**changes: Any) -> FinetuneConfig:
    """Pendulum is played, CartPole is left alone."""
    tasks = [{**TASKS[0], "online": False, "weight": 3.0}, TASKS[1]]
    given = {"tasks": tasks, "schedule": SCHEDULE, "checkpoint": "somewhere", "actors__processes": 1} | changes
    return FinetuneConfig.model_validate(changed(FINETUNE, **given))


def test_a_task_that_is_left_alone_gets_no_actors_and_no_steps():
    check(config())
    (member,) = _members(config())
    assert (member.task, member.share) == (PENDULUM, 1.0)


def test_every_task_is_played_by_default():
    members = list(_members(config(tasks=TASKS, actors__processes=2)))
    assert [(member.task, member.share) for member in members] == [(CARTPOLE, 0.5), (PENDULUM, 0.5)]


def test_learners_that_cannot_share_a_batch_are_refused():
    with pytest.raises(ScheduleError, match="3 workers cannot share a batch of 8 windows evenly; set batch to 6 or 9"):
        check(config(parallel__workers=3))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tasks": [{**task, "online": False} for task in TASKS]}, "every task has online: false"),
        ({"tasks": [{"name": CARTPOLE, "online": False}, TASKS[1]]}, f"{CARTPOLE} .* names no datasets"),
        (
            {"schedule": [{"objective": "awr", "data": {"expert": 0.1, "online": 0.9}}, SCHEDULE[1]]},
            f"{CARTPOLE} .* the schedule's awr draws from table 'expert'",
        ),
    ],
)
def test_what_would_not_leave_a_task_alone_is_refused(changes, said):
    with pytest.raises(ProcessError, match=said):
        check(config(**changes))
