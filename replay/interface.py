"""What every replay backend offers."""

from dataclasses import dataclass
from typing import Protocol

from replay.errors import ReplayError
from replay.trajectory import Trajectory


@dataclass(frozen=True)
class TableInfo:
    """One table's state. Inserts and samples count windows since the store was first started."""

    size: int
    max_size: int
    min_size: int
    inserts: int
    samples: int


class Writer(Protocol):
    """Writes windows to one table. For one thread."""

    def write(self, windows: list[Trajectory], timeout: float | None = None) -> None:
        """Hands windows over, and waits while too many of them are unconfirmed, so memory stays bounded.

        Args:
            windows: taken over; the caller must not change them afterwards.
            timeout: seconds to wait at most; None waits as long as the server answers.

        Raises:
            ReplayTimeout: the server is alive but takes no more for now (the rate limiter holds). The windows stay
                queued: do not write them again; call `flush` or write the next ones.
            ReplayError: the server is gone. The windows stay queued and go out when it is back.
        """

    def flush(self, timeout: float | None = None) -> None:
        """Waits until every window is confirmed. Raises as `write`."""

    def close(self) -> None:
        """Drops what is still unconfirmed; call `flush` first to keep it."""


class Replay(Protocol):
    """A connection to a store of windows. Safe to use from several threads."""

    address: str

    def writer(self, table: str) -> Writer:
        """A writer to a table. Raises ReplayError for a table that does not exist."""

    def sample(self, table: str, count: int, timeout: float | None = None) -> list[Trajectory]:
        """`count` windows with replacement, each as likely as its `Trajectory.priority` says.

        Args:
            timeout: seconds to wait for them; None waits as long as the server answers.

        Raises:
            ReplayTimeout: the table stayed below its minimum size, or the rate limiter held.
            ReplayError: the server is gone, or the table does not exist.
        """

    def info(self, timeout: float = 10.0) -> dict[str, TableInfo]:
        """State by table. Raises ReplayError when the server does not answer in time."""

    def checkpoint(self) -> str:
        """Writes everything to disk and returns where; inserts and samples wait meanwhile."""

    def close(self) -> None:
        """Ends the connection; the store stays."""


def connect(address: str, patience: float = 60.0) -> Replay:
    """Connects to a store.

    Args:
        address: "reverb://host:port", "reverb://unix:/path" (a socket), several of these after one another
            ("reverb://host:port,host:port"), "memory://name" (a Ray actor), or "gate://name" (a Ray actor before a
            Reverb server that is not reached from here). Ray must be initialised.
        patience: seconds that the server may be gone before calls without a timeout of their own give up.

    Raises:
        ReplayError: for an address of another form. A server that is not up (yet) is no error here.
    """
    scheme, _, rest = address.partition("://")
    if scheme == "reverb" and "," in rest:
        from replay.shards import Shards

        return Shards([connect(f"reverb://{each}", patience) for each in rest.split(",")])
    if scheme == "reverb" and (rest.startswith("unix:/") or rest.rpartition(":")[2].isdigit()):
        from replay.reverb_backend import ReverbReplay

        return ReverbReplay(rest, patience)
    if scheme in ("memory", "gate") and rest:
        from replay.memory_actor import connect_actor

        return connect_actor(address, patience)
    raise ReplayError(
        f"replay address '{address}' must be reverb://host:port, reverb://unix:/path, memory://name or gate://name"
    )
