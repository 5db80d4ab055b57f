"""Images in Minari datasets without loss, readable by Minari's own loader.

Minari writes every uint8 array of two or three dimensions as JPEG, which changes pixels, and reads files of any format
that Pillow knows back from Boxes that it takes for images (at least 32 by 32 pixels).
"""

import io
from collections.abc import Iterator

import numpy as np


def pngs(images: np.ndarray) -> list[np.ndarray]:
    """Images uint8 [n, height, width(, channels)] as PNG files of one length, uint8 [bytes] each.

    What follows a PNG's end is ignored by whoever reads it. Minari stores vectors as they are.
    """
    from PIL import Image

    files = []
    for image in images.squeeze(-1) if images.shape[-1] == 1 else images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="PNG", compress_level=1)
        files.append(np.frombuffer(buffer.getvalue(), dtype=np.uint8))
    longest = max(len(file) for file in files)
    return [np.pad(file, (0, longest - len(file))) for file in files]


class Plain:
    """A uint8 array that Minari does not take for images: a sequence of its rows."""

    def __init__(self, values: np.ndarray):
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self._values)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._values[index]

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self._values
