"""What everything rests on: the cache's hidden states equal a full recompute of the same tokens."""

import numpy as np
import pytest
import torch

from policy.capacity import available
from policy.dtypes import fastest
from policy.engine import Engine
from policy.errors import SpaceError
from policy.slots import SlotError
from policy.types import Version
from policy.vocabulary import DEFAULT
from tests.policy.small import CONTINUOUS, DISCRETE, numbers_of, policy, request
from tests.policy.watched import Watched

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}


def play(engine: Engine, model, steps: int = 40) -> None:
    """Three kinds of actors at their own pace: resets, slides, new weights, mixed tasks, return tokens."""
    rng, ids = np.random.default_rng(0), numbers_of(model)
    for step in range(steps):
        resets = (rng.random(3) < 0.1) | (step == 0)
        requests = [request(rng, "steady", 3, resets, numbers=ids)]
        if step % 2 == 0:
            requests.append(
                request(rng, "slow", 2, step == 0, observed=2, legal=CONTINUOUS, temperature=0.7, numbers=ids)
            )
        if step % 3 == 0:
            asked = request(rng, "returns", 2, step == 0, 5, CONTINUOUS[:2], ids, with_return=True)
            requests.append(asked)
        order = rng.permutation(len(requests))
        engine.act([requests[i] for i in order])
        if step % 15 == 7:
            weights = {name: tensor * 1.05 for name, tensor in model.state_dict().items()}
            engine.load(weights, Version(0, step))


