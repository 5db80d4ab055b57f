"""Timesteps and windows in rows of their own give what masks and padding give."""

import copy
import dataclasses

import pytest
import torch

from learner.view import read
from policy.config import PolicyConfig
from policy.folding import fold, fold_near, fold_windows
from policy.model import Policy
from policy.transformer import Block
from policy.vocabulary import DEFAULT
from replay.batch import Batch, collate
from tests.learner.windows import mixed, window

pytestmark = pytest.mark.usefixtures("pytorchs")
CONFIG = PolicyConfig(layers=2, width=32, heads=2, feedforward=64, context=64, action_bins=64, attention_steps=0)


@pytest.fixture(params=["PyTorch's kernels"])
def pytorchs(request, monkeypatch):
    """Without kernels of our own, but where a test asks for both."""
    if request.param == "PyTorch's kernels":
        monkeypatch.setattr("policy.native_attention.available", lambda *_: False)


both = pytest.mark.parametrize("pytorchs", ["PyTorch's kernels", "our own"], indirect=True)


def long() -> Batch:
    """Windows of so many timesteps that what a few of them hold is gathered."""
    numbers = (DEFAULT.continuous.start, DEFAULT.continuous.start + 64)
    drawn = [window(0, 21), window(1, 12), window(2, 21, "gym/B", 2, 2, numbers), window(3, 16, "gym/B", 2, 2, numbers)]
    return collate(drawn)


def short() -> Batch:
    """Windows of a few timesteps."""
    return collate(mixed())


def padded(policy: Policy, batch: Batch, prompt: torch.Tensor | None = None) -> torch.Tensor:
    """Hidden states of windows that are padded to each other's length, under one mask."""
    place = torch.arange(batch.timestep.shape[1]).expand_as(batch.timestep)
    mask = None
    if policy.config.attention_steps is not None:
        mask = policy._visible(batch.timestep, place, batch.timestep, place, prompt)
    return policy.transformer(policy.embedding(batch.tokens, batch.position), place, mask)


@pytest.mark.parametrize("attention_steps", [0, 1, 3, None])
@pytest.mark.parametrize("prompted", [False, True])
@pytest.mark.parametrize("drawn", [short, long])
def test_hidden_states_and_gradients_equal_those_under_a_mask(attention_steps, prompted, drawn):
    torch.manual_seed(0)
    batch = drawn()
    assert (batch.timestep < 0).any()
    prompt = torch.arange(len(batch.tasks)) % 3 if prompted else None
    folded = Policy(dataclasses.replace(CONFIG, attention_steps=attention_steps)).double()
    masked = copy.deepcopy(folded)
    real = batch.timestep >= 0
    results = []
    for policy in (folded, masked):
        if policy is folded:
            hidden = policy(batch.tokens, batch.position, batch.timestep, None, prompt)
        else:
            hidden = padded(policy, batch, prompt)
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


@both
@pytest.mark.parametrize("attention_steps", [0, 1, 3, None])
@pytest.mark.parametrize("drawn", [short, long])
def test_no_window_sees_another(attention_steps, drawn):
    torch.manual_seed(0)
    batch = drawn()
    policy = Policy(dataclasses.replace(CONFIG, attention_steps=attention_steps))
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
    width = batch.timestep.shape[1]
    for starts, (rows, size) in zip(found.starts(), found.parts, strict=True):
        assert len(starts) == rows
        assert ((batch.timestep[starts // width] >= 0).sum(1) == size).all()
        assert (starts % width == 0).all()


@pytest.mark.parametrize("steps", [1, 2, 100])
@pytest.mark.parametrize("drawn", [short, long])
def test_what_is_gathered_for_a_timestep_is_what_it_may_see(steps, drawn):
    batch = drawn()
    found = fold_near(batch.timestep, steps)
    assert found.near is not None
    rows, width = batch.timestep.shape
    seen = torch.zeros(rows * width, rows * width, dtype=torch.bool)
    at = 0
    for (runs, size), near in zip(found.parts, found.near, strict=True):
        tokens = found.index[at : at + runs * size].view(runs, size)
        run, token, key = torch.nonzero(near.mask.squeeze(1), as_tuple=True)
        seen[tokens[run, token], found.index[near.keys[run, key]]] = True
        own = tokens[:, :1] // width
        assert (found.index[near.keys] // width == own).all()  # not even hidden ones are of another window
        at += runs * size
    policy = Policy(dataclasses.replace(CONFIG, attention_steps=steps))
    place = torch.arange(width).expand_as(batch.timestep)
    visible = policy._visible(batch.timestep, place, batch.timestep, place, None).squeeze(1)
    expected = torch.block_diag(*visible) > 0
    expected[batch.timestep.flatten() < 0] = False
    assert torch.equal(seen, expected)


def test_what_a_few_timesteps_hold_is_gathered(monkeypatch):
    """The tests of `long` windows are of it."""
    folded = []
    monkeypatch.setattr("policy.model.fold_near", lambda *given: folded.append(given[1]) or fold_near(*given))
    for steps in (1, 2, 3):
        batch = long()
        Policy(dataclasses.replace(CONFIG, attention_steps=steps))(batch.tokens, batch.position, batch.timestep)
    assert folded == [1, 2]


@both
@pytest.mark.parametrize("attention_steps", [0, 1, None])
@pytest.mark.parametrize("drawn", [short, long])
def test_no_padding_goes_through_a_block(attention_steps, drawn, monkeypatch):
    batch = drawn()
    policy = Policy(dataclasses.replace(CONFIG, attention_steps=attention_steps))
    seen = []
    feedforward = Block.feedforward

    def counted(block: Block, x: torch.Tensor) -> torch.Tensor:
        seen.append(x.numel() // x.shape[-1])
        return feedforward(block, x)

    monkeypatch.setattr(Block, "feedforward", counted)
    policy(batch.tokens, batch.position, batch.timestep)
    assert seen == [int((batch.timestep >= 0).sum())] * CONFIG.layers


@both
@pytest.mark.parametrize("attention_steps", [None, 0, 1])
@pytest.mark.parametrize("drawn", [short, long])
def test_hidden_states_where_they_are_wanted_are_those_of_all(attention_steps, drawn):
    torch.manual_seed(0)
    batch = drawn()
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
    every = padded(policy, batch, prompt)
    torch.testing.assert_close(some.flatten(0, 1)[wanted], every.flatten(0, 1)[wanted], rtol=1e-10, atol=1e-12)
    alone = policy(batch.tokens, batch.position, batch.timestep)
    assert not torch.allclose(some[1][batch.timestep[1] >= 1], alone[1][batch.timestep[1] >= 1])
