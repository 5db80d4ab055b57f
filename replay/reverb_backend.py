"""Replay over a Reverb server. Importing this costs about 0.45 GB and two seconds; only who writes or samples does."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow loads, or it greets every process

import threading
import time
from collections import deque

import numpy as np
import reverb
from reverb import pybind

from replay.errors import ReplayError, ReplayTimeout
from replay.interface import TableInfo
from replay.messages import no_room, no_table, nothing_to_sample
from replay.packing import decode, encode
from replay.trajectory import Trajectory

IN_FLIGHT = 40  # unconfirmed windows of a writer; unbounded, its memory and the server's grow (Reverb warns from 50)
BUFFER = 64  # windows that a sampler asks the server for ahead of need
TICK = 1.0  # seconds between looks whether the server still answers


class ReverbReplay:
    """`Replay` over a Reverb server; see `replay.interface.connect`.

    A dead server is silent: sampling from it hangs without an error, for ever. So samples are drawn in threads of their
    own, and whoever waits for them asks now and then whether the server still answers.
    """

    def __init__(self, target: str, patience: float):
        self.address = f"reverb://{target}"
        self._target = target
        self._patience = patience
        self._client = reverb.Client(target)
        self._samplers: dict[str, _Sampler] = {}
        self._lock = threading.Lock()
        self._gone_since: float | None = None

    def writer(self, table: str) -> "ReverbWriter":
        self._known(table, self._patience)
        return ReverbWriter(self, self._client, table)

    def sample(self, table: str, count: int, timeout: float | None = None) -> list[Trajectory]:
        if table not in self._samplers:
            self._known(table, self._patience if timeout is None else timeout)
        with self._lock:
            sampler = self._samplers.get(table) or _Sampler(self._target, table)
            self._samplers[table] = sampler
        deadline = None if timeout is None else time.monotonic() + timeout
        watch = Watch(self, deadline)
        while True:
            windows = sampler.take(count, watch.next_look())
            if windows is not None:
                return windows
            info = watch.look()
            if info and watch.over():
                raise ReplayTimeout(nothing_to_sample(table, info[table], sampler.ready(), count, timeout))

    def info(self, timeout: float = 10.0) -> dict[str, TableInfo]:
        asked = time.time()
        try:
            # Whole seconds, and 0 would wait for ever.
            tables = self._client.server_info(timeout=max(1, round(timeout)))
        except (reverb.errors.ReverbError, RuntimeError) as error:
            self._gone_since = self._gone_since or asked
            raise ReplayError(
                f"the replay server at {self.address} has not answered since "
                f"{time.strftime('%H:%M:%S', time.localtime(self._gone_since))} ({time.time() - self._gone_since:.0f} "
                "s). The process that started it restarts it on the same port, and clients find it again after about "
                "as long as it was away; if it stays away, see its log (replay.log in the run's directory), or check "
                "that its machine is up and the port is open"
            ) from error
        self._gone_since = None
        return {
            name: TableInfo(
                size=table.current_size,
                max_size=table.max_size,
                min_size=table.rate_limiter_info.min_size_to_sample,
                inserts=table.rate_limiter_info.insert_stats.completed,
                samples=table.rate_limiter_info.sample_stats.completed,
            )
            for name, table in tables.items()
        }

    def checkpoint(self) -> str:
        self.info()  # the call below would wait for ever on a dead server
        try:
            return self._client.checkpoint()
        except RuntimeError as error:
            raise ReplayError(f"the replay server at {self.address} wrote no checkpoint: {error}") from error

    def close(self) -> None:
        with self._lock:
            for sampler in self._samplers.values():
                sampler.close()
            self._samplers.clear()

    @property
    def patience(self) -> float:
        return self._patience

    def _known(self, table: str, timeout: float) -> None:
        tables = self.info(timeout)
        if table not in tables:
            raise no_table(table, list(tables))


class Watch:
    """Whoever waits on the server looks now and then whether it is alive, until a deadline or patience ends."""

    def __init__(self, replay: ReverbReplay, deadline: float | None):
        self._replay = replay
        self._deadline = deadline
        self._gone_since: float | None = None

    def next_look(self) -> float:
        """Seconds to wait before the next look."""
        left = TICK if self._deadline is None else self._deadline - time.monotonic()
        return min(TICK, max(left, 0.001))

    def over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def look(self) -> dict[str, TableInfo]:
        """State of a live server; {} while a dead one may still come back.

        Raises:
            ReplayError: when it is gone and there is no time left.
        """
        asked = time.monotonic()
        try:
            info = self._replay.info(TICK)
        except ReplayError as error:
            since = self._gone_since = self._gone_since or asked
            gone = time.monotonic() - since
            if self.over() or gone > self._replay.patience:
                raise error
            return {}
        self._gone_since = None
        return info


class ReverbWriter:
    """`Writer` to one table: an item is one window, a single string of bytes, so windows of all shapes fit."""

    def __init__(self, replay: ReverbReplay, client: reverb.Client, table: str):
        self._replay = replay
        self._table = table
        self._queue: deque[Trajectory] = deque()
        self._writer = client.trajectory_writer(num_keep_alive_refs=1)
        self._writer.configure((0,), num_keep_alive_refs=1, max_chunk_length=1)

    def write(self, windows: list[Trajectory], timeout: float | None = None) -> None:
        self._queue.extend(windows)
        self._push(IN_FLIGHT, timeout)

    def flush(self, timeout: float | None = None) -> None:
        self._push(0, timeout)

    def close(self) -> None:
        # Ending the episode would wait for a server that may be dead; letting the stream go does not.
        self._queue.clear()
        del self._writer

    def _push(self, unconfirmed: int, timeout: float | None) -> None:
        watch = Watch(self._replay, None if timeout is None else time.monotonic() + timeout)
        while self._queue:
            self._wait(IN_FLIGHT, watch, timeout)
            window = self._queue.popleft()
            self._writer.append([np.array(encode(window), dtype=object)])
            self._writer.create_item(self._table, window.priority, [self._writer.history[0][-1:]])
        self._wait(unconfirmed, watch, timeout)

    def _wait(self, unconfirmed: int, watch: "Watch", timeout: float | None) -> None:
        while True:
            try:
                self._writer.flush(unconfirmed, timeout_ms=max(1, int(1000 * watch.next_look())))
                return
            except reverb.errors.DeadlineExceededError:
                pass
            except RuntimeError as error:
                raise ReplayError(
                    f"{self._replay.address} refuses windows for table '{self._table}': {error}"
                ) from error
            if watch.look() and watch.over():
                raise ReplayTimeout(no_room(self._table, len(self._queue) + IN_FLIGHT, timeout))


class _Sampler:
    """A thread that draws windows of one table into a short queue, and that can be left behind in a hanging call."""

    def __init__(self, target: str, table: str):
        self._target = target
        self._table = table
        self._ready: deque[Trajectory] = deque()
        self._wanted = BUFFER
        self._changed = threading.Condition()
        self._closed = False
        threading.Thread(target=self._run, name=f"reverb-{table}", daemon=True).start()

    def take(self, count: int, timeout: float) -> list[Trajectory] | None:
        """`count` windows; None when they are not there in `timeout` seconds."""
        with self._changed:
            self._wanted = max(BUFFER, count)
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: len(self._ready) >= count, timeout):
                return None
            windows = [self._ready.popleft() for _ in range(count)]
            self._changed.notify_all()
            return windows

    def ready(self) -> int:
        return len(self._ready)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        sampler = None
        while not self._closed:
            try:
                if sampler is None:
                    sampler = pybind.Client(self._target).NewSampler(self._table, -1, BUFFER)  # without end
                # The item's info comes first, then its one column: a string for its one step.
                (data,) = sampler.GetNextTrajectory()[pybind.Sampler.NUM_INFO_TENSORS :]
            except RuntimeError:
                sampler = None  # the stream broke; a new one finds the server when it is back
                time.sleep(TICK)
                continue
            window = decode(data[0])
            with self._changed:
                self._ready.append(window)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed or len(self._ready) < self._wanted)
