"""Objectives on real batches: what they equal, and what they must not see."""

import dataclasses

import numpy as np
import pytest
import torch

from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from learner.types import TaskInfo
from learner.view import View
from policy.config import PolicyConfig
from policy.model import Policy
from policy.returns import ReturnScale
from replay.batch import collate
from tests.learner.windows import mixed, window

TASKS = {name: TaskInfo(0.9, ReturnScale(-5.0, 5.0)) for name in ("gym/A", "gym/B")}
FLAT = {"temperature": 1e30}  # exp(A / 1e30) is one


def learner(objective: str, settings: dict | None = None, **config) -> Learner:
    torch.manual_seed(0)
    policy = Policy(PolicyConfig(layers=2, width=32, heads=2, feedforward=64, context=64, action_bins=64)).double()
    with torch.no_grad():  # value heads start at zero: give them something to say
        for head in (policy.value, policy.q, policy.action_values.table, policy.action_values.features):
            head.weight.normal_(std=0.1)
    entry = Entry(objective, batch=6, settings=settings or {})
    return Learner(policy, TASKS, LearnerConfig(**config), Schedule([entry]))


def policy_part(objective: str, settings: dict) -> torch.Tensor:
    subject = learner(objective, settings)
    entry = subject.schedule.at(0)
    found = subject.loss(entry, collate(mixed()))[1]["policy"]
    assert isinstance(found, torch.Tensor)
    return found


@pytest.mark.parametrize(("objective", "settings"), [("awr", FLAT), ("iql", FLAT), ("awr", FLAT | {"normalise": True})])
def test_weights_of_one_are_cloning_to_the_bit(objective, settings):
    assert torch.equal(policy_part(objective, settings), policy_part("bc", {}))


@pytest.mark.parametrize("objective", ["awr", "iql"])
def test_value_losses_have_no_gradient_through_weights_or_targets(objective):
    """A policy loss alone must leave the value heads without a gradient."""
    subject = learner(objective, {"value_weight": 0.0})
    loss, _ = subject.loss(subject.schedule.at(0), collate(mixed()))
    loss.backward()
    for head in (subject.policy.value, subject.policy.q):
        assert head.weight.grad is None or head.weight.grad.abs().max() == 0
    assert all(parameter.grad is None for parameter in subject.average.parameters())


@pytest.mark.parametrize("objective", ["awr", "iql", "bc"])
def test_no_value_depends_on_a_return_token(objective):
    """Objectives with value losses get sequences without return tokens, whatever was acted on."""
    windows = mixed()
    acted = [dataclasses.replace(w, return_tokens=np.full(len(w), 34060, dtype=np.int32)) for w in windows]
    results = []
    for data in (windows, acted):
        subject = learner(objective)
        batch = subject.batch(subject.schedule.at(0), lambda table, count, data=data: data[:count])
        assert not ((batch.tokens >= 34048) & (batch.tokens < 34304)).any()
        results.append(subject.loss(subject.schedule.at(0), batch)[0])
    assert torch.equal(*results)


def test_return_conditioned_predicts_the_return_from_the_observation_alone():
    subject = learner("return_conditioned")
    scales = {name: info.return_scale for name, info in TASKS.items()}
    batch = collate([window(1)], scales)
    changed = collate([window(1)], {"gym/A": ReturnScale(-50.0, 50.0)})
    assert (batch.return_token != changed.return_token).any()
    first, second = View(subject.policy, batch), View(subject.policy, changed)
    # The hidden state that predicts the first return token has seen the first observation only.
    assert torch.equal(first.hidden[batch.return_at[0]], second.hidden[changed.return_at[0]])
    assert not torch.equal(first.hidden[batch.action_at[0]], second.hidden[changed.action_at[0]])


def test_awr_equals_a_loop_over_steps():
    settings = {"temperature": 0.7, "limit": 3.0, "lambda_": 0.9, "value_weight": 0.0}
    subject = learner("awr", settings)
    batch = collate([window(3, steps=6), window(5, steps=4, terminated=False)])
    loss, _ = subject.loss(subject.schedule.at(0), batch)
    view = View(subject.policy, batch)
    advantages, log_probs = [], []
    for row, steps in enumerate((6, 4)):
        values = view.values[row]
        following = float(values[steps])
        rewards = batch.rewards[row]
        ended = bool(batch.terminated[row, steps - 1])
        column = []
        for step in reversed(range(steps)):
            after = 0.0 if ended and step == steps - 1 else 0.1 * float(values[step + 1]) + 0.9 * following
            following = float(rewards[step]) + 0.9 * after
            column.append(following - float(values[step]))
        advantages += column[::-1]
    log_probs = [float(x) for x in view.action_log_probs.detach()]
    scale = float(np.sqrt(np.mean(np.square(advantages))))
    weights = [min(np.exp(a / scale / 0.7), 3.0) for a in advantages]
    expected = -sum(w * p for w, p in zip(weights, log_probs, strict=True)) / len(weights)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)


def test_factored_actions_share_the_weight_of_their_step():
    subject = learner("awr", {"value_weight": 0.0})
    batch = collate([w for w in mixed() if w.task == "gym/B"])
    pairs = batch.action_step.reshape(-1, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all()
    assert len(set(pairs[:, 0].tolist())) == len(pairs) == int(batch.loss.sum())
    assert torch.isfinite(subject.loss(subject.schedule.at(0), batch)[0])


def test_filtered_cloning_keeps_the_best_of_each_task():
    entry = Entry("bc", batch=2, settings={"best": 0.25})
    good = [dataclasses.replace(window(i, task="gym/A"), episode_return=float(i)) for i in range(4)]
    other = [dataclasses.replace(window(i, task="gym/B"), episode_return=-100.0 + i) for i in range(4)]
    unfinished = [dataclasses.replace(window(9), episode_return=float("nan"))]
    chosen = entry.kind.select(good + other + unfinished, 2, entry.kind.settings(**entry.settings))
    assert sorted((w.task, w.episode_return) for w in chosen) == [("gym/A", 3.0), ("gym/B", -97.0)]
    assert entry.kind.candidates(entry.kind.settings(best=0.25), "online") == 4.0
    assert entry.kind.candidates(entry.kind.settings(best=0.25), "expert") == 1.0
