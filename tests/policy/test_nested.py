"""Any nesting of any parts in one timestep: what went in can be read back, and stands in the fixed order."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from policy import continuous
from policy.layout import Layout
from policy.spaces import leaves, pick
from policy.text import TextTokenizer
from policy.vocabulary import DEFAULT, PAPER

TEXT = TextTokenizer.default()
ROOM = 24
ORDER = {"text": 0, "image": 1}
TWO = {"kind": "discrete", "n": 2, "start": 0}


def box(shape, low, high, dtype):
    return {"kind": "box", "shape": list(shape), "low": [low], "high": [high], "dtype": dtype}


LEAVES = st.one_of(
    st.builds(lambda n, start: {"kind": "discrete", "n": n, "start": start}, st.integers(1, 1024), st.integers(-5, 5)),
    st.builds(
        lambda nvec: {"kind": "multi_discrete", "nvec": nvec}, st.lists(st.integers(1, 9), min_size=1, max_size=3)
    ),
    st.builds(lambda n: {"kind": "multi_binary", "n": [n]}, st.integers(1, 4)),
    st.builds(lambda shape: box(shape, -1.0, 1.0, "float32"), st.lists(st.integers(1, 3), min_size=1, max_size=2)),
    st.builds(lambda size: box([size], -np.inf, np.inf, "float64"), st.integers(1, 3)),
    st.builds(
        lambda h, w, c: box([h, w, *c], 0.0, 255.0, "uint8"), *[st.integers(1, 33)] * 2, st.sampled_from([[], [1], [3]])
    ),
    st.just({"kind": "text", "max_length": 12}),
)
SPACES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda parts: {"kind": "dict", "spaces": parts},
            st.dictionaries(st.text("abXY01_", min_size=1, max_size=3), inner, min_size=1, max_size=4),
        ),
        st.builds(lambda parts: {"kind": "tuple", "spaces": parts}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=7,
)


def values(space: dict, rng: np.random.Generator, n: int) -> Any:
    """n random values of a space, its leaves stacked."""
    match space["kind"]:
        case "dict":
            # In any order: the layout's is its own.
            keys = list(space["spaces"])
            return {key: values(space["spaces"][key], rng, n) for key in rng.permutation(keys).tolist()}
        case "tuple":
            return tuple(values(part, rng, n) for part in space["spaces"])
        case "text":
            return ["".join(rng.choice(list("go tăé 7"), rng.integers(0, 8))) for _ in range(n)]
        case "discrete":
            return rng.integers(space["start"], space["start"] + space["n"], n)
        case "multi_discrete":
            return rng.integers(0, space["nvec"], (n, len(space["nvec"])))
        case "multi_binary":
            return rng.integers(0, 2, (n, *space["n"]))
    shape = (n, *space["shape"])
    if space["dtype"] == "uint8":
        return rng.integers(0, 256, shape).astype(np.uint8)
    return rng.uniform(-1, 1, shape) if np.isfinite(space["low"][0]) else rng.normal(size=shape) * 30


def kind(space: dict) -> str:
    return "image" if space.get("dtype") == "uint8" else space["kind"]


@settings(max_examples=80)
@given(SPACES, st.integers(0, 2**31), st.sampled_from([DEFAULT, PAPER]))
def test_everything_can_be_read_back(space, seed, vocabulary):
    layout = Layout("toy/any", space, TWO, vocabulary=vocabulary, text=TEXT, text_tokens=ROOM)
    layout = Layout.from_json(layout.to_json(), TEXT)
    n, observation = 2, values(space, np.random.default_rng(seed), 2)
    tokens, patches = layout.encode_observation(observation), layout.encode_patches(observation)
    assert tokens.shape == (n, layout.observation_tokens)
    assert patches.shape == (n, layout.patches, 16, 16, 3)
    assert layout.patch_intervals.shape == (layout.patches, 2, 2)
    assert ((tokens == vocabulary.patch).sum(axis=1) == layout.patches).all()
    ordered = sorted(leaves(space), key=lambda leaf: ORDER.get(kind(leaf[1]), 2))  # stable: keys stay in order
    assert [leaf.name for leaf in layout.observation_leaves] == [name for name, _ in ordered]
    at = seen = 0
    for leaf, (name, part) in zip(layout.observation_leaves, ordered, strict=True):
        mine, value = tokens[:, at : at + leaf.size], pick(observation, name)
        at += leaf.size
        if leaf.kind == "text":
            texts = [TEXT.decode([token for token in row if token != vocabulary.pad]) for row in mine.tolist()]
            assert texts == value
        elif leaf.image is not None:
            rows, columns = leaf.image.rows, leaf.image.columns
            here = patches[:, seen : seen + leaf.size].reshape(n, rows, columns, 16, 16, 3)
            seen += leaf.size
            whole = here.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows * 16, columns * 16, 3)
            pixels = value.reshape(n, *part["shape"][:2], -1)
            assert (whole[:, : pixels.shape[1], : pixels.shape[2]] == pixels).all()
        elif leaf.kind == "discrete":
            assert (mine - vocabulary.discrete.start + leaf.low == value.reshape(n, -1)).all()
        else:
            unit = continuous.to_values(mine - vocabulary.continuous.start)
            wanted = value.reshape(n, -1)
            wanted = continuous.mu_law(wanted) if leaf.companded else wanted
            assert np.abs(unit - np.clip(wanted, -1, 1)).max() <= 1 / 1024 + 1e-9
    assert at == tokens.shape[1]
    assert seen == layout.patches
