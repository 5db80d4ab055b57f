"""Timesteps and windows in rows of their own give what masks and padding give."""

import dataclasses

import pytest
import torch

from learner.view import read
from policy.config import PolicyConfig
from policy.folding import fold, fold_windows
from policy.model import Policy
from replay.batch import collate
from tests.learner.windows import mixed

CONFIG = PolicyConfig(layers=2, width=32, heads=2, feedforward=64, context=64, action_bins=64, attention_steps=0)


def test_hidden_states_and_gradients_equal_those_under_a_mask():
    torch.manual_seed(0)
    batch = collate(mixed())
    folded = Policy(CONFIG).double()
    masked = Policy(CONFIG).double()
    masked.load_state_dict(folded.state_dict())
    real = batch.timestep >= 0
    results = []
    for policy in (folded, masked):
        if policy is folded:
            hidden = policy(batch.tokens, batch.position, batch.timestep)
        else:
            hidden = policy._attended(policy.embedding(batch.tokens, batch.position), batch.timestep, None, None)
        hidden[real].pow(3).sum().backward()
        results.append((hidden.detach()[real], policy.transformer.blocks[0].qkv.weight.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_every_token_but_padding_has_one_place():
    batch = collate(mixed())
    found = fold(batch.timestep)
    assert sorted(found.index.tolist()) == torch.nonzero(batch.timestep.reshape(-1) >= 0).squeeze(1).tolist()
    assert sum(rows * size for rows, size in found.parts) == len(found.index)
    assert torch.equal(found.place, found.index % batch.timestep.shape[1])


def test_windows_without_padding_give_what_padded_ones_give():
    torch.manual_seed(0)
    batch = collate(mixed())
    assert (batch.timestep < 0).any()
    policy = Policy(dataclasses.replace(CONFIG, attention_steps=None)).double()
    real = batch.timestep >= 0
    place = torch.arange(batch.timestep.shape[1]).expand_as(batch.timestep)
    results = []
    for run in (
        lambda: policy(batch.tokens, batch.position, batch.timestep),
        lambda: policy.transformer(policy.embedding(batch.tokens, batch.position), place, None),
    ):
        policy.zero_grad()
        hidden = run()
        hidden[real].pow(3).sum().backward()
        results.append((hidden.detach()[real], *(each.grad.clone() for each in policy.transformer.blocks.parameters())))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_no_window_sees_another():
    torch.manual_seed(0)
    batch = collate(mixed())
    policy = Policy(dataclasses.replace(CONFIG, attention_steps=None))
    before = policy(batch.tokens, batch.position, batch.timestep)
    for row in range(len(batch.tokens)):
        changed = batch.tokens.clone()
        changed[row] = changed[row].roll(1)
        after = policy(changed, batch.position, batch.timestep)
        rest = torch.arange(len(batch.tokens)) != row
        assert torch.equal(after[rest], before[rest])
        assert not torch.equal(after[row], before[row])


def test_every_token_of_a_window_has_one_place():
    batch = collate(mixed())
    found = fold_windows(batch.timestep)
    assert sorted(found.index.tolist()) == torch.nonzero(batch.timestep.reshape(-1) >= 0).squeeze(1).tolist()
    assert sum(rows for rows, _ in found.parts) == len(batch.tokens)
    assert sum(rows * size for rows, size in found.parts) == len(found.index)


@pytest.mark.parametrize("attention_steps", [None, 0, 1])
def test_hidden_states_where_they_are_wanted_are_those_of_all(attention_steps):
    torch.manual_seed(0)
    batch = collate(mixed())
    policy = Policy(dataclasses.replace(CONFIG, attention_steps=attention_steps)).double()
    wanted = read(batch)
    every = policy(batch.tokens, batch.position, batch.timestep)
    chosen = policy(batch.tokens, batch.position, batch.timestep, wanted=wanted)
    torch.testing.assert_close(chosen.flatten(0, 1)[wanted], every.flatten(0, 1)[wanted], rtol=1e-12, atol=1e-12)
    rest = torch.ones(batch.tokens.numel(), dtype=torch.bool)
    rest[wanted] = False
    assert (chosen.flatten(0, 1)[rest] == 0).all()
    assert rest.sum() > len(wanted) / 2


@pytest.mark.parametrize("everything", [True, False])
def test_rows_without_a_prompt_are_folded_beside_rows_that_have_one(everything):
    torch.manual_seed(0)
    batch = collate(mixed())
    policy = Policy(CONFIG).double()
    prompt = torch.zeros(len(batch.tasks), dtype=torch.int64)
    prompt[1::2] = 1
    wanted = torch.nonzero(batch.timestep.flatten() >= 0).squeeze(1) if everything else read(batch)
    some = policy(batch.tokens, batch.position, batch.timestep, None, prompt, None if everything else wanted)
    every = policy._attended(policy.embedding(batch.tokens, batch.position), batch.timestep, prompt, None)
    torch.testing.assert_close(some.flatten(0, 1)[wanted], every.flatten(0, 1)[wanted], rtol=1e-10, atol=1e-12)
    alone = policy(batch.tokens, batch.position, batch.timestep)
    assert not torch.allclose(some[1][batch.timestep[1] >= 1], alone[1][batch.timestep[1] >= 1])
