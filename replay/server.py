"""The store that a run owns: started, watched, restarted from its last checkpoint, stopped."""

import logging
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol

from replay.errors import ReplayError
from replay.tables import ReplayConfig, TableConfig

LOG = logging.getLogger("ocelot.replay")  # a run writes what "ocelot" says to its log
LOOK = 1.0  # seconds between looks whether the store is alive
GIVE_UP = 5  # deaths in a row, none of them a minute after the one before


class Backend(Protocol):
    """A store that can be started and stopped."""

    address: str

    @property
    def open_ports(self) -> list[int]: ...

    def start(self) -> None: ...

    def restart(self) -> None: ...

    def alive(self) -> bool: ...

    def checkpoint(self) -> str: ...

    def stop(self) -> None: ...


class ReplayServer:
    """Starts the store and a watchdog for it. Use it as a context manager, or call `stop`.

    Args:
        config: backend, port and clocks.
        directory: for its log and checkpoints; a checkpoint found there is restored.
        tables: settings by table, as from `ReplayConfig.limited`; None takes the configuration's as they are.
        name: of the memory backend's Ray actor.
        seed: of the memory backend's sampling.
        sealed: as in `ReverbProcess`.

    Raises:
        ReplayError: when it cannot start: a taken port, a damaged checkpoint; says what to change.
    """

    def __init__(
        self,
        config: ReplayConfig,
        directory: str | Path,
        tables: dict[str, TableConfig] | None = None,
        name: str = "replay",
        seed: int = 0,
        sealed: bool | None = None,
    ):
        self._backend = _backend(config, Path(directory).absolute(), tables or config.tables, name, seed, sealed)
        self._checkpoint_seconds = config.checkpoint_seconds
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._restarts = 0
        self._deaths: list[float] = []
        self._failure: ReplayError | None = None
        self._backend.start()
        self._watchdog = threading.Thread(target=self._watch, name="replay-watchdog", daemon=True)
        self._watchdog.start()

    @property
    def address(self) -> str:
        """For `replay.interface.connect`; the same over restarts."""
        return self._backend.address

    @property
    def open_ports(self) -> list[int]:
        """Ports that anybody on the network may read and write replay through."""
        return self._backend.open_ports

    def check(self) -> int:
        """Restarts the store if it is dead. Returns how often that happened so far.

        Raises:
            ReplayError: when it cannot be restarted, or dies again and again.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if not self._stopped.is_set() and not self._backend.alive():
                try:
                    self._restart()
                except ReplayError as error:
                    self._failure = error
                    raise
            return self._restarts

    def checkpoint(self) -> str:
        """Writes the store to disk and returns where; inserts and samples wait meanwhile.

        Raises:
            ReplayError: when the store is dead or the disk is full.
        """
        with self._lock:
            return self._backend.checkpoint()

    def stop(self) -> None:
        """Ends the store. What is not in a checkpoint is gone."""
        self._stopped.set()
        with self._lock:
            self._backend.stop()
        self._watchdog.join(timeout=2 * LOOK)

    def __enter__(self) -> "ReplayServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _restart(self) -> None:
        now = time.monotonic()
        self._deaths = [death for death in self._deaths if now - death < 60.0] + [now]
        if len(self._deaths) >= GIVE_UP:
            raise ReplayError(
                f"the replay store {self.address} died {len(self._deaths)} times within a minute; it may be out of "
                "memory: lower replay.tables.TABLE.max_size, and see its log (replay.log)"
            )
        self._restarts += 1
        LOG.warning("the replay store %s died; restarting it from its last checkpoint", self.address)
        self._backend.restart()
        LOG.info("the replay store %s is back", self.address)

    def _watch(self) -> None:
        written = time.monotonic()
        while not self._stopped.wait(LOOK):
            try:
                self.check()
                if time.monotonic() - written >= self._checkpoint_seconds:
                    self.checkpoint()
                    written = time.monotonic()
            except ReplayError as error:
                LOG.error("%s", error)
                if self._failure is not None:
                    return


def _backend(
    config: ReplayConfig, directory: Path, tables: dict[str, TableConfig], name: str, seed: int, sealed: bool | None
) -> Backend:
    if config.backend == "memory":
        from replay.memory_actor import MemoryActor

        return MemoryActor(name, tables, directory, seed)
    if config.shards > 1:
        from replay.reverb_shards import ReverbShards

        return ReverbShards(config.shards, config.port, tables, directory, sealed)
    from replay.reverb_process import ReverbProcess

    return ReverbProcess(config.port, tables, directory, sealed)
