"""Timesteps folded into rows of their own give what a mask over whole windows gives."""

import torch

from policy.config import PolicyConfig
from policy.folding import fold
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
    for policy, prompt in ((folded, None), (masked, torch.zeros(len(batch.tasks), dtype=torch.int64))):
        hidden = policy(batch.tokens, batch.position, batch.timestep, prompt=prompt)[real]
        hidden.pow(3).sum().backward()
        results.append((hidden.detach(), policy.transformer.blocks[0].qkv.weight.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_every_token_but_padding_has_one_place():
    batch = collate(mixed())
    found = fold(batch.timestep)
    assert sorted(found.index.tolist()) == torch.nonzero(batch.timestep.reshape(-1) >= 0).squeeze(1).tolist()
    assert sum(rows * size for rows, size in found.parts) == len(found.index)
    assert torch.equal(found.place, found.index % batch.timestep.shape[1])
