"""Windows kept ready for the learner: one sampler thread for each table."""

import threading
import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from replay.errors import ReplayError, ReplayTimeout
from replay.interface import Replay
from replay.trajectory import ONLINE, Trajectory

AT_ONCE = 16  # windows in one request to the store
LOOK = 0.5  # seconds that a request waits before it says why there is nothing


class WindowStream:
    """Keeps windows of some tables ready, drops what is too old, and survives a server that dies and comes back.

    Args:
        replay: the store.
        tables: which tables to sample.
        prefetch: windows to keep ready for each table.
        max_policy_lag: drop online windows whose newest action is more than so many updates old; None keeps all.
        patience: seconds that the server may be gone before `windows` gives up.
    """

    def __init__(
        self,
        replay: Replay,
        tables: Sequence[str],
        prefetch: int = 64,
        max_policy_lag: int | None = None,
        patience: float = 60.0,
    ):
        self.current_update = 0
        """The learner's update; set by whoever trains."""
        self._max_lag = max_policy_lag
        self._patience = patience
        self._dropped = 0
        self._wait_seconds = 0.0
        self._handed = dict.fromkeys(tables, 0)
        self._ages: list[int] = []
        self._feeds = {table: _Feed(replay, table, prefetch) for table in tables}

    def windows(self, table: str, count: int, timeout: float | None = None) -> list[Trajectory]:
        """`count` windows of a table.

        Args:
            timeout: seconds to wait for a table that has nothing to give; None waits.

        Raises:
            ReplayTimeout: the server is alive, but there were not enough windows in time; says why.
            ReplayError: the server has been gone for longer than the stream's patience.
        """
        if table not in self._feeds:
            raise ReplayError(f"this stream does not sample table '{table}', only {', '.join(self._feeds)}")
        began, dropped = time.monotonic(), self._dropped
        taken: list[Trajectory] = []
        while len(taken) < count:
            left = None if timeout is None else timeout - (time.monotonic() - began)
            window = self._feeds[table].take(left, self._patience)
            if window is None:
                self._feeds[table].put_back(taken)
                raise ReplayTimeout(self._why(table, len(taken), count, timeout, self._dropped - dropped))
            if self._too_old(window):
                self._dropped += 1
            else:
                taken.append(window)
        self._wait_seconds += time.monotonic() - began
        self._handed[table] += count
        self._ages += [self.current_update - newest_update(window) for window in taken if window.source == ONLINE]
        return taken

    def stats(self) -> dict[str, float]:
        """Totals since the start, and the mean age in updates of the online windows handed out since the last call.

        Keys: dropped, wait_seconds, ready, age (NaN without online windows), samples/TABLE.
        """
        ages, self._ages = self._ages, []
        return {
            "dropped": float(self._dropped),
            "wait_seconds": self._wait_seconds,
            "ready": float(sum(feed.ready() for feed in self._feeds.values())),
            "age": float(np.mean(ages)) if ages else float("nan"),
            **{f"samples/{table}": float(count) for table, count in self._handed.items()},
        }

    def close(self) -> None:
        """Stops the threads; one that hangs in a call to a dead server is left behind (they are daemons)."""
        for feed in self._feeds.values():
            feed.close()

    def _too_old(self, window: Trajectory) -> bool:
        if self._max_lag is None or window.source != ONLINE:
            return False
        return self.current_update - newest_update(window) > self._max_lag

    def _why(self, table: str, have: int, count: int, timeout: float | None, dropped: int) -> str:
        text = f"table '{table}' gave {have} of {count} windows in {timeout} s"
        if dropped:
            text += f"; {dropped} were dropped as older than max_policy_lag {self._max_lag} (at {self.current_update})"
        reason = self._feeds[table].error
        return f"{text}. {reason}" if reason else text


class _Feed:
    """One table's thread and what it has ready."""

    def __init__(self, replay: Replay, table: str, prefetch: int):
        self._replay = replay
        self._table = table
        self._prefetch = prefetch
        self._ready: deque[Trajectory] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._gone_since: float | None = None
        self.error: ReplayError | None = None
        self._thread = threading.Thread(target=self._run, name=f"sample-{table}", daemon=True)
        self._thread.start()

    def take(self, timeout: float | None, patience: float) -> Trajectory | None:
        """The next window; None after `timeout` seconds on a live server."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._ready:
                now = time.monotonic()
                if self._gone_since is not None and now - self._gone_since > patience:
                    raise ReplayError(
                        f"no windows of table '{self._table}' for {now - self._gone_since:.0f} s: {self.error}"
                    ) from self.error
                if self._closed:
                    raise ReplayError(f"the stream of table '{self._table}' is closed")
                if deadline is not None and now >= deadline:
                    return None
                self._changed.wait(0.5 if deadline is None else min(0.5, deadline - now))
            window = self._ready.popleft()
            self._changed.notify_all()
            return window

    def put_back(self, windows: list[Trajectory]) -> None:
        with self._changed:
            self._ready.extendleft(reversed(windows))
            self._changed.notify_all()

    def ready(self) -> int:
        return len(self._ready)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                while len(self._ready) >= self._prefetch and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                # No more than is missing: the rate limiter would count samples that nobody trains on.
                count = min(AT_ONCE, self._prefetch - len(self._ready))
            began = time.monotonic()
            try:
                windows = self._replay.sample(self._table, count, timeout=LOOK)
            except ReplayTimeout as error:
                self._note(error, None)
            except ReplayError as error:
                self._note(error, began)
                time.sleep(0.2)
            else:
                with self._changed:
                    self._ready.extend(windows)
                    self.error = self._gone_since = None
                    self._changed.notify_all()

    def _note(self, error: ReplayError, gone_at: float | None) -> None:
        with self._changed:
            self.error = error
            self._gone_since = None if gone_at is None else (self._gone_since or gone_at)
            self._changed.notify_all()


def newest_update(window: Trajectory) -> int:
    """The update of the newest weights that acted in a window; -1 for demonstrations."""
    return int(window.versions[:, 1].max())


def split(fractions: dict[str, float], size: int) -> dict[str, int]:
    """Shares of `size` by largest remainder; ties go to the table named first. Tables with no share are left out.

    Raises:
        ValueError: when a fraction is negative or they do not sum to one.
    """
    if any(fraction < 0 for fraction in fractions.values()) or abs(sum(fractions.values()) - 1.0) > 1e-6:
        raise ValueError(f"fractions {fractions} must be at least 0 and sum to 1")
    exact = {table: fraction * size for table, fraction in fractions.items()}
    # Rounding first, so that 0.3 * 10 is 3 and not a whisker less.
    counts = {table: int(round(value, 6)) for table, value in exact.items()}
    by_remainder = sorted(exact, key=lambda table: counts[table] - round(exact[table], 6))
    for table in by_remainder[: size - sum(counts.values())]:
        counts[table] += 1
    return {table: count for table, count in counts.items() if count}
