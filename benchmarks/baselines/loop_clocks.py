"""Counting what other libraries do, from outside."""

import functools
import time
from collections.abc import Callable
from typing import Any

from cluster.bench.loop_simulators import Clock


def clock_in(owner: Any, name: str, part: str, read: Callable[[], float] = time.thread_time) -> None:
    """Counts every call of a method of an object or class, with a clock for `part`."""
    method, clock = getattr(owner, name), Clock(part, read)

    @functools.wraps(method)
    def counted(*arguments: Any, **named: Any) -> Any:
        with clock:
            return method(*arguments, **named)

    setattr(owner, name, counted)
