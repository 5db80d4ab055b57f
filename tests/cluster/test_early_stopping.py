"""Pretraining ends where the held-out loss stops falling, with the weights where it was least."""

import json

import pytest
import torch

from cluster import pretrain as driver
from cluster.early_stopping import EarlyStopping
from cluster.pretrain import pretrain
from cluster.trainee import Trainee
from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from policy import checkpoint
from policy.config import PolicyConfig
from policy.model import Policy
from tests.cluster.test_pretrain import run_of


def test_the_best_weights_come_back(tmp_path):
    learner = Learner(
        Policy(PolicyConfig(layers=1, width=16, heads=2, feedforward=16, context=32)),
        {},
        LearnerConfig(),
        Schedule([Entry("bc")]),
    )
    best = EarlyStopping(tmp_path, patience=100)
    bias = learner.policy.value.bias
    for update, loss in ((50, 2.0), (100, 1.0), (150, 1.5)):
        with torch.no_grad():
            bias.fill_(update)
        assert not best.stop(update, loss, learner.published())
    best.settle()
    again = EarlyStopping(tmp_path, patience=100)
    assert (again.update, again.loss) == (100, 1.0)
    assert again.stop(200, 1.1, learner.published())
    again.finish(learner, 1000)
    assert learner.updates == 1000
    assert (learner.policy.value.bias == 100).all()
    assert (learner.average.value.bias == 100).all()


def test_weights_that_cannot_be_written_are_an_error_and_not_lost_in_the_background(tmp_path):
    best = EarlyStopping(tmp_path / "missing", patience=100)
    best.stop(50, 1.0, Policy(PolicyConfig(layers=1, width=16, heads=2, feedforward=16, context=32)))
    with pytest.raises(Exception, match="No such file"):
        best.settle()


@pytest.mark.timeout(120)
def test_a_run_that_stops_early_is_done(demonstrations, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "HELD_OUT_EVERY", 2)
    losses = iter([3.0, 2.0, 2.5, 2.1, 2.2])
    measured = []

    def held_out(trainee) -> dict[str, float]:
        measured.append(trainee.learner.policy.transformer.norm.weight.detach().clone())
        return {"held_out": next(losses)}

    monkeypatch.setattr(Trainee, "_held_out_losses", held_out)
    config, run = run_of(tmp_path, held_out=0.25, patience=5, run__updates=40, run__log_every=2)
    folder = pretrain(config, run)
    assert len(measured) == 5, "it looked at updates 2 to 10, the least at 4"
    assert json.loads((run.path / "best.json").read_text()) == {"update": 4, "loss": 2.0}
    assert torch.equal(checkpoint.load(folder).model.transformer.norm.weight, measured[1])
    assert pretrain(config, run) == folder
    assert len(measured) == 5, "given again, it has nothing left to do"
