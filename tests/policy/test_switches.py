"""Every switch of the policy's configuration: what it does, and that decoding from the cache stays exact."""

import pytest
import torch

from policy.config import PolicyConfig
from policy.engine import Engine
from policy.model import Policy
from policy.vocabulary import DEFAULT, PAPER
from tests.policy.small import policy
from tests.policy.test_engine import Watched, play
from tests.policy.test_model import window

SWITCHES = [
    {"activation": "geglu"},
    {"stochastic_depth": 0.5},
    {"positions": "learned"},
    {"positions": "none"},
    {"tied": False},
    {"value_table": True},
    {"value_features": False},
    {"vectors": True},
    {"vectors": True, "value_features": False},
    {"activation": "geglu", "positions": "learned", "tied": False, "stochastic_depth": 0.1},
]


@pytest.mark.parametrize("attention_steps", [None, 0, 1])
@pytest.mark.parametrize("fields", SWITCHES, ids=lambda fields: "-".join(map(str, fields.values())))
def test_cached_logits_equal_a_full_recompute(fields, attention_steps):
    model = policy(attention_steps=attention_steps, **fields)
    engine = Watched(model, 9)
    play(engine, model, steps=20)
    assert max(float(difference.max()) for difference in engine.differences) < 1e-9
    assert engine.stats()["slides"] > (0 if "vectors" in fields else 2)  # which make contexts last longer


@pytest.mark.parametrize("fields", SWITCHES[:1] + SWITCHES[2:7], ids=lambda fields: "-".join(map(str, fields.values())))
def test_each_switch_changes_the_policy(fields):
    plain, switched = policy(), policy(**fields)
    inputs = window()
    with torch.no_grad():
        logits = [model.logits(model(*inputs)[0], 32000, DEFAULT.size) for model in (plain, switched)]
    assert (logits[0] - logits[1]).abs().max() > 0.01


def test_geglu_is_its_formula():
    block = policy(activation="geglu").transformer.blocks[0]
    x = torch.randn(2, 3, 32, dtype=torch.float64)
    inner = block.norm_feedforward(x) @ block.up.weight.T + block.up.bias
    gated = torch.nn.functional.gelu(inner[..., :64]) * inner[..., 64:]
    assert torch.allclose(block.feedforward(x), gated @ block.down.weight.T + block.down.bias)


@pytest.mark.parametrize("positions", ["learned", "none"])
def test_without_rotary_positions_only_the_table_tells_places(positions):
    """The order of a timestep's like tokens is then invisible, but for a table of places."""
    model = policy(positions=positions)
    model.transformer.blocks = model.transformer.blocks[:1]  # a second one could tell from what the first token saw
    tokens, _, timestep = window(steps=1)
    position = torch.zeros_like(tokens)
    swapped = tokens.clone()
    swapped[0, [0, 1]] = tokens[0, [1, 0]]
    with torch.no_grad():
        last = [model(x, position, timestep)[0, -1] for x in (tokens, swapped)]
    assert torch.allclose(*last, atol=1e-12) == (positions == "none")


@pytest.mark.parametrize("attention_steps", [None, 0])
def test_stochastic_depth_skips_rows_in_training_only(attention_steps):
    rate = 0.3
    model = policy(stochastic_depth=rate, attention_steps=attention_steps)
    inputs = [x.expand(64, -1) for x in window(steps=2)]
    with torch.no_grad():
        calm = model(*inputs)
        assert torch.equal(calm[0], calm[-1])
        model.train()
        state = torch.get_rng_state()
        noisy = model(*inputs)
        assert len({tuple(row.flatten().tolist()) for row in noisy}) > 10  # each row skips its own parts
        torch.set_rng_state(state)
        assert torch.equal(model(*inputs), noisy)
        torch.manual_seed(0)
        shares = torch.cat([model.transformer._shares(inputs[0].unsqueeze(-1).double()).flatten() for _ in range(50)])
    assert shares.unique().tolist() == pytest.approx([0.0, 1.0 / (1.0 - rate)])
    assert shares.mean() == pytest.approx(1.0, abs=0.02)


def test_a_skipped_part_is_as_if_it_were_not_there():
    model = policy(stochastic_depth=0.5)
    x = torch.randn(2 * 5, 32, dtype=torch.float64)  # two windows of five tokens
    turn = [each[:5].double().repeat(2, 1)[:, None, None] for each in (model.transformer.cos, model.transformer.sin)]
    share = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64).repeat_interleave(5, 1).unsqueeze(-1)
    block = model.transformer.blocks[0]
    with torch.no_grad():
        both = block(x, *turn, 2, None, share=share)
        assert torch.allclose(both[:5], (x + block.feedforward(x))[:5])
        whole = block(x, *turn, 2, None)
        share.fill_(1.0)
        assert torch.allclose(block(x, *turn, 2, None, share=share), whole)


def test_untied_tables_learn_apart():
    model = Policy(PolicyConfig(layers=1, width=32, heads=2, feedforward=64, context=48, tied=False))
    hidden = torch.randn(3, 32)
    model.log_probs(
        hidden, torch.tensor([33024, 5, 6]), torch.tensor([[33024, 33030], [0, 9], [0, 9]])
    ).sum().backward()
    assert model.embedding.text.weight.grad is None
    assert model.embedding.out.weight.grad[:9].abs().sum() > 0
    Engine(model, 2)  # freezes the input tables without touching the output's
    assert model.logits(hidden, 0, 9).shape == (3, 9)


def test_the_paper_vocabulary_shares_ids_between_text_and_discrete_values():
    model = policy(vocabulary="paper")
    assert model.config.vocabulary == PAPER.name
    with torch.no_grad():
        rows = model.embedding.rows(PAPER.discrete.start, PAPER.discrete.start + 3)
    assert torch.equal(rows, model.embedding.text.weight[:3])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"activation": "relu"}, "activation 'relu' must be one of gelu, geglu"),
        ({"positions": "alibi"}, "positions 'alibi'"),
        ({"vocabulary": "martian"}, "vocabulary 'martian'"),
        ({"stochastic_depth": 1.0}, "stochastic_depth 1.0"),
        ({"patch_channels": 48}, "patch_channels 48 must be a multiple of 32"),
    ],
)
def test_switches_that_do_not_exist_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        PolicyConfig(**fields)
