"""Replay without Reverb: the same tables as Python lists of windows, in this process or behind a Ray actor."""

import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from replay.errors import ReplayError, ReplayTimeout, StoreGone
from replay.interface import TableInfo
from replay.messages import no_room, no_table, nothing_to_sample
from replay.once import Call, Once
from replay.packing import pack, unpack
from replay.tables import TableConfig
from replay.trajectory import Trajectory

AT_ONCE = 64  # windows in one call, so that no call is large
CHECKPOINT = "replay.npz"


class Table:
    """A ring of windows with Reverb's rate limiter. Not thread-safe; `MemoryStore` locks.

    Args:
        seed: of sampling.
    """

    def __init__(self, config: TableConfig, seed: np.random.SeedSequence):
        self.config = config
        self.windows: list[Trajectory] = []
        self.inserts = 0
        self.samples = 0
        self._oldest = 0  # index in the ring once it is full
        self._highest = 1.0  # priority of any window so far
        self._random = np.random.default_rng(seed)

    def may_insert(self) -> bool:
        if self.config.samples_per_insert is None or len(self.windows) < self.config.min_size:
            return True
        error = (self.inserts + 1) * self.config.samples_per_insert - self.samples
        return error <= self.config.allowed_error()[1]

    def may_sample(self) -> bool:
        if len(self.windows) < self.config.min_size:
            return False
        if self.config.samples_per_insert is None:
            return True
        error = self.inserts * self.config.samples_per_insert - self.samples - 1
        return error >= self.config.allowed_error()[0]

    def insert(self, window: Trajectory) -> None:
        if len(self.windows) < self.config.max_size:
            self.windows.append(window)
        else:
            self.windows[self._oldest] = window
            self._oldest = (self._oldest + 1) % self.config.max_size
        self._highest = max(self._highest, window.priority)
        self.inserts += 1

    def sample(self) -> Trajectory:
        self.samples += 1
        while True:  # accepted or drawn again: in proportion to the priority, with nothing to keep up to date
            window = self.windows[int(self._random.integers(len(self.windows)))]
            if self._random.random() * self._highest < window.priority:
                return window

    def in_order(self) -> list[Trajectory]:
        """Oldest first."""
        return self.windows[self._oldest :] + self.windows[: self._oldest]

    def restore(self, windows: list[Trajectory], inserts: int, samples: int) -> None:
        """Takes over what `in_order` gave, and the counts; of too many windows the newest."""
        self.windows, self._oldest = windows[-self.config.max_size :], 0
        self._highest = max((window.priority for window in self.windows), default=1.0)
        self.inserts, self.samples = inserts, samples


class Store(Protocol):
    """What a `MemoryReplay` talks to: a `MemoryStore`, or a Ray actor that holds one. No call waits."""

    def insert(self, table: str, windows: list[Trajectory], call: Call) -> int: ...

    def sample(self, table: str, count: int) -> list[Trajectory]: ...

    def info(self) -> dict[str, TableInfo]: ...

    def checkpoint(self) -> str: ...


