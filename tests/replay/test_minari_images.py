"""Pixels come back from Minari as they went in, through its own loader and through ours."""

import minari
import numpy as np
import pytest
from gymnasium import spaces

from actors.spaces import describe
from policy.layout import Layout
from replay.demonstrations import Recorder, load

SHAPES = {
    "rgb": (64, 80, 3),
    "grey": (40, 33),
    "one_channel": (40, 33, 1),
    "frames": (4, 36, 36),
    "colour_frames": (2, 32, 32, 3),
    "small": (7, 7, 3),
    "vector": (5,),
}
OBSERVATION = spaces.Dict({name: spaces.Box(0, 255, shape, np.uint8) for name, shape in SHAPES.items()})


@pytest.fixture
def recorded(minari_home):
    """Two episodes of random pixels, recorded; their observations stacked by key."""
    random, episodes = np.random.default_rng(0), []
    with Recorder(
        "toy/pixels-v0", OBSERVATION, spaces.Discrete(2), task="toy/pixels", quality="random", expert="none", seed=0
    ) as recorder:
        for steps in (4, 3):
            pixels = {
                name: random.integers(0, 256, (steps + 1, *shape)).astype(np.uint8) for name, shape in SHAPES.items()
            }
            each = [{name: values[step] for name, values in pixels.items()} for step in range(steps + 1)]
            recorder.add(each, [0] * steps, [1.0] * steps, True, False)
            episodes.append(pixels)
    return episodes


def test_minaris_own_loader_reads_the_same_pixels(recorded):
    for wanted, episode in zip(recorded, minari.load_dataset("toy/pixels-v0").iterate_episodes(), strict=True):
        for name, pixels in wanted.items():
            found = np.asarray(episode.observations[name])
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)


def test_demonstrations_carry_the_patches_of_every_step(recorded):
    layout = Layout("toy/pixels", describe(OBSERVATION, "toy/pixels"), {"kind": "discrete", "n": 2, "start": 0})
    for wanted, episode in zip(recorded, load("toy/pixels-v0", layout), strict=True):
        episode.check()
        patches = layout.encode_patches(wanted)
        np.testing.assert_array_equal(episode.patches, patches[:-1])
        np.testing.assert_array_equal(episode.tail_patches, patches[-1])
        np.testing.assert_array_equal(episode.patch_intervals, layout.patch_intervals)
        part = episode.slice(1, 3)
        part.check()
        np.testing.assert_array_equal(part.patches, patches[1:3])
        np.testing.assert_array_equal(part.tail_patches, patches[3])
