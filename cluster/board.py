"""TensorBoard events, written into the run directory itself.

tensorboardX writes them: torch.utils.tensorboard and TensorBoard's own writer import TensorFlow wherever it is
installed, which costs 0.45 GB in the process that does.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cluster.config_files import flatten

GROUPS = ("charts", "losses", "eval", "replay", "policy", "time", "faults")
OFFLINE = "offline"
"""Leads the tags of runs whose steps are updates, so that they never share a chart with environment steps."""


class Board:
    """Writes what one run shows. A resumed run goes on in the same directory.

    Args:
        folder: the run directory.
        resumed_at: the step that a resumed run starts from; points after it, of the run that ended, are hidden.
        offline: steps are updates and not environment steps.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None, offline: bool = False):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=resumed_at, flush_secs=10)
        self._offline = offline
        self._outlive_full_disk()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """One point for each tag, GROUP/NAME or GROUP/NAME/TASK; NaN (nothing to say) is left out.

        Raises:
            ValueError: when a tag is of no known group.
        """
        for tag, value in values.items():
            if not math.isnan(value):
                self._writer.add_scalar(self._tag(tag), value, step)

    def histograms(self, values: Mapping[str, np.ndarray], step: int) -> None:
        """The distribution of float arrays [n], by tag; empty ones are left out. Raises as `scalars`."""
        for tag, numbers in values.items():
            if len(numbers):
                self._writer.add_histogram(self._tag(tag), numbers, step, bins="auto")

    def image(self, tag: str, file: bytes, size: tuple[int, int], step: int) -> None:
        """A PNG or a moving GIF as it would stand in a file, (width, height) pixels big. Raises as `scalars`."""
        from tensorboardX.proto.summary_pb2 import Summary

        image = Summary.Image(width=size[0], height=size[1], colorspace=3, encoded_image_string=file)
        self._writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=self._tag(tag), image=image)]), step)

    def card(self, name: str, markdown: str, step: int = 0) -> None:
        """A text in Markdown, under TEXT."""
        self._writer.add_text(f"run/{name}", markdown, step)

    def charts(self, layout: Mapping[str, Mapping[str, list[str]]]) -> None:
        """The page CUSTOM SCALARS: charts by category, each with the tags (regular expressions) that it shows."""
        lead = f"{OFFLINE}/" if self._offline else ""
        self._writer.add_custom_scalars(
            {
                category: {title: ["Multiline", [f"^{lead}{tag}$" for tag in tags]] for title, tags in charts.items()}
                for category, charts in layout.items()
            }
        )

    def hyperparameters(self, config: Mapping[str, Any], metrics: list[str]) -> None:
        """The whole configuration, for TensorBoard's table of runs, in this run and not in a sub-run of its own.

        Args:
            metrics: tags of scalars that stand beside the settings. TensorBoard takes those of one run for all that it
                shows, so they are named as runs online and offline call them.
        """
        from tensorboardX.summary import hparams

        both = [lead + tag for lead in ("", f"{OFFLINE}/") for tag in metrics]
        # The third, that the session has ended, is for `close`: it would be false now.
        for summary in hparams(flatten(config), dict.fromkeys(both))[:2]:
            self._writer.file_writer.add_summary(summary)

    def close(self, ended: bool = False) -> None:
        """Writes out what is still in memory, and in the table of runs that the run has ended if it has."""
        from tensorboardX.summary import hparams

        if ended:
            self._writer.file_writer.add_summary(hparams({}, {})[2])
        self._writer.close()

    def _outlive_full_disk(self) -> None:
        """tensorboardX writes in a thread that ends at its first error, and then whoever adds points waits for ever."""
        writer = self._writer.file_writer.event_writer._ev_writer
        for name in ("write_event", "flush"):
            setattr(writer, name, _without_errors(getattr(writer, name)))

    def _tag(self, tag: str) -> str:
        if tag.split("/", 1)[0] not in GROUPS:
            raise ValueError(f"tag '{tag}' must begin with one of {', '.join(GROUPS)}")
        return f"{OFFLINE}/{tag}" if self._offline else tag


def _without_errors(write: Callable[..., None]) -> Callable[..., None]:
    """The same, but a point for which there is no room on the disk is lost."""

    def attempt(*arguments: Any) -> None:
        with contextlib.suppress(OSError):
            write(*arguments)

    return attempt
