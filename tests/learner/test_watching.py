"""What can be watched of an update: where its time goes, and the distributions behind its means."""

import time

import pytest
import torch

from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from tests.learner.test_learner import TASKS, fetch, make


@pytest.mark.parametrize(
    ("objective", "names"),
    [("bc", {"action_log_probs"}), ("awr", {"action_log_probs", "values"}), ("iql", {"action_log_probs", "values"})],
)
def test_distributions_are_those_that_the_objective_read(objective, names):
    subject = make([Entry(objective, batch=6)])
    policy = subject.update(fetch)[f"{objective}/policy"]
    assert set(subject.distributions) == names
    log_probs = subject.distributions["action_log_probs"]
    assert (log_probs <= 0).all()
    if objective == "bc":  # its loss is their mean
        assert policy == pytest.approx(-float(log_probs.mean()), rel=1e-5)
    if "values" in names:  # one for each step that has a loss
        batch = subject.batch(subject.schedule.at(0), fetch)
        assert subject.distributions["values"].shape == (int(batch.loss.sum()),)


@pytest.mark.parametrize("objective", ["bc", "awr", "iql", "crr"])
def test_each_task_has_its_own_cross_entropy_and_weights(objective):
    subject = make([Entry(objective, batch=8)])
    told = subject.update(fetch)
    batch = subject.batch(subject.schedule.at(0), fetch)
    counts = {task: 0 for task in batch.tasks}
    for row in (batch.action_at // batch.tokens.shape[1]).tolist():
        counts[batch.tasks[row]] += 1
    assert len(counts) > 1
    entropies = {task: told[f"{objective}/cross_entropy/{task}"] for task in counts}
    total = sum(counts[task] * entropies[task] for task in counts) / sum(counts.values())
    assert total == pytest.approx(-float(subject.distributions["action_log_probs"].mean()), rel=1e-5)
    if objective == "bc":
        assert total == pytest.approx(told["bc/policy"], rel=1e-5)
    else:
        assert all(0 < told[f"{objective}/effective_sample_size/{task}"] <= 1 for task in counts)


def test_an_objective_that_reads_no_log_probabilities_pays_for_none():
    assert not any("cross_entropy" in name for name in make([Entry("cql", batch=6)]).update(fetch))


def test_parts_of_an_update_fill_its_time():
    torch.manual_seed(1)
    subject = Learner(make().policy, TASKS, LearnerConfig(), Schedule([Entry("bc", batch=6)]))
    began = time.perf_counter()
    for _ in range(5):
        subject.update(fetch)
    passed = time.perf_counter() - began
    parts = subject.timing.seconds
    assert set(parts) == {"batch", "forward", "backward", "optimise"}
    assert all(seconds > 0 for seconds in parts.values())
    assert sum(parts.values()) <= passed
