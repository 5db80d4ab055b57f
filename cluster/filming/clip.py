"""A short clip of an evaluation's episode, small enough for TensorBoard's event files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

    from actors.film import Film

FPS = 12.0  # pictures a second, at most
FRAMES = 96  # pictures, at most
SECONDS = 5.0  # spent on drawing, at most: training waits for it
WIDTH = 192  # pixels, at most
STILLS = 6  # pictures of a strip
COLOURS = 96  # of a GIF, at most 256


@dataclass(frozen=True)
class Clip:
    """Files of one episode, and their sizes in pixels (width, height)."""

    task: str
    moving: bytes
    """A GIF."""
    size: tuple[int, int]
    strip: bytes
    """A PNG of stills from the first to the last, side by side."""
    strip_size: tuple[int, int]


def clip(film: "Film") -> Clip:
    """Of a film with at least one picture."""
    from PIL import Image

    images = [shrink(Image.fromarray(frame), WIDTH) for frame in film.frames]
    stills = strip(images)
    file = io.BytesIO()
    stills.save(file, "PNG", optimize=True)
    return Clip(film.task, gif(images, film.fps), images[0].size, file.getvalue(), stills.size)


def strip(images: Sequence["Image.Image"]) -> "Image.Image":
    """Stills from the first to the last, side by side."""
    from PIL import Image

    width, height = images[0].size
    chosen = np.linspace(0, len(images) - 1, min(STILLS, len(images))).round().astype(int)
    result = Image.new("RGB", (width * len(chosen), height))
    for place, index in enumerate(chosen):
        result.paste(images[index], (place * width, 0))
    return result


def shrink(image: "Image.Image", width: int) -> "Image.Image":
    """At no more than so many pixels of width."""
    if image.width <= width:
        return image
    return image.resize((width, max(1, round(image.height * width / image.width))))


def gif(images: Sequence["Image.Image"], fps: float) -> bytes:
    """Pictures of one size as a moving GIF that goes round for ever."""
    from PIL import Image

    file = io.BytesIO()
    # One palette of few colours for all pictures: fewer bytes, and no flicker.
    palette = strip(images).quantize(COLOURS)
    reduced = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    duration = max(20, 10 * round(100 / fps))  # milliseconds; the file counts hundredths of a second, players from 2 on
    reduced[0].save(file, "GIF", save_all=True, append_images=reduced[1:], duration=duration, loop=0)
    return file.getvalue()
