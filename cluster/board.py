"""TensorBoard events, written into the run directory itself.

tensorboardX writes them: torch.utils.tensorboard and TensorBoard's own writer import TensorFlow wherever it is
installed, which costs 0.45 GB in the process that does.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.config_files import flatten

GROUPS = ("charts", "losses", "eval", "replay", "policy", "time", "faults")


class Board:
    """Writes scalars and hyperparameters of one run. A resumed run goes on in the same directory.

    Args:
        folder: the run directory.
        resumed_at: the step that a resumed run starts from; points after it, of the run that ended, are hidden.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=resumed_at, flush_secs=10)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """One point for each tag, GROUP/NAME or GROUP/NAME/TASK; NaN (nothing to say) is left out.

        Raises:
            ValueError: when a tag is of no known group.
        """
        for tag, value in values.items():
            if tag.split("/", 1)[0] not in GROUPS:
                raise ValueError(f"tag '{tag}' must begin with one of {', '.join(GROUPS)}")
            if not math.isnan(value):
                self._writer.add_scalar(tag, value, step)

    def hyperparameters(self, config: Mapping[str, Any]) -> None:
        """The whole configuration, for TensorBoard's table of runs, in this run and not in a sub-run of its own."""
        from tensorboardX.summary import hparams

        for summary in hparams(flatten(config), {}):
            self._writer.file_writer.add_summary(summary)

    def close(self) -> None:
        """Writes out what is still in memory."""
        self._writer.close()
