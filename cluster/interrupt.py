"""Ctrl-C and SIGTERM as a request to stop: the loop ends after its update, writes a checkpoint, closes processes."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

INTERRUPTED = 130  # exit status, as shells have it for SIGINT


class Interrupted(SystemExit):
    """Ends the command after a run was stopped by a signal and has its checkpoint; says so on standard error."""

    def __init__(self, message: str):
        super().__init__(INTERRUPTED)
        print(message, file=sys.stderr, flush=True)


class StopRequest:
    """False until somebody asks to stop."""

    def __init__(self) -> None:
        self.requested = False

    def __bool__(self) -> bool:
        return self.requested


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """A StopRequest that the first SIGINT or SIGTERM sets; the second one raises KeyboardInterrupt.

    Outside the main thread, where Python delivers no signals, nothing is caught.
    """
    stop = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        print("Stopping after a checkpoint; once more to stop at once.", file=sys.stderr, flush=True)

    with _handled(handle, signal.SIGINT, signal.SIGTERM):
        yield stop


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that whoever holds processes stops them before it ends.

    Outside the main thread, where Python delivers no signals, nothing changes.
    """
    with _handled(signal.default_int_handler, signal.SIGTERM):
        yield


@contextlib.contextmanager
def _handled(handle: Callable[[int, FrameType | None], Any], *numbers: signal.Signals) -> Iterator[None]:
    """These signals are handled so for a while; outside the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
