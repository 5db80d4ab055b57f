import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.nesting import Observations, unstack
from actors.spaces import describe
from policy.errors import SpaceError
from policy.layout import Layout
from policy.text import TextTokenizer

SHAPES = st.lists(st.integers(1, 3), max_size=2).map(tuple)

BOUNDED = st.builds(
    lambda low, span, shape, dtype: spaces.Box(low, low + span, shape, dtype),
    st.floats(-50, 50, width=32),
    st.floats(0.5, 100, width=32),
    SHAPES,
    st.sampled_from([np.float32, np.float64]),
)
INTEGERS = st.builds(lambda low, shape: spaces.Box(low, low + 7, shape, np.int64), st.integers(-9, 9), SHAPES)
DISCRETE: st.SearchStrategy = st.builds(
    lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 1024), st.integers(-5, 5)
)
MULTI = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(spaces.MultiDiscrete)
GRID = st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=2), min_size=1, max_size=3).map(
    lambda nvec: spaces.MultiDiscrete(np.array(nvec))
)
BINARY = st.one_of(st.integers(1, 4), st.tuples(st.integers(1, 3), st.integers(1, 3))).map(spaces.MultiBinary)
LEAF = st.one_of(BOUNDED, INTEGERS, DISCRETE, MULTI, GRID, BINARY)
NESTED = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
        st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, min_size=1, max_size=3).map(spaces.Dict),
    ),
    max_leaves=6,
)


def same(left, right, space):
    """Equal nesting; discrete values equal, continuous ones within half a bin of 1024."""
    if isinstance(space, spaces.Dict):
        assert left.keys() == right.keys()
        for key, part in space.spaces.items():
            same(left[key], right[key], part)
    elif isinstance(space, spaces.Tuple):
        for index, part in enumerate(space.spaces):
            same(left[index], right[index], part)
    elif isinstance(space, spaces.Box) and space.low.dtype.kind == "f":
        half = (space.high.astype(np.float64) - space.low) / 1024 / 2
        assert (np.abs(np.asarray(left, dtype=np.float64) - right) <= half * (1 + 1e-3)).all()
    else:
        np.testing.assert_array_equal(left, right)


@settings(max_examples=150, deadline=None)
@given(NESTED, st.integers(0, 2**31))
def test_actions_survive_their_tokens(space, seed):
    space.seed(seed)
    samples = [space.sample() for _ in range(3)]
    description = describe(space, "test/space")
    layout = Layout("test/space", description, description)
    stacked = Observations(description)
    parts = stacked.empty(3)
    for row, sample in enumerate(samples):
        stacked.store(parts, row, sample)
    tokens = layout.encode_action(stacked.nest(parts))
    assert tokens.shape == (3, layout.action_tokens)
    actions = list(unstack(description, layout.decode_action(tokens), 3))
    for sample, action in zip(samples, actions, strict=True):
        same(sample, action, space)
        assert space.contains(action)


@settings(max_examples=50, deadline=None)
@given(NESTED, st.integers(0, 2**31))
def test_observations_of_any_nesting_have_tokens(space, seed):
    space.seed(seed)
    description = describe(space, "test/space")
    layout = Layout("test/space", description, {"kind": "discrete", "n": 2, "start": 0})
    stacked = Observations(description)
    parts = stacked.empty(2)
    for row in range(2):
        stacked.store(parts, row, space.sample())
    assert layout.encode_observation(stacked.nest(parts)).shape == (2, layout.observation_tokens)


def test_text_stacks_as_strings():
    class Bytes(TextTokenizer):
        def __init__(self):
            pass

        def encode(self, text):
            return list(text.encode())

    space = spaces.Dict({"mission": spaces.Text(20), "at": spaces.Discrete(4)})
    description = describe(space, "test/text")
    layout = Layout("test/text", description, {"kind": "discrete", "n": 2, "start": 0}, text=Bytes())
    stacked = Observations(description)
    parts = stacked.empty(2)
    stacked.store(parts, 0, {"mission": "go", "at": 1})
    stacked.store(parts, 1, {"mission": "stay", "at": np.int64(3)})
    tokens = layout.encode_observation(stacked.nest(parts))
    assert tokens[1, :4].tolist() == list(b"stay")


def test_no_bound_is_infinity_however_it_is_written():
    largest = np.finfo(np.float32).max
    description = describe(spaces.Box(-largest, largest, (2,), np.float32), "test/box")
    assert description["low"] == [-np.inf, -np.inf]
    assert description["high"] == [np.inf, np.inf]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.Graph(spaces.Box(0, 1), None), ["Graph"]),
        (spaces.Dict({"a": spaces.Tuple([spaces.Sequence(spaces.Discrete(2))])}), ["'a/0'", "Sequence"]),
        (spaces.MultiDiscrete([2, 3], start=[1, 0]), ["start"]),
        (spaces.Dict({"a/b": spaces.Discrete(2)}), ["a/b"]),
        (spaces.Dict({1: spaces.Discrete(2)}), ["key 1"]),  # type: ignore[dict-item]
    ],
)
def test_what_cannot_be_described_is_refused_by_name(space, words):
    with pytest.raises(SpaceError) as error:
        describe(space, "test/task")
    for word in ["test/task", *words]:
        assert word in str(error.value)


def test_unbounded_actions_are_refused_by_name():
    description = describe(spaces.Dict({"push": spaces.Box(-np.inf, np.inf, (1,))}), "test/task")
    with pytest.raises(SpaceError, match="test/task: key 'push'"):
        Layout("test/task", {"kind": "discrete", "n": 2, "start": 0}, description)


def test_observations_that_do_not_belong_are_refused():
    space = spaces.Dict({"x": spaces.Box(-1, 1, (2,)), "n": spaces.Discrete(3)})
    stacked = Observations(describe(space, "test/task"))
    with pytest.raises(ValueError, match="'x' has shape"):
        stacked.store(stacked.empty(1), 0, {"x": np.zeros(1), "n": 0})
    with pytest.raises(ValueError, match="'n' has dtype float64"):
        stacked.store(stacked.empty(1), 0, {"x": np.zeros(2), "n": np.float64(0.5)})


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
def test_rows_that_are_not_finite_are_named(value):
    stacked = Observations(describe(spaces.Dict({"x": spaces.Box(-1, 1, (2,)), "n": spaces.Discrete(3)}), "test/task"))
    parts = stacked.empty(3)
    for row, number in enumerate((0.0, value, 1.0)):
        with np.errstate(over="ignore"):
            stacked.store(parts, row, {"x": np.array([0.0, number]), "n": 1})
    assert stacked.not_finite(parts) == {1: "x"}
