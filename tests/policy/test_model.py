import numpy as np
import pytest
import torch

from policy.config import PolicyConfig
from policy.embedding import value_features
from policy.model import Policy, legal_groups
from policy.vocabulary import DEFAULT, PAPER
from tests.policy.small import policy


def window(seed: int = 0, steps: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, positions and timesteps of one window: four observation tokens, separator, one action a step."""
    place = torch.arange(6 * steps)
    within = place % 6
    tokens = torch.from_numpy(np.random.default_rng(seed).integers(32000, 33024, len(place)))
    tokens[within == 4] = DEFAULT.separator
    return tokens[None], within.masked_fill(within == 5, -1)[None], (place // 6)[None]


@pytest.mark.parametrize(("attention_steps", "seen"), [(None, 0), (0, 5), (1, 4)])
def test_a_hidden_state_sees_as_many_steps_as_it_should_and_nothing_later(attention_steps, seen):
    model = policy(attention_steps=attention_steps)
    for block in model.transformer.blocks[1:]:  # each block reaches further back; one alone shows the mask
        torch.nn.init.zeros_(block.out.weight)
    tokens, position, timestep = window()
    with torch.no_grad():
        before = model(tokens, position, timestep)
        for step in range(6):
            changed = tokens.clone()
            changed[0, 6 * step] += 1 if changed[0, 6 * step] < 33000 else -1
            moved = (model(changed, position, timestep) - before).abs().amax(-1)[0]
            assert moved[: 6 * step].max() == 0 if step else True
            assert (float(moved[35]) > 1e-9) == (step >= seen)


def test_padding_changes_nothing():
    model = policy()
    tokens, position, timestep = window()
    longer = [torch.nn.functional.pad(x, (0, 5), value=v) for x, v in ((tokens, DEFAULT.pad), (position, 0))]
    with torch.no_grad():
        whole = model(tokens, position, timestep)
        padded = model(*longer, torch.nn.functional.pad(timestep, (0, 5), value=-1))
    assert torch.allclose(whole, padded[:, :-5], atol=1e-12)


def test_log_probs_are_those_of_the_legal_ids_alone():
    model = policy()
    hidden = torch.randn(5, 32, dtype=torch.float64)
    ranges = torch.tensor([[33024, 33027], [32000, 33024], [33024, 33027], [0, 4], [31990, 32000]])
    tokens = torch.tensor([33024, 33023, 33026, 3, 31995])
    with torch.no_grad():
        found = model.log_probs(hidden, tokens, ranges)
        for row, (start, stop) in enumerate(ranges.tolist()):
            one = torch.log_softmax(model.logits(hidden[row : row + 1], start, stop), 1)[0, tokens[row] - start]
            assert found[row] == pytest.approx(float(one), abs=1e-12)


@pytest.mark.parametrize("at_once", [1, 2048, 10_000])
def test_log_probs_in_parts_have_the_same_gradient(monkeypatch, at_once):
    """Text over 32,000 ids: the logits of a whole batch need not be held at once."""
    model, tokens = policy(), torch.randint(0, 1000, (30,), generator=torch.manual_seed(0))
    hidden = torch.randn(30, 32, dtype=torch.float64, requires_grad=True)
    ranges = torch.tensor([[0, 1000], [0, 1200]]).repeat_interleave(15, 0)
    found = []
    for parts in (2**26, at_once):
        monkeypatch.setattr("policy.model.LOGITS_AT_ONCE", parts)
        log_probs = model.log_probs(hidden, tokens, ranges)
        gradients = torch.autograd.grad(log_probs.square().sum(), [hidden, model.embedding.text.weight])
        found.append((log_probs.detach(), *gradients))
    for whole, in_parts in zip(*found, strict=True):
        assert torch.allclose(whole, in_parts, atol=1e-12)


def test_legal_groups_hold_every_row_once():
    ranges = torch.tensor([[5, 9], [0, 4], [5, 9], [0, 4], [0, 65535]])
    groups = {(start, stop): index.tolist() for start, stop, index in legal_groups(ranges)}
    assert groups == {(5, 9): [0, 2], (0, 4): [1, 3], (0, 65535): [4]}
    assert list(legal_groups(torch.zeros(0, 2, dtype=torch.int64))) == []


@pytest.mark.parametrize("value_table", [True, False])
@pytest.mark.parametrize("value_features", [True, False])
@pytest.mark.parametrize("action_positions", ["shared", "none"])
def test_a_frozen_embedding_is_the_same(value_table, value_features, action_positions):
    model = policy(value_table=value_table, value_features=value_features, action_positions=action_positions)
    inputs = window()
    with torch.no_grad():
        before, rows = model(*inputs), model.embedding.rows(32990, 33100)
        model.embedding.freeze()
        assert torch.equal(model(*inputs), before)
        assert torch.equal(model.embedding.rows(32990, 33100), rows)
        model.embedding.table.weight.add_(1.0)
        model.embedding.freeze()
        assert not torch.equal(model(*inputs), before)


def test_text_tokens_have_vectors_of_their_own():
    model = policy()
    position = torch.zeros(1, 2, dtype=torch.int64)
    with torch.no_grad():
        mixed = model.embedding(torch.tensor([[17, 32017]]), position) - model.embedding.position.weight[0]
    assert torch.allclose(mixed[0, 0], model.embedding.text.weight[17])
    assert torch.allclose(mixed[0, 1], model.embedding.features(model.embedding.value[17]))


@pytest.mark.parametrize("value_table", [True, False])
@pytest.mark.parametrize("value_features", [True, False])
def test_whether_bins_have_vectors_of_their_own(value_table, value_features):
    """Of observed numbers; actions, whose bins may be few, and discrete tokens always have them."""
    embedding = policy(value_table=value_table, value_features=value_features).embedding
    tokens = torch.tensor([[32017, 33030, 34304, 32017]])
    position = torch.tensor([[0, 1, 2, -1]])  # a number seen, a discrete value seen, a separator, a number acted
    vectors = embedding(tokens, position).sum(dim=2)
    gradient = torch.autograd.grad(vectors[0, 0], embedding.table.weight, retain_graph=True)[0]
    assert bool(gradient[17].any()) == (value_table or not value_features)
    rest = torch.autograd.grad(vectors[0, 1:].sum(), embedding.table.weight)[0]
    assert torch.nonzero(rest[:, 0]).squeeze(1).tolist() == [17, 1030, 2304]


def test_neighbouring_values_begin_alike_without_a_table():
    torch.manual_seed(0)
    embedding = Policy(PolicyConfig(layers=1, width=64, heads=2, feedforward=64)).embedding
    seen = embedding(torch.arange(32000, 33024).unsqueeze(0), torch.zeros(1, 1024, dtype=torch.int64))[0]
    seen = seen - embedding.position.weight[0]
    near, far = (seen[1:] - seen[:-1]).norm(dim=1).max(), (seen[0] - seen[-1]).norm()
    assert near < 0.3 * far


def test_an_actions_bins_are_told_by_their_own_values():
    few, many = policy(action_bins=21).embedding, policy(action_bins=1024).embedding
    with torch.no_grad():
        added = [each.rows(32000, 32021) - each.table.weight[:21] for each in (few, many)]
        expected = [each.features(value_features(bins).double()[:21]) for each, bins in ((few, 21), (many, 1024))]
        assert torch.allclose(few.weights()[-1024:], few.features(value_features().double()))  # observed numbers' stay
    for found, wanted in zip(added, expected, strict=True):
        assert torch.allclose(found, wanted)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 30, "heads": 4}, "even key size"),
        ({"action_bins": 1025}, "action_bins"),
        ({"action_positions": "all"}, "action_positions"),
    ],
)
def test_sizes_that_do_not_work_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        PolicyConfig(**fields)


def test_the_ranges_of_the_vocabulary_meet_without_overlap():
    borders = [DEFAULT.text, DEFAULT.continuous, DEFAULT.discrete, DEFAULT.returns]
    assert [r.stop for r in borders] == [r.start for r in borders[1:]] + [DEFAULT.separator]
    assert (DEFAULT.separator, DEFAULT.pad, DEFAULT.patch, DEFAULT.size) == (34304, 34305, 34306, 34307)
    assert (len(DEFAULT.text), len(DEFAULT.continuous), len(DEFAULT.returns)) == (32000, 1024, 256)
    assert (PAPER.discrete.start, PAPER.discrete.stop) == (0, 1024)
    assert 33024 in DEFAULT.discrete
    assert 33024 not in DEFAULT.continuous
