"""Pictures into a video file: MP4 or GIF, by the file's name."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cluster.filming.clip import gif
from cluster.rundir import writing
from policy.errors import OcelotError

if TYPE_CHECKING:
    from PIL import Image

KINDS = (".mp4", ".gif")
GAP = 4  # pixels between pictures


class VideoError(OcelotError):
    """A video that cannot be made as asked."""


def check(file: Path) -> None:
    """Raises VideoError for a name that is neither MP4 nor GIF, before anything is played."""
    if file.suffix.lower() not in KINDS:
        raise VideoError(f"--out {file}: a video is written as {' or '.join(KINDS)}; name the file so")


def write(file: Path, images: Sequence["Image.Image"], fps: float) -> None:
    """Writes a video; the file appears whole or not at all.

    Args:
        images: of one size.
        fps: of them.

    Raises:
        VideoError, RunError: it cannot be written.
    """
    new = file.with_name(f".{file.name}")
    try:
        with writing(file.parent):
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix.lower() == ".gif":
                new.write_bytes(gif(images, fps))
            else:
                _mp4(new, images, fps)
            new.replace(file)
    except OSError as error:
        raise VideoError(f"{file} cannot be written: {error}") from None
    finally:
        if new.exists():
            new.unlink()


def tile(pictures: Sequence[Sequence["Image.Image"]]) -> "Image.Image":
    """Rows of pictures as one, each column as wide and each row as high as its largest, with a gap between them."""
    from PIL import Image

    widths = [max(row[at].width for row in pictures) for at in range(len(pictures[0]))]
    heights = [max(picture.height for picture in row) for row in pictures]
    size = sum(widths) + GAP * (len(widths) - 1), sum(heights) + GAP * (len(heights) - 1)
    result = Image.new("RGB", size)
    for y, row in enumerate(pictures):
        for x, picture in enumerate(row):
            result.paste(picture, (sum(widths[:x]) + GAP * x, sum(heights[:y]) + GAP * y))
    return result


def _mp4(file: Path, images: Sequence["Image.Image"], fps: float) -> None:
    import imageio_ffmpeg

    width, height = images[0].size
    # H.264 in the pixel format that every player knows has even sides: a column or row of the edge is left out.
    size = width - width % 2, height - height % 2
    frames: Iterator[np.ndarray] = (np.asarray(image)[: size[1], : size[0]] for image in images)
    writer = imageio_ffmpeg.write_frames(str(file), size, fps=fps, macro_block_size=2, output_params=["-f", "mp4"])
    writer.send(None)
    try:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()
