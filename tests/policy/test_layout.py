import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from policy.errors import SpaceError, TokenError
from policy.layout import TEXT_TOKENS, Layout
from policy.text import TextTokenizer
from policy.vocabulary import DEFAULT, PAPER


def box(shape, low=-1.0, high=1.0, dtype="float32"):
    size = int(np.prod(shape))
    return {"kind": "box", "shape": list(shape), "low": [low] * size, "high": [high] * size, "dtype": dtype}


def discrete(n, start=0):
    return {"kind": "discrete", "n": n, "start": start}


TEXT = {"kind": "text", "max_length": 64}
NESTED = {
    "kind": "dict",
    "spaces": {
        "zeta": box([2, 2], -np.inf, np.inf),
        "mission": TEXT,
        "alpha": {
            "kind": "tuple",
            "spaces": [discrete(5, start=2), {"kind": "multi_discrete", "nvec": [3, 4]}, box([2], -1.0, 1.0)],
        },
        "bits": {"kind": "multi_binary", "n": 3},
        "small": box([2], 0, 7, "uint8"),
    },
}


def nested_observation(n: int) -> dict:
    return {
        "alpha": (np.full(n, 3), np.tile([2, 1], (n, 1)), np.zeros((n, 2))),
        "bits": np.tile([1, 0, 1], (n, 1)),
        "mission": ["go to the red ball"] * n,
        "small": np.tile([0, 7], (n, 1)),
        "zeta": np.arange(4 * n, dtype=float).reshape(n, 2, 2),
    }


@pytest.fixture(scope="module")
def text() -> TextTokenizer:
    return TextTokenizer.default()


def test_text_comes_first_and_the_rest_in_lexicographic_order(text):
    layout = Layout("toy/nested", NESTED, discrete(2), text=text)
    names = [leaf.name for leaf in layout.observation_leaves]
    assert names == ["mission", "alpha/0", "alpha/1", "alpha/2", "bits", "small", "zeta"]
    assert layout.observation_tokens == TEXT_TOKENS + 1 + 2 + 2 + 3 + 2 + 4
    assert layout.step_tokens == layout.observation_tokens + 2
    tokens = layout.encode_observation(nested_observation(3))
    assert tokens.shape == (3, layout.observation_tokens)
    assert tokens.dtype == np.int32
    words = [int(token) for token in tokens[0, :TEXT_TOKENS] if token != DEFAULT.pad]
    assert text.decode(words) == "go to the red ball"
    discretes = tokens[0, TEXT_TOKENS : TEXT_TOKENS + 3] - DEFAULT.discrete.start
    assert discretes.tolist() == [1, 2, 1]
    assert (tokens[0, TEXT_TOKENS + 5 : TEXT_TOKENS + 10] - DEFAULT.discrete.start).tolist() == [1, 0, 1, 0, 7]
    assert all(int(token) in DEFAULT.continuous for token in tokens[:, -4:].reshape(-1))


def test_a_layout_survives_json(text):
    layout = Layout("toy/nested", NESTED, box([2], -2.0, 3.0), action_bins=64, vocabulary=PAPER, text=text)
    again = Layout.from_json(json.loads(json.dumps(layout.to_json())), text)
    observation = nested_observation(2)
    assert np.array_equal(again.encode_observation(observation), layout.encode_observation(observation))
    assert np.array_equal(again.legal, layout.legal)


@given(hnp.arrays(np.float64, (3, 2), elements=st.floats(-5, 3)), st.integers(2, 1024))
def test_continuous_actions_come_back_within_half_a_bin_of_their_bounds(action, bins):
    layout = Layout("toy/box", box([1]), box([2], -5.0, 3.0, "float64"), action_bins=bins)
    decoded = layout.decode_action(layout.encode_action(action))
    assert np.abs(decoded - action).max() <= 8.0 / bins / 2 + 1e-9
    assert (decoded > -5.0).all()
    assert (decoded < 3.0).all()


ACTIONS = {
    "kind": "dict",
    "spaces": {
        "pair": {"kind": "tuple", "spaces": [discrete(4, start=-1), {"kind": "multi_binary", "n": [2, 2]}]},
        "grid": {"kind": "multi_discrete", "nvec": [[2, 3], [4, 5]]},
    },
}


@given(st.data())
def test_discrete_actions_come_back_exactly(data):
    layout = Layout("toy/nested", box([1]), ACTIONS)
    low, high = layout.legal.T
    tokens = np.array([[data.draw(st.integers(a, b - 1)) for a, b in zip(low, high, strict=True)] for _ in range(2)])
    action = layout.decode_action(tokens)
    assert set(action) == {"pair", "grid"}
    assert isinstance(action["pair"], tuple)
    assert action["grid"].shape == (2, 2, 2)
    assert np.array_equal(layout.encode_action(action), tokens)


