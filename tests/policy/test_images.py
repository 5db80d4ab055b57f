"""Images: which boxes are images, how they become patches, where a patch lies, and what never happens (cropping)."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import SpaceError, TokenError
from policy.images import ImageShape, image_shape, resize
from policy.layout import Layout
from policy.text import TextTokenizer
from policy.vocabulary import DEFAULT

TWO = {"kind": "discrete", "n": 2, "start": 0}


def image(*shape: int, dtype: str = "uint8", high: float = 255.0) -> dict:
    return {"kind": "box", "shape": list(shape), "low": [0.0], "high": [high], "dtype": dtype}


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_patches_come_in_raster_order():
    frame = pixels(2, 32, 48, 3)
    patches = ImageShape(1, 32, 48, 3).cut(frame)
    assert patches.shape == (2, 6, 16, 16, 3)
    for at, (row, column) in enumerate((row, column) for row in (0, 16) for column in (0, 16, 32)):
        assert np.array_equal(patches[:, at], frame[:, row : row + 16, column : column + 16])


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.integers(1, 3))
def test_every_pixel_is_kept_and_padding_is_zero(height, width, channels, frames):
    shape = ImageShape(frames, height, width, channels)
    values = pixels(2, frames, height, width, channels)
    rows, columns = -(-height // 16), -(-width // 16)
    patches = shape.cut(values).reshape(2, frames, rows, columns, 16, 16, 3)
    whole = patches.transpose(0, 1, 2, 4, 3, 5, 6).reshape(2, frames, rows * 16, columns * 16, 3)
    assert np.array_equal(whole[:, :, :height, :width], np.broadcast_to(values, (*values.shape[:-1], 3)))
    assert not whole[:, :, height:].any()
    assert not whole[:, :, :, width:].any()


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((64, 80), (1, 64, 80, 1)),
        ((64, 80, 1), (1, 64, 80, 1)),
        ((64, 80, 3), (1, 64, 80, 3)),
        ((4, 84, 84), (4, 84, 84, 1)),
        ((2, 64, 80, 3), (2, 64, 80, 3)),
        ((7, 7, 3), (1, 7, 7, 3)),
    ],
)
def test_what_an_image_is(shape, found):
    assert image_shape(shape) == found
    layout = Layout("toy/image", image(*shape), TWO)
    assert layout.patches == layout.observation_tokens == ImageShape(*found).patches


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (image(64, 80, 4), r"an image of shape \[64, 80, 4\]"),
        (image(3, 64, 80), r"channels first or is a stack of three grey frames"),
        (image(84, 84, 17), r"an image of shape \[84, 84, 17\]"),
        (image(1, 2, 3, 4, 5), r"an image of shape"),
        (image(64, 80, 3, dtype="float32", high=1.0), r"dtype float32 from 0 to 1; images are uint8"),
        (image(64, 80, 3, dtype="int64", high=255.0), r"dtype int64"),
    ],
)
def test_other_images_are_refused_by_name(space, message):
    nested = {"kind": "dict", "spaces": {"camera": space}}
    with pytest.raises(SpaceError, match=f"toy/bad: key 'camera'.*{message}"):
        Layout("toy/bad", nested, TWO)
    with pytest.raises(SpaceError, match="toy/bad"):
        Layout("toy/bad", TWO, space)


def test_integers_with_other_bounds_are_no_image():
    assert Layout("toy/grid", image(5, 4, high=9.0), TWO).patches == 0


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([16, 32, 48]), st.sampled_from([16, 48]))
def test_resizing_equals_torch(height, width, rows, columns):
    frame = pixels(1, height, width, 3)
    mine = resize(frame, rows, columns).astype(int)
    plain = torch.from_numpy(frame.transpose(0, 3, 1, 2)).double()
    theirs = torch.nn.functional.interpolate(plain, (rows, columns), mode="bilinear", antialias=True)
    assert np.abs(mine - theirs.numpy().transpose(0, 2, 3, 1)).max() <= 0.51


def test_a_layout_can_resize():
    layout = Layout("toy/atari", image(210, 160, 3), TWO, image_size=(64, 80))
    assert layout.step_tokens == 22  # as in the paper
    frame = pixels(2, 210, 160, 3)
    expected = ImageShape(1, 64, 80, 3).cut(resize(frame, 64, 80))
    assert np.array_equal(layout.encode_patches(frame), expected)
    again = Layout.from_json(layout.to_json())
    assert np.array_equal(again.encode_patches(frame), expected)
    with pytest.raises(SpaceError, match=r"image_size \[60, 80\]"):
        Layout("toy/atari", image(210, 160, 3), TWO, image_size=(60, 80))


def test_intervals_cover_the_image_and_stay_within_their_tables():
    for rows in range(1, 140):
        bounds = ImageShape(1, 16 * rows, 16, 3).intervals[:, 0]  # [patches, first and last]
        assert bounds[0, 0] == 0
        assert bounds[-1, 1] == 127  # 128/128 would lie past a table of 128
        assert (bounds[:, 0] <= bounds[:, 1]).all()
        assert (bounds[1:, 0] == np.minimum(bounds[:-1, 1], 127)).all()
    grid = ImageShape(2, 64, 80, 3).intervals
    assert grid.shape == (40, 2, 2)
    assert grid[6].tolist() == [[32, 64], [26, 51]]  # second row of four, second column of five
    assert np.array_equal(grid[:20], grid[20:])


def test_an_image_lies_between_text_and_tensors():
    space = {
        "kind": "dict",
        "spaces": {
            "a": {"kind": "discrete", "n": 3, "start": 0},
            "b": image(16, 32, 3),
            "c": {"kind": "text", "max_length": 30},
            "d": {"kind": "tuple", "spaces": [image(16, 16), TWO]},
        },
    }
    layout = Layout("toy/all", space, TWO, text=TextTokenizer.default(), text_tokens=8)
    assert [leaf.name for leaf in layout.observation_leaves] == ["c", "b", "d/0", "a", "d/1"]
    observation = {
        "a": np.array([1, 2]),
        "b": pixels(2, 16, 32, 3),
        "c": ["go to the red ball", "open the door"],
        "d": (pixels(2, 16, 16), np.array([0, 1])),
    }
    tokens, patches = layout.encode_observation(observation), layout.encode_patches(observation)
    assert tokens.shape == (2, 8 + 2 + 1 + 2)
    assert (tokens[:, 8:11] == DEFAULT.patch).all()
    assert not (tokens[:, :8] == DEFAULT.patch).any()
    assert patches.shape == (2, 3, 16, 16, 3)
    assert layout.patch_intervals.shape == (3, 2, 2)
    assert np.array_equal(patches[:, 1], observation["b"][:, :, 16:])
    assert np.array_equal(patches[:, 2], np.repeat(observation["d"][0][..., None], 3, axis=-1))


def test_pixels_of_another_dtype_or_shape_are_refused():
    layout = Layout("toy/image", {"kind": "dict", "spaces": {"camera": image(16, 16, 3)}}, TWO)
    with pytest.raises(TokenError, match="toy/image, key 'camera': an image of float32"):
        layout.encode_patches({"camera": np.zeros((2, 16, 16, 3), dtype=np.float32)})
    with pytest.raises(TokenError, match="toy/image, key 'camera': expected shape"):
        layout.encode_patches({"camera": pixels(2, 16, 16, 4)})
    assert Layout("toy/none", TWO, TWO).encode_patches(np.array([0, 1, 1])).shape == (3, 0, 16, 16, 3)
