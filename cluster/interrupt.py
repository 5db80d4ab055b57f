"""Ctrl-C and SIGTERM as a request to stop: the loop ends after its update, writes a checkpoint, closes processes."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

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

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that whoever holds processes stops them before it ends.

    Outside the main thread, where Python delivers no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
