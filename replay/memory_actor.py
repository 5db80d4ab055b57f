"""The memory store behind a named Ray actor, for many processes."""

import os
import time
from typing import Any

import ray

from replay.errors import ReplayError
from replay.interface import TableInfo
from replay.memory_backend import MemoryReplay, MemoryStore
from replay.tables import TableConfig
from replay.trajectory import Trajectory

NAMESPACE = "ocelot"
ANSWER = 10.0  # seconds that one call may take before the actor counts as gone


def start_actor(name: str, tables: dict[str, TableConfig], directory: str | os.PathLike | None, seed: int) -> Any:
    """Starts the actor that `connect("memory://NAME")` finds; it ends with its handle's last holder.

    Raises:
        ReplayError: when an actor of that name runs already, or the checkpoint in `directory` is damaged.
    """
    actor_class = ray.remote(num_cpus=0)(MemoryStore)
    try:
        handle: Any = actor_class.options(name=name, namespace=NAMESPACE).remote(
            tables, None if directory is None else str(directory), seed
        )
    except ValueError:
        raise ReplayError(
            f"a replay store named '{name}' runs already in this Ray cluster; stop that run, or name this one otherwise"
        ) from None
    try:
        ray.get(handle.info.remote(), timeout=6 * ANSWER)
    except ray.exceptions.RayError as error:
        raise ReplayError(f"the replay store '{name}' did not start: {error}") from error
    return handle


def connect_actor(name: str, patience: float) -> MemoryReplay:
    """A client of the named actor, which need not be up yet."""
    return MemoryReplay(ActorStore(name, patience), f"memory://{name}")


class ActorStore:
    """Calls the named actor; when it is gone, looks it up again until `patience` seconds have passed."""

    def __init__(self, name: str, patience: float):
        self._name = name
        self._patience = patience
        self._handle: Any = None

    def insert(self, table: str, windows: list[Trajectory]) -> int:
        return self._call(self._patience, "insert", table, windows)

    def sample(self, table: str, count: int) -> list[Trajectory]:
        return self._call(self._patience, "sample", table, count)

    def info(self, timeout: float = ANSWER) -> dict[str, TableInfo]:
        return self._call(timeout, "info")

    def checkpoint(self) -> str:
        return self._call(self._patience, "checkpoint")

    def _call(self, patience: float, method: str, *arguments: Any) -> Any:
        began = time.monotonic()
        while True:
            left = patience - (time.monotonic() - began)
            try:
                if self._handle is None:
                    self._handle = ray.get_actor(self._name, namespace=NAMESPACE)
                return ray.get(getattr(self._handle, method).remote(*arguments), timeout=max(left, 0.1))
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except (ValueError, ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
                self._handle = None
                if left <= 0:
                    raise ReplayError(
                        f"the replay store memory://{self._name} has been gone for {patience:.0f} s "
                        f"({type(error).__name__}); see the run's ocelot.log for why it ended"
                    ) from error
                time.sleep(0.2)
