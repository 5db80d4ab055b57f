"""How far long work is, at which rate, and how long it takes still: a bar on a terminal, plain lines elsewhere."""

import functools
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

LINE_SECONDS = 15.0  # between two plain lines: a log stays readable


class Progress:
    """Shows `done` of `total`. A context manager; `update` costs next to nothing, so call it often.

    Args:
        what: what is going on, a few words.
        total: units of work in all.
        unit: their name in the plural.
        done: units that an earlier run has done; they do not count for the rate.
        stream: where to write; standard error by default.
        clock: seconds.
    """

    def __init__(
        self,
        what: str,
        total: int,
        unit: str,
        done: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self._before = done
        self._stream = stream or sys.stderr
        self._clock = clock
        self._note = ""
        self._bar = None if not self._stream.isatty() else _Bar(self._stream)
        self._started = self._printed = clock()

    def __enter__(self) -> "Progress":
        self._started = self._printed = self._clock()
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        refused = error is not None and self.done == self._before  # the error says all that there is to say
        if self._bar:
            self._bar.show(self._line(), self.done, self.total, visible=not refused)
            self._bar.stop()
        elif not refused:
            print(self._line(), file=self._stream, flush=True)

    def update(self, done: int, note: str = "") -> None:
        """Sets how much is done in all; the note (a loss, a return) stands behind it."""
        self.done, self._note = done, note
        if self._bar:
            self._bar.show(self._line(), self.done, self.total)
        elif self._clock() - self._printed >= LINE_SECONDS:
            self._printed = self._clock()
            print(self._line(), file=self._stream, flush=True)

    def _line(self) -> str:
        passed = self._clock() - self._started
        rate = (self.done - self._before) / passed if passed > 0 else 0.0
        parts = [f"{self.what}: {self.done:,} of {self.total:,} {self.unit}"]
        if rate > 0:
            parts.append(f"{rate:,.1f}/s")
        if rate > 0 and self.done < self.total:
            parts.append(f"{duration((self.total - self.done) / rate)} left")
        elif self.done >= self.total:
            parts.append(f"in {duration(passed)}")
        return ", ".join(parts) + (f"; {self._note}" if self._note else "")


@functools.cache
def console(stream: TextIO) -> Any:
    """The one rich console of a stream: bars and live views on it are shown together, one below the other."""
    from rich.console import Console

    return Console(file=stream)


class _Bar:
    """A rich bar; rich is imported only where one is shown."""

    def __init__(self, stream: TextIO):
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = BarColumn(bar_width=24), TextColumn("{task.description}")
        self._rich = RichProgress(*columns, console=console(stream), refresh_per_second=4)
        self._task = self._rich.add_task("", total=1)

    def start(self) -> None:
        self._rich.start()

    def show(self, line: str, done: int, total: int, visible: bool = True) -> None:
        self._rich.update(self._task, description=line, completed=done, total=total, visible=visible)

    def stop(self) -> None:
        self._rich.stop()


def duration(seconds: float) -> str:
    """ "2 h 03 min", "4 min 05 s", "7 s"."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s"
