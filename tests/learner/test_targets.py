"""Targets of values: n-step returns, and backups over the tokens of one action, against tables."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.losses import lambda_returns, n_step_returns
from learner.targets import Backup, at_separators, per_token, returns, state_values
from learner.view import Choice
from policy.values import symlog
from policy.vocabulary import DEFAULT
from replay.batch import collate
from tests.learner.windows import mixed, window

F64 = torch.float64


@given(st.integers(0, 10_000), st.integers(1, 8), st.booleans())
@settings(max_examples=50, deadline=None)
def test_n_step_returns_equal_their_definition(seed, n, terminated):
    generator = torch.Generator().manual_seed(seed)
    steps, gamma = 6, 0.9
    length = int(torch.randint(1, steps + 1, (1,), generator=generator))
    rewards, following = torch.randn(2, 1, steps, dtype=F64, generator=generator)
    ends = torch.zeros(1, steps, dtype=torch.bool)
    ends[0, length - 1] = terminated
    arguments = (rewards, following, ends, torch.tensor([length]), torch.tensor([gamma], dtype=F64))
    result = n_step_returns(*arguments, n)
    for start in range(length):
        last = min(start + n, length) - 1
        expected = sum(gamma ** (k - start) * float(rewards[0, k]) for k in range(start, last + 1))
        if not (terminated and last == length - 1):
            expected += gamma ** (last - start + 1) * float(following[0, last])
        assert float(result[0, start]) == pytest.approx(expected, abs=1e-12)
    assert (result[0, length:] == 0).all()
    if n >= length:
        torch.testing.assert_close(result, lambda_returns(*arguments, 1.0))


@pytest.mark.parametrize("wrong", [{"lambda_": 1.5}, {"lambda_": -0.1}, {"steps": 0}])
def test_backups_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Backup(**wrong)


STATES, VALUES, DIMENSIONS, GAMMA = 3, 2, 2, 0.8
FIRST_ACTION = DEFAULT.discrete.start


class Table:
    """Q by (state, tokens of the action so far), and a policy, as a View reads them; in symlog space."""

    def __init__(self, batch, policy):
        self.batch, self.policy = batch, policy
        self.hidden = torch.zeros(batch.tokens.numel(), 1, dtype=F64)
        self.q: dict[tuple, torch.Tensor] = {}
        self.keys = []
        width = batch.tokens.shape[1]
        flat = batch.tokens.reshape(-1)
        tails = torch.arange(len(batch.tasks)) * width + batch.separator.gather(1, batch.length.unsqueeze(1)).squeeze(1)
        for at in torch.cat([batch.action_at, tails]).tolist():
            start = at
            while flat[start] != DEFAULT.separator:
                start -= 1
            state = int(flat[start - 1]) - DEFAULT.continuous.start
            key = (state, *(int(flat[k]) - FIRST_ACTION for k in range(start + 1, at + 1)))
            self.q.setdefault(key, torch.zeros(VALUES, dtype=F64))
            self.keys.append(key)

    @property
    def choices(self):
        index = torch.arange(len(self.keys))
        log_probs = torch.stack([self.policy[key] for key in self.keys]).log()
        return [Choice(index, torch.stack([self.q[key] for key in self.keys]), log_probs, torch.zeros_like(index))]


@pytest.mark.parametrize("how", ["best", "expected"])
def test_backups_over_tokens_settle_at_the_values_of_whole_actions(how):
    """Q-Transformer's backup, iterated on a random decision process, against value iteration over joint actions."""
    rng = np.random.default_rng(3)
    joint = list(itertools.product(range(VALUES), repeat=DIMENSIONS))
    reward = {(s, a): float(np.float32(rng.normal())) for s in range(STATES) for a in joint}
    follows = {(s, a): int(rng.integers(STATES)) for s in range(STATES) for a in joint}
    ends = {(s, a): rng.random() < 0.25 for s in range(STATES) for a in joint}
    policy = {
        key: torch.tensor(rng.dirichlet(np.ones(VALUES))) for s in range(STATES) for key in [(s,), (s, 0), (s, 1)]
    }
    windows = []
    for (s, a), r in reward.items():
        one = window(0, 1, observed=1, actions=DIMENSIONS, legal=(FIRST_ACTION, FIRST_ACTION + VALUES))
        one.tokens[0] = [DEFAULT.continuous.start + s, DEFAULT.separator, *(FIRST_ACTION + value for value in a)]
        one.tail[0] = DEFAULT.continuous.start + follows[s, a]
        one.rewards[0] = r
        one.terminated, one.truncated = ends[s, a], not ends[s, a]
        windows.append(one)
    batch = collate(windows)
    table = Table(batch, policy)
    update = SimpleNamespace(view=table, discount=torch.full((len(windows),), GAMMA, dtype=F64))
    for _ in range(200):
        values = state_values(table, how)
        fitted = per_token(table, values, returns(update, at_separators(table, values)[:, 1:], Backup()))
        for key, token, target in zip(table.keys, batch.action_token.tolist(), fitted, strict=False):
            table.q[key][token - FIRST_ACTION] = symlog(target)
    value = np.zeros(STATES)
    for _ in range(200):
        whole = {(s, a): r + GAMMA * (0.0 if ends[s, a] else value[follows[s, a]]) for (s, a), r in reward.items()}
        for s in range(STATES):
            weights = [float(policy[s,][a[0]] * policy[s, a[0]][a[1]]) for a in joint]
            worth = [whole[s, a] for a in joint]
            value[s] = max(worth) if how == "best" else np.dot(weights, worth)
    for (s, a), expected in whole.items():
        assert float(table.q[s, a[0]][a[1]]) == pytest.approx(
            float(symlog(torch.tensor(expected, dtype=F64))), abs=1e-9
        )


def test_factored_actions_of_any_layout_find_their_steps():
    batch = collate(mixed())
    view = SimpleNamespace(batch=batch)
    values = torch.arange(len(batch.action_at) + len(batch.tasks), dtype=F64)
    grid = at_separators(view, values)
    steps = batch.rewards.shape[1]
    for row, length in enumerate(batch.length.tolist()):
        assert grid[row, length] == len(batch.action_at) + row
        for step in range(length):
            mine = torch.nonzero(batch.action_step == row * steps + step).squeeze(1)
            assert grid[row, step] == (mine[0] if len(mine) else 0)