@pytest.mark.parametrize("attention_steps", [None, 0, 1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_cached_logits_equal_a_full_recompute(dtype, attention_steps):
    model = policy(attention_steps=attention_steps)
    engine = Watched(model, 9, dtype, rebuild_share=1.0)
    play(engine, model)
    assert engine.worst < TOLERANCES[dtype]
    stats = engine.stats()
    assert stats["slides"] > 5
    assert stats["rebuilds"] > 5
    assert max(engine.lengths) > 40


@pytest.mark.parametrize("attention_steps", [None, 1])
def test_bfloat16_stays_near_a_full_recompute(attention_steps):
    model = policy(torch.float32, attention_steps=attention_steps, spread=0.15)  # logits spread by about 1
    engine = Watched(model, 9, torch.bfloat16, rebuild_share=1.0)
    play(engine, model)
    differences = torch.cat(engine.differences).float()
    assert differences.mean() < 0.02
    assert differences.sort().values[int(0.99 * len(differences))] < 0.1


def test_the_comparison_would_notice_a_wrong_cache():
    model = policy()
    engine = Watched(model, 9)
    rng = np.random.default_rng(0)
    engine.act([request(rng, reset=True)])
    engine.cache.values[:, :, :, 2] += 1.0
    engine.act([request(rng)])
    assert max(float(difference.max()) for difference in engine.differences[-2:]) > 1e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_long_prefill_equals_its_recompute_in_chunks(monkeypatch, dtype):
    monkeypatch.setattr("policy.forward.TOKENS_AT_ONCE", 64)
    monkeypatch.setattr("policy.padded_passes.TOKENS_AT_ONCE", 64)
    model = policy()
    engine = Watched(model, 9, dtype)
    play(engine, model, steps=20)
    assert engine.worst < TOLERANCES[dtype]


@pytest.mark.parametrize("chosen", [range(9), range(3, 12), [0, 2, 3, 4, 5, 6, 8, 9, 11]])
def test_rows_of_padding_touch_no_slot(chosen):
    engine, rng = Watched(policy(), 12), np.random.default_rng(0)
    everybody = request(rng, slots=12, reset=True)
    engine.act([everybody])
    for _ in range(12):
        some = request(rng, slots=len(chosen))  # 9 rows are padded to 10
        some.slots = np.array(chosen, dtype=np.int32)
        engine.act([some])
    engine.act([request(rng, slots=12)])
    assert engine.worst < 1e-9


def test_an_action_of_one_token_costs_one_pass_and_of_three_costs_three():
    rng = np.random.default_rng(0)
    for legal, passes in ((DISCRETE, 1), (CONTINUOUS, 3)):
        engine = Engine(policy(), 4)
        engine.act([request(rng, reset=True, legal=legal)])
        before = engine.stats()["forwards"]
        engine.act([request(rng, legal=legal)])
        assert engine.stats()["forwards"] - before == passes


@pytest.mark.parametrize("greedy", ["median", "mode"])
def test_a_greedy_action_is_the_median_or_the_mode_of_ordered_bins_and_the_mode_of_others(greedy):
    model = policy(attention_steps=0, greedy=greedy)
    ordered = np.array([[DEFAULT.continuous.start, DEFAULT.continuous.start + 21]], dtype=np.int32)
    for legal, median in ((ordered, greedy == "median"), (DISCRETE, False)):
        asked = request(np.random.default_rng(1), slots=5, reset=True, legal=legal, temperature=0.0)
        seen = torch.from_numpy(asked.tokens).long()
        tokens = torch.cat([seen, torch.full((5, 1), DEFAULT.separator)], dim=1)
        with torch.no_grad():
            hidden = model(tokens, torch.arange(5).expand(5, 5), torch.zeros_like(tokens))[:, -1]
            probabilities = torch.softmax(model.logits(hidden, *legal[0].tolist()), dim=1).numpy()
        summed = probabilities.cumsum(axis=1)
        expected = (summed > 0.5).argmax(axis=1) if median else probabilities.argmax(axis=1)
        assert Engine(model, 5).act([asked])[0].tokens[:, 0].tolist() == (expected + legal[0, 0]).tolist()


def test_a_row_acts_the_same_alone_and_among_others():
    model, rng = policy(), np.random.default_rng(0)
    asked = [request(rng, "me", 1, step == 0, temperature=0.0) for step in range(20)]
    alone, crowded = Engine(model, 8), Engine(model, 8)
    for step, mine in enumerate(asked):
        other = request(rng, "other", 3, step == 0, observed=9, legal=CONTINUOUS)
        first, second = alone.act([mine])[0], crowded.act([other, mine])[1]
        assert np.array_equal(first.tokens, second.tokens)
        assert np.allclose(first.log_probs, second.log_probs)
        assert np.array_equal(first.context_start, second.context_start)


def test_context_starts_follow_the_rule_and_reset_with_the_episode():
    engine, rng = Engine(policy(context=36), 2), np.random.default_rng(0)  # 6 tokens a step: 6 steps
    starts = [engine.act([request(rng, slots=1, reset=step in (0, 15))])[0].context_start[0] for step in range(20)]
    assert starts[:15] == [0] * 6 + [3] * 3 + [6] * 3 + [9] * 3
    assert starts[15:] == [0] * 5


def test_a_restarted_actor_begins_anew_with_its_run_id():
    engine, rng = Engine(policy(), 4), np.random.default_rng(0)
    engine.act([request(rng, reset=True, run_id=1)])
    engine.act([request(rng, run_id=1)])
    with pytest.raises(SlotError, match="does not know the episodes"):
        engine.act([request(rng, run_id=2)])
    reply = engine.act([request(rng, reset=True, run_id=2)])[0]
    assert reply.context_start.tolist() == [0, 0]
    assert engine.contexts.length[:2].tolist() == [6, 6]


def test_a_failing_pass_moves_no_slot_on(monkeypatch):
    model, rng = policy(), np.random.default_rng(0)
    engine, twin = Watched(model, 4), Watched(model, 4)
    begin, again = request(rng, reset=True, temperature=0), request(rng, legal=DISCRETE, temperature=0)
    engine.act([begin])
    twin.act([begin])
    with monkeypatch.context() as patch:
        patch.setattr(engine.networks.models[0], "logits", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            engine.act([again])
    first, second = engine.act([again])[0], twin.act([again])[0]
    assert np.array_equal(first.tokens, second.tokens)
    assert np.array_equal(engine.contexts.tokens, twin.contexts.tokens)
    assert engine.worst < 1e-9


def test_sampling_is_masked_and_follows_the_policy():
    model = policy()
    with torch.no_grad():
        model.embedding.table.weight.mul_(0.3)  # flatter, so that every action is drawn
    rng = np.random.default_rng(0)
    rows = 4000
    asked = request(rng, slots=rows, reset=True, legal=np.array([[33030, 33035]], dtype=np.int32))
    asked.tokens[:] = asked.tokens[0]
    reply = Engine(model, rows).act([asked])[0]
    counts = np.bincount(reply.tokens[:, 0] - 33030, minlength=5)
    assert counts.sum() == rows
    assert len(counts) == 5
    tokens = torch.tensor([[*asked.tokens[0].tolist(), DEFAULT.separator]])
    hidden = model(tokens, torch.arange(5)[None], torch.zeros(1, 5, dtype=torch.int64))[0, -1:]
    expected = torch.softmax(model.logits(hidden, 33030, 33035), 1)[0].detach().numpy()
    assert ((counts - rows * expected) ** 2 / (rows * expected)).sum() < 18.47  # chi-square, 4 degrees, 1 in 1,000
    assert np.allclose(reply.log_probs[:, 0], np.log(expected)[reply.tokens[:, 0] - 33030], atol=1e-6)


def test_return_tokens_are_drawn_towards_high_returns():
    rng = np.random.default_rng(0)
    model, rows = policy(), 300
    drawn = {}
    for kappa in (0.0, 200.0):
        asked = request(rng, slots=rows, reset=True, with_return=True, return_kappa=kappa)
        drawn[kappa] = Engine(model, rows).act([asked])[0].return_tokens
        assert all(int(token) in DEFAULT.returns for token in drawn[kappa])
    assert drawn[200.0].mean() > drawn[0.0].mean() + 20
    assert Engine(model, 2).act([request(rng, reset=True)])[0].return_tokens.tolist() == [-1, -1]


def test_new_weights_reach_slots_in_turn_and_both_versions_act_exactly(monkeypatch):
    """Staged: at an episode's start and at a slide at once, else within the share of time; newer weights wait."""
    model, rng = policy(context=36), np.random.default_rng(0)  # 6 steps
    engine = Watched(model, 3)
    clock = [0.0]
    monkeypatch.setattr("policy.networks.time.perf_counter", lambda: clock[0])
    weights = [{name: tensor * scale for name, tensor in model.state_dict().items()} for scale in (1.05, 1.1)]
    for step in range(3):
        engine.act([request(rng, slots=3, reset=step == 0)])
    engine.load(weights[0], Version(0, 1))
    assert engine.version == Version(0, 1)
    engine.load(weights[1], Version(0, 2))
    assert (engine.version, engine.networks.waiting) == (Version(0, 1), Version(0, 2))
    updates = []
    for step in range(3, 8):
        reset = np.array([step == 4, False, False])
        updates.append(engine.act([request(rng, slots=3, reset=reset)])[0].versions[:, 1].tolist())
        if step == 4:
            clock[0] = 1000.0  # there is time now for one slot, which shows what each costs
    # The first slot resets at step 4; at step 5 one moves over; at step 6 the last one slides.
    assert updates == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert engine.version == Version(0, 2)  # which waited until nobody needed the first weights any more
    assert engine.stats()["rebuilds"] == 1
    assert engine.worst < 1e-9


def test_kept_caches_carry_their_oldest_version():
    model, rng = policy(context=36), np.random.default_rng(0)
    engine = Engine(model, 2, on_new_weights="keep")
    updates = []
    for step in range(9):
        if step in (2, 3):
            engine.load({name: tensor * 1.05 for name, tensor in model.state_dict().items()}, Version(0, step))
        reset = np.array([step == 0, step in (0, 3)])
        updates.append(engine.act([request(rng, reset=reset)])[0].versions[:, 1].tolist())
    # The second slot's episode begins at step 3; the first one's context slides at step 6.
    assert updates == [[0, 0], [0, 0], [0, 0], [0, 3], [0, 3], [0, 3], [3, 3], [3, 3], [3, 3]]
    assert engine.stats()["rebuilds"] == 0


@pytest.mark.parametrize("small", [0, 10**9], ids=["parts of the rows", "parts of each product"])
def test_threads_change_nothing(small, monkeypatch):
    monkeypatch.setattr("policy.engine.SMALL", small)
    before = torch.get_num_threads()
    model = policy()
    single, double = Watched(model, 40), Watched(model, 40, threads=2)
    for step in range(9):
        asked = request(np.random.default_rng(step), slots=40, reset=step == 0)
        first, second = single.act([asked])[0], double.act([asked])[0]
        assert np.array_equal(first.tokens, second.tokens)
    assert double.worst < 1e-9
    assert torch.get_num_threads() == before


def test_weights_of_another_policy_are_refused_and_nothing_changes():
    model, rng = policy(), np.random.default_rng(0)
    engine = Engine(model, 4, version=Version(1, 1))
    engine.act([request(rng, reset=True)])
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"\(1, 2\) are not this policy's: value.bias"):
        engine.load({**weights, "value.bias": np.zeros(3)}, Version(1, 2))
    with pytest.raises(ValueError, match="strange"):
        engine.load({**weights, "strange": np.zeros(3)}, Version(1, 2))
    reply = engine.act([request(rng)])[0]
    assert reply.versions.tolist() == [[1, 1], [1, 1]]
    assert engine.stats()["rebuilds"] == 0


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"observed": 60}, SpaceError, "one timestep has 62 tokens, the policy's context only 48"),
        ({"slots": 5}, SlotError, "needs 5 more slots, but 4"),
        ({"legal": np.array([[5, 5]])}, ValueError, "legal ranges"),
        ({"legal": np.zeros((0, 2), dtype=np.int32)}, ValueError, "legal ranges"),
        ({"temperature": -1.0}, ValueError, "temperature -1.0"),
        ({"observed": 0}, ValueError, "observation tokens of shape"),
    ],
)
def test_requests_that_cannot_be_served_are_refused_by_actor(fields, error, message):
    engine = Engine(policy(), 4)
    with pytest.raises(error, match="actor 'actor'") as caught:
        engine.act([request(np.random.default_rng(0), reset=True, **fields)])
    assert message in str(caught.value)


