"""Where a process spends its time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timing:
    """Seconds by name. Written by one thread, readable from any."""

    def __init__(self, *names: str):
        self.seconds = dict.fromkeys(names, 0.0)

    @contextmanager
    def add(self, name: str) -> Iterator[None]:
        """Adds the time that the block takes."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - began
