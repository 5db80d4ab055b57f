"""Objectives with a critic over action tokens (crr, cql, pac), against loops over the batch, in float64."""

import math

import numpy as np
import pytest
import torch

from learner.view import View
from policy.values import symexp, symlog
from replay.batch import collate
from tests.learner.test_objectives import FLAT, learner, policy_part
from tests.learner.windows import mixed

GAMMA = 0.9


class Oracle:
    """Everything that the three objectives read, by loops over rows, steps and tokens."""

    def __init__(self, subject, batch, best: bool):
        self.batch = batch
        slow, fast = View(subject.average, batch), View(subject.policy, batch)
        count, rows = len(batch.action_at), len(batch.tasks)
        self.steps = batch.rewards.shape[1]
        flat: list[list[int]] = [[] for _ in range(rows * self.steps)]
        for m, step in enumerate(batch.action_step.tolist()):
            flat[step].append(m)
        self.tokens = flat
        self.q: list[torch.Tensor] = []
        self.pi: list[torch.Tensor] = []
        self.value: list[float] = []
        for m in range(count + rows):
            if m < count:
                at, (start, stop) = int(batch.action_at[m]), batch.action_range[m].tolist()
            else:
                row = m - count
                at = row * batch.tokens.shape[1] + int(batch.separator[row, batch.length[row]])
                own = next(k for k in range(count) if int(batch.action_step[k]) // self.steps == row)
                start, stop = batch.action_range[own].tolist()
            q = symexp(subject.average.action_values(slow.hidden[at : at + 1], start, stop)[0])
            pi = torch.softmax(subject.average.logits(slow.hidden[at : at + 1], start, stop)[0], 0)
            self.q.append(q.detach())
            self.pi.append(pi.detach())
            self.value.append(float((q.max() if best else (pi * q).sum()).detach()))
        self.learned = [
            subject.policy.action_values(fast.hidden[at : at + 1], *span)[0]
            for at, span in zip(batch.action_at.tolist(), batch.action_range.tolist(), strict=True)
        ]
        self.log_probs = [
            torch.log_softmax(subject.policy.logits(fast.hidden[at : at + 1], *span)[0], 0)
            for at, span in zip(batch.action_at.tolist(), batch.action_range.tolist(), strict=True)
        ]
        self.taken = [int(t - r[0]) for t, r in zip(batch.action_token, batch.action_range, strict=True)]
        self.advantage: dict[tuple[int, int], float] = {}
        self.target, self.achieved = [0.0] * count, [0.0] * count
        for row in range(rows):
            length = int(batch.length[row])
            monte_carlo = self.value[count + row]
            for step in reversed(range(length)):
                mine = flat[row * self.steps + step]
                if not mine:
                    continue
                ended = bool(batch.terminated[row, step])
                after = flat[row * self.steps + step + 1] if step + 1 < length else [count + row]
                following = 0.0 if ended else GAMMA * self.value[after[0]]
                monte_carlo = float(batch.rewards[row, step]) + (0.0 if ended else GAMMA * monte_carlo)
                for place, m in enumerate(mine):
                    final = place == len(mine) - 1
                    reached = float(batch.rewards[row, step]) + following
                    self.target[m] = reached if final else self.value[mine[place + 1]]
                    self.achieved[m] = monte_carlo
                self.advantage[row, step] = float(self.q[mine[-1]][self.taken[mine[-1]]]) - self.value[mine[0]]
        self.scale = {
            task: math.sqrt(np.mean([a**2 for (row, _), a in self.advantage.items() if batch.tasks[row] == task]))
            for task in set(batch.tasks)
        }

    def fit(self) -> float:
        errors = [
            float(symlog(torch.tensor(target, dtype=torch.float64)) - q[k].detach())
            for target, q, k in zip(self.target, self.learned, self.taken, strict=True)
        ]
        return 0.5 * sum(error**2 for error in errors) / len(errors)

    def row(self, m: int) -> int:
        return int(self.batch.action_step[m]) // self.steps

    def place(self, m: int) -> tuple[int, int]:
        return divmod(int(self.batch.action_step[m]), self.steps)


def measured(objective, settings, best):
    subject = learner(objective, settings)
    batch = collate(mixed())
    loss, metrics = subject.loss(subject.schedule.at(0), batch)
    return float(loss.detach()), metrics, Oracle(subject, batch, best)


@pytest.mark.parametrize("filter_", ["exponential", "binary"])
def test_crr_equals_a_loop(filter_):
    settings = {"filter": filter_, "temperature": 0.7, "limit": 2.0, "value_weight": 0.3}
    loss, metrics, oracle = measured("crr", settings, best=False)
    total = 0.0
    for m, log_probs in enumerate(oracle.log_probs):
        advantage = oracle.advantage[oracle.place(m)]
        scaled = advantage / oracle.scale[oracle.batch.tasks[oracle.row(m)]]
        weight = float(advantage > 0) if filter_ == "binary" else min(math.exp(scaled / 0.7), 2.0)
        total -= weight * float(log_probs[oracle.taken[m]].detach())
    assert float(metrics["policy"]) == pytest.approx(total / len(oracle.log_probs), rel=1e-9)
    assert loss == pytest.approx(total / len(oracle.log_probs) + 0.3 * oracle.fit(), rel=1e-9)


def test_crr_with_sampled_actions_is_the_expectation_up_to_the_error_of_sampling():
    samples = 5_000
    _, exact, oracle = measured("crr", {}, best=False)
    sampled = measured("crr", {"samples": samples}, best=False)[1]
    firsts = [mine[0] for mine in oracle.tokens if mine]
    spread = [float((oracle.pi[m] * (oracle.q[m] - oracle.value[m]) ** 2).sum()) for m in firsts]
    error = math.sqrt(sum(spread) / samples) / len(firsts)
    assert 0 < abs(sampled["advantage_mean"].value - exact["advantage_mean"].value) < 4 * error


@pytest.mark.parametrize("calibrated", [False, True])
def test_cql_equals_a_loop(calibrated):
    settings = {"alpha": 0.2, "calibrated": calibrated, "temperature": 0.5, "value_weight": 0.3}
    loss, metrics, oracle = measured("cql", settings, best=True)
    penalty = actor = 0.0
    for m, (q, log_probs) in enumerate(zip(oracle.learned, oracle.log_probs, strict=True)):
        floor = symlog(torch.tensor(oracle.achieved[m], dtype=torch.float64))
        pushed = torch.maximum(q, floor) if calibrated else q
        penalty += float((torch.logsumexp(pushed, 0) - q[oracle.taken[m]]).detach())
        scale = oracle.scale[oracle.batch.tasks[oracle.row(m)]]
        wanted = torch.softmax(oracle.q[m] / (0.5 * scale), 0)
        actor -= float((wanted * log_probs).sum().detach())
    count = len(oracle.learned)
    assert float(metrics["conservative"]) == pytest.approx(penalty / count, rel=1e-9)
    assert loss == pytest.approx(actor / count + 0.3 * (oracle.fit() + 0.2 * penalty / count), rel=1e-9)


def test_pac_equals_a_loop():
    settings = {"temperature": 0.5, "cloning": 0.25, "value_weight": 0.3}
    loss, _, oracle = measured("pac", settings, best=False)
    total = 0.0
    for m, log_probs in enumerate(oracle.log_probs):
        scale = oracle.scale[oracle.batch.tasks[oracle.row(m)]]
        wanted = oracle.pi[m] * torch.exp(oracle.q[m] / (0.5 * scale))
        total -= 0.75 * float((wanted / wanted.sum() * log_probs).sum().detach())
        total -= 0.25 * float(log_probs[oracle.taken[m]].detach())
    assert loss == pytest.approx(total / len(oracle.log_probs) + 0.3 * oracle.fit(), rel=1e-9)


@pytest.mark.parametrize(
    ("objective", "settings"),
    [("crr", FLAT), ("crr", FLAT | {"normalise": True}), ("pac", {"cloning": 1.0})],
)
def test_weights_of_one_are_cloning_to_the_bit(objective, settings):
    assert torch.equal(policy_part(objective, settings), policy_part("bc", {}))


@pytest.mark.parametrize("objective", ["crr", "cql", "pac"])
def test_the_policy_loss_leaves_the_critic_alone(objective):
    subject = learner(objective, {"value_weight": 0.0})
    loss, _ = subject.loss(subject.schedule.at(0), collate(mixed()))
    loss.backward()
    for parameter in subject.policy.action_values.parameters():
        assert parameter.grad is None or parameter.grad.abs().max() == 0
    assert all(parameter.grad is None for parameter in subject.average.parameters())


@pytest.mark.parametrize("objective", ["cql", "pac", "crr"])
def test_the_critic_learns_alone_while_it_warms_up(objective):
    subject = learner(objective, {"warmup": 1})
    entry, batch = subject.schedule.at(0), collate(mixed())
    held_back = subject.loss(entry, batch)[0]
    subject.by_objective[objective] = 1
    assert float(subject.loss(entry, batch)[0].detach()) != pytest.approx(float(held_back.detach()))
