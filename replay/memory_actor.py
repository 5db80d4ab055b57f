"""The memory store behind a named Ray actor, for many processes."""

import time
from pathlib import Path
from typing import Any

import ray

from replay.errors import ReplayError
from replay.interface import TableInfo
from replay.memory_backend import MemoryReplay, MemoryStore
from replay.tables import TableConfig
from replay.trajectory import Trajectory

NAMESPACE = "ocelot"
START = 60.0  # seconds in which the actor must be up
CHECKPOINT_SECONDS = 300.0  # that writing may take
ANSWER = 10.0  # seconds that one call may take before the actor counts as gone


class MemoryActor:
    """Starts and stops the actor that `connect("memory://NAME")` finds. Ray must be initialised.

    Args:
        name: unique in the Ray cluster.
        tables: settings by table.
        directory: of the store's checkpoint, which is restored.
        seed: of sampling.
    """

    def __init__(self, name: str, tables: dict[str, TableConfig], directory: Path, seed: int):
        self.address = f"memory://{name}"
        self._name = name
        self._arguments = tables, str(directory), seed
        self._handle: Any = None

    def start(self) -> None:
        """Raises ReplayError when an actor of that name runs already, or the checkpoint found is damaged."""
        actor_class = ray.remote(num_cpus=0)(MemoryStore)
        try:
            actor: Any = actor_class.options(name=self._name, namespace=NAMESPACE)
            self._handle = actor.remote(*self._arguments)
        except ValueError:
            raise ReplayError(
                f"a replay store named '{self._name}' runs already in this Ray cluster; stop that run, or give this "
                "one another name"
            ) from None
        try:
            ray.get(self._handle.info.remote(), timeout=START)
        except ray.exceptions.RayError as error:
            raise ReplayError(f"the replay store {self.address} did not start: {error}") from error

    def alive(self) -> bool:
        try:
            ray.get(self._handle.info.remote(), timeout=ANSWER)
        except ray.exceptions.GetTimeoutError:
            return True  # busy, with a checkpoint say
        except ray.exceptions.RayError:
            return False
        return True

    def checkpoint(self) -> str:
        """Raises ReplayError when the store is gone or the disk is full."""
        try:
            return ray.get(self._handle.checkpoint.remote(), timeout=CHECKPOINT_SECONDS)
        except ray.exceptions.RayError as error:
            raise ReplayError(f"the replay store {self.address} wrote no checkpoint: {error}") from error

    def stop(self) -> None:
        if self._handle is not None:
            ray.kill(self._handle)
            self._handle = None


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
