"""The live view of `ocelot finetune` on a terminal; plain lines where there is none."""

import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TextIO

from cluster.progress import Progress, console
from cluster.watching.panels import Shown, panels


class LiveRun:
    """Shows how a run goes. A context manager; what it shows of each process are the scalars that TensorBoard gets.

    Args:
        name: of the run.
        tasks: their names.
        total: learner updates in all.
        done: of them, by an earlier command.
        stream: where to write; standard error by default.
    """

    def __init__(self, name: str, tasks: Sequence[str], total: int, done: int = 0, stream: TextIO | None = None):
        stream = stream or sys.stderr
        self._shown = Shown(name, list(tasks))
        self._progress = Progress(f"Fine-tuning {name}", total, "updates", done=done, stream=stream)
        self._live: Any = None
        if stream.isatty():
            from rich.live import Live

            # The panels are drawn by rich's own thread, four times a second, from what was told last.
            self._live = Live(get_renderable=lambda: panels(self._shown), console=console(stream), refresh_per_second=4)

    def __enter__(self) -> "LiveRun":
        if self._live:
            self._live.start()
        self._progress.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.__exit__(kind, error, at)
        if self._live:
            self._live.stop()

    def update(self, done: int, env_steps: int) -> None:
        """Learner updates and environment steps so far."""
        self._progress.update(done, f"{env_steps:,} environment steps")

    def scalars(self, values: Mapping[str, float]) -> None:
        """Takes in scalars by tag; those that are missing stay as they were."""
        self._shown.take(values)
