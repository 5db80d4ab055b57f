"""Processes that end with an error before they have begun say which; to Ray they are ones that died."""

from dataclasses import replace
from pathlib import Path

import pytest
import ray
import torch

from cluster.config import FinetuneConfig
from cluster.learner_process import LearnerProcess
from cluster.learners import Learners
from cluster.local_ray import BeginError, get, kill, start
from cluster.start import Start
from policy.errors import OcelotError
from policy.model import Policy
from tests.cluster.small import FINETUNE, changed
from tests.learner import crew

NOWHERE = "memory://nobody asks it"


class Refuses:
    """Its constructor raises."""

    def __init__(self, error: Exception):
        try:
            raise KeyError("another error before it")
        except KeyError:
            raise error from None

    def answer(self) -> int:
        return 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OcelotError("there is no room: lower x.y"), "there is no room: lower x.y"),
        (OcelotError("two lines:\nthis one, too"), "two lines:\nthis one, too"),
        (ValueError("a defect: of ours"), "ValueError: a defect: of ours"),
    ],
)
def test_an_error_of_a_constructor_is_raised_by_the_first_call(ray_cluster, error, said):
    handle = start(Refuses, error)
    with pytest.raises(BeginError) as raised:
        get(handle.answer.remote())
    assert str(raised.value) == said
    kill(handle)


def test_a_process_that_ray_cannot_begin_is_an_error_of_ours(ray_cluster, monkeypatch):
    def unschedulable(*_, **__):
        raise ray.exceptions.ActorUnschedulableError("worker startup repeatedly failed")

    monkeypatch.setattr(ray, "get", unschedulable)  # it takes Ray five minutes
    with pytest.raises(BeginError, match=r"could be begun: .*repeatedly failed"):
        get(None)


def _begin(width: int) -> tuple[Start, FinetuneConfig]:
    torch.manual_seed(0)
    schedule = [{"objective": "bc", "batch": 8, "data": {"online": 1.0}}]
    settings = changed(FINETUNE, tasks=[{"name": name} for name in crew.NAMES], policy={}, schedule=schedule)
    policy = Policy(replace(crew.SIZES, width=width))
    return Start(policy, {}, crew.TASKS), FinetuneConfig.model_validate(settings)


@pytest.mark.timeout(300)
def test_a_learner_says_that_its_checkpoint_does_not_fit(ray_cluster, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("replay.interface.connect", lambda *_: None)
    monkeypatch.setattr("replay.stream.WindowStream", lambda *_, **__: None)
    process = LearnerProcess(*_begin(crew.SIZES.width), NOWHERE, 1)
    process.copy({"updates": 0})
    process.write(tmp_path)
    handle = start(LearnerProcess, *_begin(2 * crew.SIZES.width), NOWHERE, 2, tmp_path, control=True)
    with pytest.raises(BeginError, match="training state of another policy"):
        Learners([handle]).version()
    kill(handle)
