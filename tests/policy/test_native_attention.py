"""Attention by kernels of our own in training: written out in float64, it and its gradients are the same."""

import copy
import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from policy import native, native_attention
from policy.config import PolicyConfig
from policy.model import Policy
from policy.native_attention import Runs, runs
from policy.threads import torch_threads
from replay.batch import collate
from tests.learner.windows import mixed

pytestmark = pytest.mark.skipif(native.load() is None, reason="needs a C compiler")
CONFIG = PolicyConfig(layers=2, width=32, heads=2, feedforward=64, context=64, action_bins=64)


def written_out(joint: torch.Tensor, angle: torch.Tensor, given: Runs, heads: int) -> torch.Tensor:
    """As `Runs.attend`, by the equations alone."""
    count, width = len(joint), joint.shape[1] // 3
    q, k, v = joint.view(count, 3, heads, width // heads).unbind(1)  # each [K, heads, key]

    def turned(x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, dim=-1)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)

    q, k = turned(q), turned(k)
    out = []
    for start, end, prompt in zip(given.starts[:-1].tolist(), given.starts[1:].tolist(), given.prompts, strict=True):
        at = torch.arange(end - start)
        seen = (at <= at[:, None]) & ((at >= given.first[start:end, None]) | (at < prompt))
        scores = torch.einsum("ihd,jhd->hij", q[start:end], k[start:end]) * (width // heads) ** -0.5
        weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        out.append(torch.einsum("hij,jhd->ihd", weights, v[start:end]).reshape(end - start, width))
    return torch.cat(out)


def windows(sizes: list[int], step: int, steps: int | None, prompted: int) -> Runs:
    """Windows of so many tokens, `step` in each timestep, every other one with a prompt."""
    timestep = torch.full((len(sizes), max(sizes)), -1)
    for row, size in enumerate(sizes):
        timestep[row, :size] = torch.arange(size) // step
    return runs(timestep, steps, prompted * (torch.arange(len(sizes)) % 2))


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=5),
    step=st.integers(1, 20),
    steps=st.sampled_from([None, 0, 1, 3]),
    prompted=st.integers(0, 3),
    key=st.sampled_from([16, 32, 48]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_it_is_softmax_of_turned_queries_and_keys_and_so_are_its_gradients(sizes, step, steps, prompted, key, dtype):
    torch.manual_seed(0)
    heads, every = 2, windows(sizes, step, steps, prompted)
    count = int(every.starts[-1])
    angle = 6.0 * torch.rand(count, key // 2, dtype=torch.float64)
    joint = torch.randn(count, 3 * heads * key).to(dtype).double().requires_grad_()
    gradient = torch.randn(count, heads * key).to(dtype).double()
    expected = written_out(joint, angle, every, heads)
    expected.backward(gradient)
    own = joint.detach().to(dtype).requires_grad_()
    cos, sin = (each.float()[:, None, None] for each in (angle.cos(), angle.sin()))
    found = every.attend(own, cos, sin, heads)
    found.backward(gradient.to(dtype))
    # Computed is in float32; bfloat16 results are rounded to 8 bits.
    relative, absolute = (1e-4, 1e-5) if dtype == torch.float32 else (0.01, 0.01)
    torch.testing.assert_close(found.double(), expected, rtol=relative, atol=absolute)
    torch.testing.assert_close(own.grad.double(), joint.grad, rtol=relative, atol=absolute)


@pytest.mark.parametrize("attention_steps", [None, 0, 1, 3])
@pytest.mark.parametrize("prompted", [False, True])
def test_a_policy_learns_the_same_with_pytorchs_kernels(attention_steps, prompted):
    torch.manual_seed(0)
    batch = collate(mixed())
    prompt = torch.arange(len(batch.tasks)) % 3 if prompted else None
    policy = Policy(dataclasses.replace(CONFIG, attention_steps=attention_steps))
    exact = copy.deepcopy(policy).double()  # which has no kernels
    assert native_attention.available(CONFIG, policy.transformer.norm.weight)
    assert not native_attention.available(CONFIG, exact.transformer.norm.weight)
    real = batch.timestep >= 0
    results = []
    for one in (policy, exact):
        hidden = one(batch.tokens, batch.position, batch.timestep, None, prompt)
        hidden[real].pow(3).sum().backward()
        results.append([hidden.detach()[real], *(p.grad for p in one.transformer.parameters())])
    for own, other in zip(*results, strict=True):
        assert (own - other).norm() <= 1e-5 * other.norm()


@pytest.mark.parametrize("attention_steps", [0, 2, None])
def test_each_token_sees_what_the_policy_says(attention_steps):
    batch = collate(mixed())
    prompt = torch.arange(len(batch.tasks)) % 3
    policy = Policy(dataclasses.replace(CONFIG, attention_steps=attention_steps))
    place = torch.arange(batch.timestep.shape[1]).expand_as(batch.timestep)
    visible = policy._visible(batch.timestep, place, batch.timestep, place, prompt).squeeze(1)
    found = runs(batch.timestep, attention_steps, prompt)
    size = (batch.timestep >= 0).sum(1)
    assert found.starts.diff().tolist() == size.tolist()
    for row, (start, end) in enumerate(zip(found.starts[:-1], found.starts[1:], strict=True)):
        at = torch.arange(int(size[row]))
        seen = (at <= at[:, None]) & ((at >= found.first[start:end, None]) | (at < found.prompts[row]))
        assert torch.equal(seen, visible[row, : len(at), : len(at)])


def test_several_threads_give_the_same_to_the_bit():
    torch.manual_seed(0)
    every = windows([3, 64, 17, 30, 1, 41], 4, None, 0)
    count = int(every.starts[-1])
    angle = torch.rand(count, 1, 1, 8)
    results = []
    for threads in (1, 2, 5, 16):
        joint = torch.randn(count, 3 * 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
        with torch_threads(threads):
            out = every.attend(joint, angle.cos(), angle.sin(), 2)
            out.square().sum().backward()
        results.append((out.detach(), joint.grad))
    assert all(torch.equal(one, other) for result in results for one, other in zip(result, results[0], strict=True))


def test_no_window_is_left_out_and_none_is_done_twice():
    starts = torch.tensor([0, 1, 1, 40, 42, 100])
    for threads in range(1, 9):
        shares = native_attention._shares(starts, threads)
        assert [row for begin, end in shares for row in range(begin, end)] == list(range(5))


def test_blocks_that_are_computed_again_have_the_same_gradients_to_the_bit():
    torch.manual_seed(0)
    policy, batch = Policy(CONFIG), collate(mixed())
    results = []
    for policy.transformer.checkpointing in (False, True):
        policy.zero_grad()
        policy(batch.tokens, batch.position, batch.timestep).square().sum().backward()
        results.append([parameter.grad.clone() for parameter in policy.transformer.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
