"""The way to a sealed Reverb server from other machines: a Ray actor beside it, so that only who is in the Ray cluster,
and therefore holds its token, reaches the tables.
"""

import contextlib
from typing import Any

from replay.errors import ReplayError, ReplayTimeout, StoreGone
from replay.interface import TableInfo, Writer, connect
from replay.once import Call, Once
from replay.trajectory import Trajectory

NOW = 0.05  # seconds that one call may wait; callers ask again
ANSWER = 5.0  # seconds for the server to say how it is


class Gate:
    """Starts and stops the actor that `connect("gate://NAME")` finds. Ray must be initialised.

    Args:
        name: unique in the Ray cluster.
        replay: address of the server, as this machine reaches it.
    """

    def __init__(self, name: str, replay: str):
        import ray

        from replay.memory_actor import NAMESPACE, this_node

        self.address = f"gate://{name}"
        # It holds nothing but what is on its way: when it dies, Ray starts it again under its name.
        actor: Any = ray.remote(num_cpus=0, max_restarts=-1)(ReplayGate)
        place = this_node()
        self._handle = actor.options(name=name, namespace=NAMESPACE, scheduling_strategy=place).remote(replay)

    def stop(self) -> None:
        """Ends the actor."""
        import ray

        ray.kill(self._handle)


class ReplayGate:
    """The `Store` that writes to a server for others. One thread: its calls follow each other."""

    def __init__(self, replay: str):
        self._replay = connect(replay)
        self._writers: dict[str, Writer] = {}
        self._behind: set[str] = set()
        """Tables that did not confirm all when they were last written to."""
        self._owed: dict[int, int] = {}
        """Windows by caller that a writer holds, and that the caller still counts as its own."""
        self._once = Once()

    def insert(self, table: str, windows: list[Trajectory], call: Call) -> int:
        """Returns how many of the windows, from the first on, the server has confirmed: all or none.

        Args:
            call: made again, it writes nothing. After an answer of none, the next call begins with the same windows.
        """
        with _gone():
            return self._once(call, lambda: self._insert(table, windows, call[0]))

    def sample(self, table: str, count: int) -> list[Trajectory]:
        """Up to `count` windows: as many as the table and its rate limiter give now."""
        drawn: list[Trajectory] = []
        with _gone(), contextlib.suppress(ReplayTimeout):
            while len(drawn) < count:
                drawn += self._replay.sample(table, 1, timeout=NOW)
        return drawn

    def info(self) -> dict[str, TableInfo]:
        """State by table."""
        with _gone():
            return self._replay.info(ANSWER)

    def checkpoint(self) -> str:
        """Writes the store to disk, on the server's machine, and returns where."""
        with _gone():
            return self._replay.checkpoint()

    def _insert(self, table: str, windows: list[Trajectory], caller: int) -> int:
        if table not in self._writers:
            self._writers[table] = self._replay.writer(table)
        writer = self._writers[table]
        if table in self._behind:
            try:
                writer.flush(timeout=NOW)
            except ReplayTimeout:
                return 0
            self._behind.discard(table)
        if caller in self._owed:
            return self._owed.pop(caller)
        try:
            writer.write(windows, timeout=NOW)
            writer.flush(timeout=NOW)
        except ReplayError:
            self._behind.add(table)  # they are in the writer's queue, and go out when the server takes them
            self._owed[caller] = len(windows)
            return 0
        return len(windows)


class _gone(contextlib.AbstractContextManager[None]):
    """Tells callers of a dead server that it may come back."""

    def __exit__(self, kind: Any, error: BaseException | None, at: Any) -> None:
        if isinstance(error, ReplayError) and not isinstance(error, (ReplayTimeout, StoreGone)):
            raise StoreGone(str(error)) from error
