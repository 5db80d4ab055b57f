"""Several stores as one: each holds a part of every table, so what one server cannot carry is split."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields

from replay.errors import ReplayError, ReplayTimeout
from replay.interface import Replay, TableInfo, Writer
from replay.messages import nothing_to_sample
from replay.trajectory import Trajectory


class Shards:
    """`Replay` over several stores; see `replay.interface.connect`.

    Windows go to one store after the other, and are drawn from one after the other: every window of a table is as
    likely as any other, as far as the stores hold equally many. A store that has none yet is waited for.

    Args:
        stores: at least one.
    """

    def __init__(self, stores: list[Replay]):
        self.address = (
            stores[0].address.partition("://")[0]
            + "://"
            + SEPARATOR.join(each.address.partition("://")[2] for each in stores)
        )
        self._stores = stores
        self._lock = threading.Lock()
        self._turn: dict[str, int] = defaultdict(int)
        self._left: dict[str, list[Trajectory]] = defaultdict(list)
        """Windows that were drawn before another store had none, for the next call."""

    def writer(self, table: str) -> "ShardsWriter":
        return ShardsWriter([each.writer(table) for each in self._stores])

    def sample(self, table: str, count: int, timeout: float | None = None) -> list[Trajectory]:
        deadline = _deadline(timeout)
        with self._lock:
            windows, self._left[table] = self._left[table][:count], self._left[table][count:]
            missing, first = count - len(windows), self._turn[table]
            self._turn[table] = (first + missing) % len(self._stores)
        try:
            for number, part in _parts(missing, first, len(self._stores)):
                windows += self._stores[number].sample(table, part, _left(deadline))
        except ReplayError as error:
            with self._lock:
                self._left[table] += windows
            if isinstance(error, ReplayTimeout):  # which speaks of one store
                raise ReplayTimeout(
                    nothing_to_sample(table, self.info()[table], len(windows), count, timeout)
                ) from error
            raise
        return windows

    def info(self, timeout: float = 10.0) -> dict[str, TableInfo]:
        deadline = _deadline(timeout)
        parts = [each.info(_left(deadline) or 0.0) for each in self._stores]
        return {name: _together([part[name] for part in parts]) for name in parts[0]}

    def checkpoint(self) -> str:
        return SEPARATOR.join(each.checkpoint() for each in self._stores)

    def close(self) -> None:
        for each in self._stores:
            each.close()


class ShardsWriter:
    """`Writer` to a table that several stores hold parts of. For one thread."""

    def __init__(self, writers: list[Writer]):
        self._writers = writers
        self._turn = id(self) % len(writers)  # not all writers begin at the same store

    def write(self, windows: list[Trajectory], timeout: float | None = None) -> None:
        count, first = len(self._writers), self._turn
        self._turn = (first + len(windows)) % count
        parts = [windows[(number - first) % count :: count] for number in range(count)]
        self._each(timeout, lambda number, left: self._writers[number].write(parts[number], left))

    def flush(self, timeout: float | None = None) -> None:
        self._each(timeout, lambda number, left: self._writers[number].flush(left))

    def close(self) -> None:
        for each in self._writers:
            each.close()

    def _each(self, timeout: float | None, do: Callable[[int, float | None], None]) -> None:
        """Does it with every writer, whatever becomes of the one before: each must have its windows in its queue."""
        deadline, errors = _deadline(timeout), []
        for number in range(len(self._writers)):
            try:
                do(number, _left(deadline))
            except ReplayError as error:
                errors.append(error)
        if errors:
            raise next((each for each in errors if not isinstance(each, ReplayTimeout)), errors[0])


SEPARATOR = ","


def _parts(count: int, first: int, stores: int) -> list[tuple[int, int]]:
    """How many of `count` windows each store gives, (store, number), from `first` on; those that give none left out."""
    numbers = [(count + stores - 1 - place) // stores for place in range(stores)]
    return [((first + place) % stores, number) for place, number in enumerate(numbers) if number]


def _together(parts: list[TableInfo]) -> TableInfo:
    return TableInfo(**{field.name: sum(getattr(part, field.name) for part in parts) for field in fields(TableInfo)})


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
