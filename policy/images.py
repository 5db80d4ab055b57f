"""Images as patches of 16x16 pixels in raster order (Gato, arXiv 2205.06175, section 2.1).

What an image is: a uint8 Box with bounds 0 and 255 and a shape of [height, width] (grey), [height, width, 1] (grey),
[height, width, 3] (RGB), [k, height, width] (a stack of k grey frames, 2 <= k <= 16), or [k, height, width, 1 or 3].
Grey is repeated to RGB; the frames of a stack are images one after the other. Channels come last: a shape of
[3, height, width] could be three frames or one image with its channels first, so it is refused.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

PATCH = 16  # pixels along each side
INTERVALS = 128  # rows of the tables that patch intervals point into
MOST_FRAMES = 16


@dataclass(frozen=True)
class ImageShape:
    """How the images of one leaf become patches.

    Args:
        frames: images in a value.
        height, width: of each, in pixels.
        channels: 1 or 3.
        size: height and width, multiples of 16, to which images are resized; None pads them at the bottom and the right
            with zeros up to the next multiples. Nothing is ever cropped.
    """

    frames: int
    height: int
    width: int
    channels: int
    size: tuple[int, int] | None = None

    @property
    def rows(self) -> int:
        """Patches from top to bottom."""
        return -(-(self.size[0] if self.size else self.height) // PATCH)

    @property
    def columns(self) -> int:
        """Patches from left to right."""
        return -(-(self.size[1] if self.size else self.width) // PATCH)

    @property
    def patches(self) -> int:
        """In all frames."""
        return self.frames * self.rows * self.columns

    @cached_property
    def intervals(self) -> np.ndarray:
        """Where each patch lies in its image: first and last index, in 1/128 of its height and width, of rows and of
        columns. int32 [patches, 2 (row, column), 2 (first, last)]; the last is at most 127."""
        down, across = _intervals(self.rows), _intervals(self.columns)  # [rows, 2], [columns, 2]
        grid = np.stack(
            [np.repeat(down, self.columns, axis=0), np.tile(across, (self.rows, 1))], axis=1
        )  # [rows * columns, 2, 2]
        return np.tile(grid, (self.frames, 1, 1)).astype(np.int32)

    def cut(self, images: np.ndarray) -> np.ndarray:
        """Values of n steps, uint8 [n, ...] in the leaf's shape, to patches uint8 [n, patches, 16, 16, 3]."""
        n = len(images)
        pixels = images.reshape(n * self.frames, self.height, self.width, self.channels)
        if self.size is not None and self.size != (self.height, self.width):
            pixels = resize(pixels, *self.size)
        height, width = self.rows * PATCH, self.columns * PATCH
        below, right = height - pixels.shape[1], width - pixels.shape[2]
        if below or right:
            padded = np.zeros((n * self.frames, height, width, self.channels), dtype=np.uint8)
            padded[:, : pixels.shape[1], : pixels.shape[2]] = pixels
            pixels = padded
        # 16 pixels beside each other move as one element: several times as fast as one by one.
        across = np.dtype((np.void, PATCH * self.channels))
        pixels = np.ascontiguousarray(pixels).reshape(n * self.frames, self.rows, PATCH, width * self.channels)
        moved = pixels.view(across).transpose(0, 1, 3, 2)  # [n * frames, rows, columns, 16]
        pixels = np.ascontiguousarray(moved).view(np.uint8)
        if self.channels == 3:
            return pixels.reshape(n, self.patches, PATCH, PATCH, 3)
        patches = np.empty((n, self.patches, PATCH, PATCH, 3), dtype=np.uint8)
        grey = pixels.reshape(patches.shape[:-1])
        for channel in range(3):  # three times as fast as np.repeat
            patches[..., channel] = grey
        return patches


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Frames, height, width and channels of an image leaf of this shape.

    Raises:
        ValueError: for a shape that is none of those above; says why.
    """
    if len(shape) == 2:
        return 1, *shape, 1
    if len(shape) == 3 and shape[-1] in (1, 3):
        return 1, *shape
    if len(shape) == 3 and shape[0] == 3 and shape[-1] > 4:
        raise ValueError(
            f"an image of shape {list(shape)}, which has its channels first or is a stack of three grey frames; move "
            "the channels last, or make it [3, height, width, 1]"
        )
    if len(shape) == 3 and 2 <= shape[0] <= MOST_FRAMES and shape[-1] > MOST_FRAMES:
        return *shape, 1
    if len(shape) == 4 and shape[-1] in (1, 3):
        return shape[0], shape[1], shape[2], shape[3]
    raise ValueError(
        f"an image of shape {list(shape)}; images are [height, width] or [height, width, 1 or 3], and stacks of k of "
        f"them [k, height, width] (k from 2 to {MOST_FRAMES}) or [k, height, width, 1 or 3]"
    )


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Images uint8 [n, h, w, c] to [n, height, width, c], by bilinear interpolation, averaging where they shrink."""
    down, across = _weights(pixels.shape[1], height), _weights(pixels.shape[2], width)
    scaled = np.einsum("yh,nhwc->nywc", down, pixels.astype(np.float32), optimize=True)
    scaled = np.einsum("xw,nywc->nyxc", across, scaled, optimize=True)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _weights(before: int, after: int) -> np.ndarray:
    """Each new pixel's weights of the old ones, a triangle around its centre. float32 [after, before]."""
    scale = before / after
    centre = (np.arange(after) + 0.5) * scale - 0.5
    reach = max(scale, 1.0)
    distance = np.abs(np.arange(before) - centre[:, None]) / reach
    weights = np.clip(1.0 - distance, 0.0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _intervals(count: int) -> np.ndarray:
    """First and last index, in 1/128, of each of `count` equal parts. int64 [count, 2]."""
    borders = np.rint(np.arange(count + 1) / count * INTERVALS).astype(np.int64)
    return np.minimum(np.stack([borders[:-1], borders[1:]], axis=1), INTERVALS - 1)