def test_more_slots_than_memory_holds_are_refused_with_how_many_fit(monkeypatch):
    model = policy(context=48)
    each = 2 * 3 * 32 * 64 * 8  # keys and values, layers, width, padded columns, bytes
    weights = 8 * sum(parameter.numel() for parameter in model.parameters())
    for mode, sets in (("rebuild", 3), ("keep", 2)):  # one of them is made ready while the others act
        room = 10 * each + sets * weights + 1
        monkeypatch.setattr("policy.capacity.available", lambda device, room=room: room)
        Engine(model, 10, on_new_weights=mode)
        with pytest.raises(SlotError, match=r"cache of 11 slots takes .* 10 slots fit"):
            Engine(model, 11, on_new_weights=mode)


def test_the_system_says_how_much_memory_is_free():
    assert 2**20 < available(torch.device("cpu")) < 2**50


def test_a_slot_that_does_not_exist_is_refused():
    asked = request(np.random.default_rng(0), reset=True)
    asked.slots[1] = -1
    with pytest.raises(ValueError, match="actor 'actor': slot -1 does not exist"):
        Engine(policy(), 4).act([asked])


def test_the_number_format_is_chosen_by_measurement():
    assert fastest(policy(torch.float32)) in (torch.float32, torch.bfloat16)


def test_a_layout_must_not_change_within_an_episode():
    engine, rng = Engine(policy(), 4), np.random.default_rng(0)
    engine.act([request(rng, reset=True)])
    with pytest.raises(ValueError, match="layout changed in the middle of an episode"):
        engine.act([request(rng, observed=5)])
    engine.act([request(rng, observed=5, reset=True)])
