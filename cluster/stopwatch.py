"""Seconds that a run has trained, over all the times that its command was given."""

import contextlib
import time
from collections.abc import Iterator


class Stopwatch:
    """Runs from its making on.

    Args:
        before: seconds of the times before.
    """

    def __init__(self, before: float = 0.0):
        self._begun = time.monotonic() - before

    @property
    def seconds(self) -> float:
        """So far, pauses left out."""
        return time.monotonic() - self._begun

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time in here does not count."""
        stopped = time.monotonic()
        try:
            yield
        finally:
            self._begun += time.monotonic() - stopped
