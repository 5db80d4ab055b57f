"""A store behind a named Ray actor, for many processes: the memory store itself, or a gate to Reverb."""

import time
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from replay.errors import ReplayError, StoreGone
from replay.interface import TableInfo
from replay.memory_backend import MemoryReplay, MemoryStore
from replay.once import Call
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

    @property
    def open_ports(self) -> list[int]:
        """None: it is reached through Ray alone."""
        return []

    def start(self) -> None:
        """Raises ReplayError when an actor of that name runs already, or the checkpoint found is damaged."""
        actor_class = ray.remote(num_cpus=0)(MemoryStore)
        try:
            actor: Any = actor_class.options(name=self._name, namespace=NAMESPACE, scheduling_strategy=this_node())
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

    def restart(self) -> None:
        """Ends what is left of it, and starts it from its last checkpoint. Raises as `start`."""
        self.stop()
        self.start()

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


def this_node() -> NodeAffinitySchedulingStrategy:
    """Where the caller is: the directory of checkpoints is on this machine."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def connect_actor(address: str, patience: float) -> MemoryReplay:
    """A client of the actor that an address names, which need not be up yet."""
    return MemoryReplay(ActorStore(address), address, patience)


class ActorStore:
    """The store in the named actor; after a death it is looked up anew. Every call raises StoreGone when it is gone."""

    def __init__(self, address: str):
        self._address = address
        self._name = address.partition("://")[2]
        self._handle: Any = None
        self._gone_since: float | None = None

    def insert(self, table: str, windows: list[Trajectory], call: Call) -> int:
        return self._call(ANSWER, "insert", table, windows, call)

    def sample(self, table: str, count: int) -> list[Trajectory]:
        return self._call(ANSWER, "sample", table, count)

    def info(self) -> dict[str, TableInfo]:
        return self._call(ANSWER, "info")

    def checkpoint(self) -> str:
        return self._call(CHECKPOINT_SECONDS, "checkpoint")

    def _call(self, timeout: float, method: str, *arguments: Any) -> Any:
        asked = time.time()
        try:
            if self._handle is None:
                self._handle = ray.get_actor(self._name, namespace=NAMESPACE)
            result = ray.get(getattr(self._handle, method).remote(*arguments), timeout=timeout)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except (ValueError, ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
            self._handle = None
            self._gone_since = self._gone_since or asked
            raise StoreGone(
                f"the replay store {self._address} has not answered since "
                f"{time.strftime('%H:%M:%S', time.localtime(self._gone_since))} ({time.time() - self._gone_since:.0f} "
                "s). The process that started it restarts it under the same name; if it stays away, see the run's "
                "ocelot.log for why it ended"
            ) from error
        self._gone_since = None
        return result