class MemoryStore:
    """The tables in this process. Thread-safe; no call waits.

    Args:
        tables: settings by table.
        directory: for checkpoints; the one found there is restored. None: no checkpoints.
        seed: of sampling.

    Raises:
        ReplayError: when the checkpoint found is damaged.
    """

    def __init__(self, tables: dict[str, TableConfig], directory: str | os.PathLike | None = None, seed: int = 0):
        seeds = np.random.SeedSequence(seed).spawn(len(tables))
        self._tables = {name: Table(config, seeds[index]) for index, (name, config) in enumerate(tables.items())}
        self._directory = None if directory is None else Path(directory)
        self._lock = threading.Lock()
        self._once = Once()
        if self._directory is not None and (self._directory / CHECKPOINT).exists():
            self._restore(self._directory / CHECKPOINT)

    def insert(self, table: str, windows: list[Trajectory], call: Call) -> int:
        """Inserts as many of the windows as the rate limiter lets through now, in order; returns how many.

        Args:
            call: made again, it inserts nothing and gives the answer of the first time.
        """

        def insert() -> int:
            target, done = self._table(table), 0
            while done < len(windows) and target.may_insert():
                target.insert(windows[done])
                done += 1
            return done

        with self._lock:
            return self._once(call, insert)

    def sample(self, table: str, count: int) -> list[Trajectory]:
        """Up to `count` windows: as many as the table and its rate limiter give now."""
        with self._lock:
            target = self._table(table)
            drawn: list[Trajectory] = []
            while len(drawn) < count and target.may_sample():
                drawn.append(target.sample())
            return drawn

    def info(self) -> dict[str, TableInfo]:
        """State by table."""
        with self._lock:
            return {
                name: TableInfo(len(t.windows), t.config.max_size, t.config.min_size, t.inserts, t.samples)
                for name, t in self._tables.items()
            }

    def checkpoint(self) -> str:
        """Writes one npz file (whole or not at all) and returns its path."""
        if self._directory is None:
            raise ReplayError("this replay store has no directory for checkpoints; give it one when it is made")
        self._directory.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.ndarray] = {}
        with self._lock:
            for name, table in self._tables.items():
                arrays |= {f"{name}/{key}": value for key, value in pack(table.in_order()).items()}
                arrays[f"{name}/counts"] = np.asarray([table.inserts, table.samples], dtype=np.int64)
        path = self._directory / CHECKPOINT
        partial = path.with_suffix(".partial")
        with open(partial, "wb") as file:
            np.savez(file, **arrays)
        partial.replace(path)
        return str(path)

    def _restore(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            for name, table in self._tables.items():
                own = {key[len(name) + 1 :]: value for key, value in arrays.items() if key.startswith(f"{name}/")}
                if own:
                    inserts, samples = own.pop("counts").tolist()
                    table.restore(unpack(own), inserts, samples)
        except Exception as error:  # the file may be a stranger's, and hold anything
            raise ReplayError(f"replay checkpoint {path} is damaged ({error}); move it away to start empty") from error

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            raise no_table(name, list(self._tables))
        return self._tables[name]


class MemoryReplay:
    """`Replay` over a store whose calls do not wait: waiting is done here, by asking again.

    Args:
        store: where the windows are.
        address: for messages.
        patience: seconds that the store may be gone before calls without a timeout of their own give up.
    """

    def __init__(self, store: Store, address: str = "memory://local", patience: float = 60.0):
        self.address = address
        self._store = store
        self._patience = patience
        self._drawn: dict[str, list[Trajectory]] = {}  # of samples that timed out half-way, for the next
        self._lock = threading.Lock()

    def writer(self, table: str) -> "MemoryWriter":
        known = self.info(self._patience)
        if table not in known:
            raise no_table(table, list(known))
        return MemoryWriter(self._store, table, self._patience)

    def sample(self, table: str, count: int, timeout: float | None = None) -> list[Trajectory]:
        with self._lock:
            drawn = self._drawn.pop(table, [])

        def enough() -> bool:
            if len(drawn) < count:
                drawn.extend(self._store.sample(table, count - len(drawn)))
            return len(drawn) >= count

        taken = 0
        try:
            if _ask_again(enough, timeout, self._patience):
                taken = count
                return drawn[:count]
        finally:
            with self._lock:
                self._drawn.setdefault(table, []).extend(drawn[taken:])
        raise ReplayTimeout(nothing_to_sample(table, self.info()[table], len(drawn), count, timeout))

    def info(self, timeout: float = 10.0) -> dict[str, TableInfo]:
        found: dict[str, TableInfo] = {}

        def answered() -> bool:
            found.update(self._store.info())
            return True

        _ask_again(answered, timeout, self._patience)
        return found

    def checkpoint(self) -> str:
        return self._store.checkpoint()

    def close(self) -> None:
        """Nothing to end."""


class MemoryWriter:
    """`Writer` to one table of a store."""

    def __init__(self, store: Store, table: str, patience: float):
        self._store = store
        self._table = table
        self._patience = patience
        self._queue: list[Trajectory] = []
        self._id = secrets.randbits(63)
        self._calls = 0

    def write(self, windows: list[Trajectory], timeout: float | None = None) -> None:
        self._queue.extend(windows)
        self.flush(timeout)

    def flush(self, timeout: float | None = None) -> None:
        def drained() -> bool:
            if self._queue:
                # The number counts calls that were answered: one that has to be made again keeps its own.
                done = self._store.insert(self._table, self._queue[:AT_ONCE], (self._id, self._calls))
                self._calls += 1
                del self._queue[:done]
            return not self._queue

        if not _ask_again(drained, timeout, self._patience):
            raise ReplayTimeout(no_room(self._table, len(self._queue), timeout))

    def close(self) -> None:
        self._queue.clear()


def _ask_again(done: Callable[[], bool], timeout: float | None, patience: float) -> bool:
    """Calls `done` until it is true, at once and then up to every 20 ms; false once `timeout` seconds have passed.

    Raises:
        StoreGone: the store was gone when the time was up, or for `patience` seconds.
    """
    began = time.monotonic()
    gone_since: float | None = None
    pause = 0.001
    while True:
        over = timeout is not None and time.monotonic() - began >= timeout
        try:
            if done():
                return True
            gone_since = None
        except StoreGone:
            gone_since = gone_since or time.monotonic()
            if over or time.monotonic() - gone_since >= patience:
                raise
        if over:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
