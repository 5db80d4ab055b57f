"""Keeps the table `expert` filled from disk while a policy is fine-tuned."""

import threading
from collections.abc import Iterator

from policy.errors import OcelotError
from replay.errors import ReplayError
from replay.interface import Replay
from replay.trajectory import Trajectory

AT_ONCE = 64  # windows written between looks at the table
PAUSE = 0.5  # seconds between looks once the table is full


class Feeder:
    """A thread that fills a table, then replaces windows as they are used, so that data larger than the table serves.

    A window is sampled once, on average, before another takes its place. With more uses, what the table holds at a time
    would be learned by heart where the data is much larger.

    Args:
        replay: the store. The table should have no samples_per_insert: the feeder itself keeps to what is sampled.
        windows: without end; a `DemonstrationStream`.
        table: to fill.
    """

    def __init__(self, replay: Replay, windows: Iterator[Trajectory], table: str = "expert"):
        self._replay = replay
        self._windows = windows
        self._table = table
        self._stop = threading.Event()
        self._full = threading.Event()
        self._failure: OcelotError | None = None
        self._thread = threading.Thread(target=self._run, name=f"feed-{table}", daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> bool:
        """Waits until the table has been full once; false when it is not so within `timeout` seconds.

        Raises:
            OcelotError: as `check`.
        """
        full = self._full.wait(timeout)
        self.check()
        return full

    def check(self) -> None:
        """Raises what ended the feeder: a damaged dataset, say. A dead server does not; the feeder waits for it."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stops the thread."""
        self._stop.set()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        writer = None
        while not self._stop.is_set():
            try:
                if writer is None:
                    writer = self._replay.writer(self._table)
                info = self._replay.info()[self._table]
                # A server that came back empty has begun to count anew, so this fills it again.
                missing = info.max_size + info.samples - info.inserts
                if missing > 0:
                    batch = [next(self._windows) for _ in range(min(AT_ONCE, missing))]
                    writer.write(batch, timeout=5.0)
                    writer.flush(timeout=5.0)
                    continue
                self._full.set()
            except ReplayError:
                pass  # the server is gone or busy for now; the windows stay queued in the writer
            except OcelotError as error:
                self._failure = error
                self._full.set()
                return
            self._stop.wait(PAUSE)