def test_legal_ranges_follow_the_action_space():
    start, first = DEFAULT.discrete.start, DEFAULT.continuous.start
    assert Layout("t", box([1]), discrete(4)).legal.tolist() == [[start, start + 4]]
    assert Layout("t", box([1]), box([2]), action_bins=32).legal.tolist() == [[first, first + 32]] * 2
    assert Layout("t", box([1]), discrete(4), vocabulary=PAPER).legal.tolist() == [[0, 4]]


def test_observations_outside_one_are_companded_and_clipped():
    layout = Layout("t", box([1], -np.inf, np.inf), discrete(2))
    tokens = layout.encode_observation(np.array([[-1e9], [0.0], [1.0], [1e9]]))[:, 0] - DEFAULT.continuous.start
    assert tokens.tolist() == [0, 512, int((0.4547 + 1) / 2 * 1024), 1023]
    plain = Layout("t", box([1], -1.0, 1.0), discrete(2))
    assert plain.encode_observation(np.array([[0.5]]))[0, 0] - DEFAULT.continuous.start == 768


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_with_its_task_and_key(wrong):
    layout = Layout("toy/bad", {"kind": "dict", "spaces": {"speed": box([2])}}, discrete(2))
    with pytest.raises(TokenError, match=r"toy/bad, key 'speed': (nan|inf) at element 1 of environment 1"):
        layout.encode_observation({"speed": np.array([[0.0, 0.0], [0.0, wrong]])})


@pytest.mark.parametrize("value", [-1, 5, 1.5])
def test_integers_outside_their_space_are_refused(value):
    layout = Layout("toy/bad", discrete(5), discrete(2))
    with pytest.raises(TokenError, match=r"toy/bad.*leaves its space"):
        layout.encode_observation(np.array([value]))


def test_action_tokens_outside_their_range_are_refused():
    layout = Layout("toy/bad", box([1]), discrete(2))
    with pytest.raises(TokenError, match="action token 0 of row 1 is 33026"):
        layout.decode_action(np.array([[33024], [33026]]))
    with pytest.raises(TokenError, match="actions have 1 tokens"):
        layout.decode_action(np.array([[33024, 33024]]))


def test_texts_that_are_too_long_are_refused(text):
    layout = Layout("toy/text", TEXT, discrete(2), text=text)
    with pytest.raises(TokenError, match=f"toy/text: text of .* room for {TEXT_TOKENS}"):
        layout.encode_observation(["go " * 100])


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (box([2]), discrete(1025), "1025 discrete values"),
        (discrete(2000), discrete(2), "2000 discrete values"),
        (box([2]), box([1], -np.inf, np.inf), "without finite bounds"),
        (box([2]), box([1], 1.0, 1.0), "bounds are empty"),
        (box([2]), TEXT, "text as an action"),
        (box([8, 8, 4], 0, 255, "uint8"), discrete(2), r"an image of shape \[8, 8, 4\]"),
        (box([1], 0, 1e6, "int64"), discrete(2), "integers with a range of 1024 or more"),
        (box([0]), discrete(2), "no elements"),
        ({"kind": "dict", "spaces": {}}, discrete(2), "holds nothing"),
        ({"kind": "graph"}, discrete(2), "a space of kind 'graph'"),
        (TEXT, discrete(2), "no text tokenizer"),
    ],
)
def test_spaces_without_tokens_are_refused_by_name(observation, action, message):
    with pytest.raises(SpaceError, match=f"toy/bad: .*{message}"):
        Layout("toy/bad", observation, action)


def test_a_refusal_names_the_key():
    nested = {"kind": "dict", "spaces": {"a": {"kind": "tuple", "spaces": [discrete(2), discrete(5000)]}}}
    with pytest.raises(SpaceError, match="key 'a/1'"):
        Layout("toy/bad", nested, discrete(2))


def test_texts_are_tokenized_once_and_stay_what_they_were(monkeypatch):
    from policy import layout as module

    text = TextTokenizer.default()
    asked: list[str] = []
    encode = text.encode

    def counted(each: str) -> list[int]:
        asked.append(each)
        return encode(each)

    monkeypatch.setattr(text, "encode", counted)
    monkeypatch.setattr(module, "TEXTS_KEPT", 2)
    spaces = {"kind": "text", "max_length": 40}
    layout = Layout("toy", spaces, {"kind": "discrete", "n": 2, "start": 0}, text=text)
    missions = ["go to the red ball", "open the door", "go to the red ball", "pick up a key", "open the door"]
    tokens = layout.encode_observation(missions)
    assert asked == ["go to the red ball", "open the door", "pick up a key", "open the door"]  # two are kept
    assert (tokens[0] == tokens[2]).all()
    assert (tokens[1] == tokens[4]).all()
    for row, mission in zip(tokens, missions, strict=True):
        assert row[row != layout.vocabulary.pad].tolist() == encode(mission)
