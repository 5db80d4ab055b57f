"""Numbers that share a token: where they go, what becomes of them, and that nothing else changes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policy.continuous import mu_law, to_bins
from policy.embedding import SLOW, value_features
from policy.engine import Engine
from policy.errors import SpaceError
from policy.layout import Layout
from policy.vectors import ELEMENTS, VECTOR, merge, places
from policy.vocabulary import DEFAULT
from replay.batch import collate
from tests.policy.small import policy, request
from tests.replay.samples import episode

FIRST = DEFAULT.elements.start
TWO = {"kind": "discrete", "n": 2, "start": 0}


def box(size: int, low: float = -1.0, high: float = 1.0) -> dict:
    return {"kind": "box", "shape": [size], "low": [low] * size, "high": [high] * size, "dtype": "float32"}


def vector(steps: int = 3, observed: int = 3, **settings):
    """An episode whose observed numbers share a token."""
    found = episode(steps, observed, **settings)
    shift = FIRST - DEFAULT.continuous.start
    found.tokens[:, :observed] += shift
    found.tail[:observed] += shift
    return found


@given(st.lists(st.booleans(), min_size=1, max_size=20), st.integers(1, 5), st.integers(0, 2**31))
def test_merging_keeps_every_number_and_every_other_token(numbers, rows, seed):
    random = np.random.default_rng(seed)
    is_number = np.array(numbers)
    tokens = np.where(is_number, random.integers(FIRST, DEFAULT.elements.stop, (rows, len(numbers))), 33024)
    merged, bins = merge(tokens)
    assert merged.shape == (rows, places(tokens[0]))
    assert (merged[0] == VECTOR).sum() == bins.shape[1]
    for row in range(rows):
        back, run = [], iter(bins[row])
        for token in merged[row]:
            back += [FIRST + number for number in next(run) if number >= 0] if token == VECTOR else [token]
        assert back == tokens[row].tolist()


def test_without_numbers_nothing_is_merged():
    tokens = np.array([[32000, 33024, DEFAULT.separator]])
    merged, bins = merge(tokens)
    assert merged is tokens
    assert bins.shape == (1, 0, 0)
    assert places(tokens[0]) == 3
    assert merge(tokens[:0])[0].shape == (0, 3)


def test_a_layout_gives_numbers_ids_of_their_own_and_counts_their_places():
    space = {"kind": "dict", "spaces": {"a": box(2), "b": TWO, "c": box(3, -9.0, 9.0), "d": box(1)}}
    whole = Layout("toy/mixed", space, box(2), vectors=True)
    apart = Layout("toy/mixed", space, box(2))
    assert (whole.step_tokens, whole.places) == (10, 6)  # a, b, (c, d), separator, two actions
    assert (apart.step_tokens, apart.places) == (10, 10)
    seen = {"a": np.array([[0.5, -0.5]]), "b": np.array([1]), "c": np.array([[1.0, 2.0, 3.0]]), "d": np.array([[0.1]])}
    tokens, plain = whole.encode_observation(seen)[0], apart.encode_observation(seen)[0]
    assert tokens.tolist() == [token + FIRST - 32000 if token < 33024 else token for token in plain.tolist()]
    assert tokens[3] - FIRST == to_bins(mu_law(np.array([1.0])))[0]
    assert places(tokens) == whole.places - 3
    assert np.array_equal(whole.legal, apart.legal)
    assert Layout.from_json(whole.to_json()).vectors


def test_more_numbers_than_a_vector_holds_are_refused():
    with pytest.raises(SpaceError, match=r"toy/wide.*more than 512 numbers.*policy\.vectors"):
        Layout("toy/wide", box(ELEMENTS + 1), TWO, vectors=True)
    Layout("toy/wide", box(ELEMENTS), TWO, vectors=True)


def test_an_embedding_is_its_formula():
    part = policy(vectors=True).embedding.vectors
    bins = torch.tensor([[3, 700, 1023], [5, -1, -1]])
    found = part(bins)
    features = value_features(frequencies=SLOW).double()
    for row, numbers in enumerate([[3, 700, 1023], [5]]):
        x = part.count.weight[len(numbers) - 1].clone()
        for place, number in enumerate(numbers):
            x = x + features[number] @ part.first.weight[place].view(features.shape[1], -1)
        inner = torch.nn.functional.gelu(part.up(part.norm(x)))
        assert torch.allclose(found[row], x + part.down(inner), atol=1e-12)


def test_windows_of_vectors_by_hand():
    window = vector(2, 3, acting=1, context=64)
    other = episode(1, 2, 1, task="gym/Plain-v0", context=64)
    batch = collate([window, other])
    separator = DEFAULT.separator
    actions = window.tokens[:, 4].tolist()
    assert batch.tokens[0].tolist() == [VECTOR, separator, actions[0], VECTOR, separator, actions[1], VECTOR, separator]
    assert batch.position[0].tolist() == [0, 1, -1, 0, 1, -1, 0, 1]
    assert batch.separator[0].tolist() == [1, 4, 7]
    assert batch.action_at[:2].tolist() == [1, 4]
    assert batch.vectors.at.tolist() == [0, 3, 6]
    assert torch.equal(batch.vectors.bins[:2], torch.from_numpy(window.tokens[:, :3] - FIRST).long())
    assert batch.vectors.bins[2].tolist() == (window.tail[:3] - FIRST).tolist()
    assert batch.tokens[1, :7].tolist() == [*other.tokens[0].tolist(), *other.tail.tolist()]


def test_the_learner_sees_what_the_engine_saw():
    model = policy(vectors=True, attention_steps=1)
    random = np.random.default_rng(0)
    window = vector(4, 5, acting=1, context=64)
    window.legal[:] = [[33024, 33027]]
    engine, hidden = Engine(model, 1), []
    feed = engine.forward.feed
    engine.forward.feed = lambda *arguments: hidden.append(feed(*arguments)) or hidden[-1]
    for step in range(4):
        asked = request(random, slots=1, reset=step == 0, legal=window.legal)
        asked.tokens = window.tokens[step : step + 1, :5]
        window.tokens[step, 6] = engine.act([asked])[0].tokens[0, 0]
    batch = collate([window])
    with torch.no_grad():
        whole = model(batch.tokens, batch.position, batch.timestep, vectors=batch.vectors)[0]
    assert torch.allclose(whole[batch.action_at], torch.cat(hidden), atol=1e-10)


def test_a_policy_without_vectors_says_so():
    batch = collate([vector(2, 3, acting=1, context=64)])
    with pytest.raises(ValueError, match="vectors: false"):
        policy()(batch.tokens, batch.position, batch.timestep, vectors=batch.vectors)
