"""The policy server: the process role that gives many actors their actions in common batches."""

import collections
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policy.batching import Batching
from policy.config import PolicyConfig
from policy.devices import best
from policy.dtypes import fastest
from policy.engine import Engine
from policy.errors import OcelotError, ServerError
from policy.model import Policy
from policy.networks import OnNewWeights
from policy.socket_server import Address, SocketServer, supported
from policy.types import ActReply, ActRequest, Version

Weights = Mapping[str, np.ndarray]
ACTIVE = 5.0  # seconds for which an actor that asked still counts as one that will ask again
WAITS = 4096  # so many recent requests make the statistics of queueing


@dataclass
class _Waiting:
    request: ActRequest
    reply: "Future[ActReply]"
    since: float


class PolicyServer:
    """Collects requests and runs the engine on everything that waits. Made for `ray.remote`, with as many calls at once
    as will wait: each has a thread of Ray's, which takes half as long a call as coroutines do.

    A batch starts when a third of the active actors' slots wait, or `window_ms` after its first request came, so a dead
    or slow actor delays nobody; a moment later where more are about to come (`policy.batching`). The engine runs on a
    thread of its own; those of the calls only queue.

    Args:
        config: the policy's sizes.
        weights: its parameters by name (given as a Ray reference, Ray fetches them before the constructor runs).
        version: of these weights.
        slots: environments that can be served at the same time.
        threads: of the engine.
        dtype: of weights and cache: float64, float32, bfloat16, or auto: the faster of the last two, by measurement.
        seed: of action sampling.
        window_ms: how long a batch is collected, at most.
        deadline: seconds in which each call is answered or fails.
        device: where the policy runs; None takes a CUDA device where there is one.
        on_new_weights, rebuild_share: as in `policy.networks.Networks`.
    """

    def __init__(
        self,
        config: PolicyConfig,
        weights: Weights,
        version: Version,
        slots: int,
        threads: int = 1,
        dtype: str = "bfloat16",
        seed: int = 0,
        window_ms: float = 4.0,
        deadline: float = 30.0,
        device: str | None = None,
        on_new_weights: OnNewWeights = "rebuild",
        rebuild_share: float = 0.1,
    ):
        torch.set_num_threads(1)  # the engine's threads have one each; nothing else here computes
        model = Policy(config).to(device or best())
        version = Version(*version)
        self._engine = Engine(
            model,
            slots,
            fastest(model) if dtype == "auto" else getattr(torch, dtype),
            version,
            seed,
            threads=threads,
            on_new_weights=on_new_weights,
            rebuild_share=rebuild_share,
        )
        self._engine.load(weights, version)
        self._batching = Batching(window_ms / 1000.0)
        self._deadline = deadline
        self._newest = version  # that was published
        self._pinned = False
        self._held: tuple[Version, Weights] | None = None
        self._publishing = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._jobs: list[Callable[[], None]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._waits: collections.deque[float] = collections.deque(maxlen=WAITS)
        self._fills: collections.deque[float] = collections.deque(maxlen=WAITS)
        self._failures = 0
        self._socket: SocketServer | None = None
        self._thread = threading.Thread(target=self._serve, name="policy-engine", daemon=True)
        self._thread.start()

    def act(self, request: ActRequest) -> ActReply:
        """Actions for one actor's environments.

        Raises:
            SlotError, SpaceError, ValueError: the request cannot be served, as `Engine.admit` says.
            ServerError: not answered in time, or the engine failed; the environments must then be reset, because their
                contexts here may have moved on.
        """
        waiting = _Waiting(request, Future(), time.monotonic())
        with self._changed:
            self._waiting.append(waiting)
            self._changed.notify()
        return self._in_time(waiting.reply, f"actor '{request.actor}': no actions")

    def socket_address(self) -> Address | None:
        """Of the socket on which it answers processes of its machine as `act` does; None where the system has no such
        sockets."""
        with self._changed:
            if self._socket is None and supported():
                self._socket = SocketServer(self.act)
            return None if self._socket is None else self._socket.address

    def publish(self, version: Version, weights: Weights | list) -> None:
        """Serves these weights from the next batch on; while a version is pinned, once it is unpinned.

        Args:
            version: newer than what was published before; the same again changes nothing.
            weights: by name, or a list that holds a Ray reference to them.

        Raises:
            ServerError: an older update of this incarnation, an older incarnation, or weights of another policy.
        """
        version = Version(*version)
        self._refuse_older(version)
        if isinstance(weights, list):
            import ray

            weights = ray.get(weights[0])
        assert isinstance(weights, Mapping)
        with self._publishing:
            self._refuse_older(version)
            if version == self._newest:
                return
            self._newest = version
            if self._pinned:
                self._held = (version, weights)
            else:
                self._load(version, weights)

    def pin(self, version: Version | None) -> None:
        """Holds back what is published, so that an evaluation sees one version throughout; None lets the newest in.

        Raises:
            ServerError: when another version than this one is being served.
        """
        with self._publishing:
            if version is not None:
                self._on_engine(self._engine.settle, f"version {tuple(version)}: not pinned")
                if Version(*version) != self._engine.version:
                    served = tuple(self._engine.version)
                    raise ServerError(f"version {tuple(version)} cannot be pinned: {served} is being served")
                self._pinned = True
                return
            self._pinned = False
            if self._held is not None:
                held, self._held = self._held, None
                self._load(*held)

    def stats(self) -> dict[str, Any]:
        """The engine's counters, and of recent requests: the share of active slots in a batch (batch_fill), the time
        that they waited for a batch (queue_wait_ms, queue_wait_max_ms); versions; failures (batches that raised)."""
        waits, fills = list(self._waits), list(self._fills)
        return {
            **self._engine.stats(),
            "batch_fill": float(np.mean(fills)) if fills else 0.0,
            "queue_wait_ms": 1000.0 * float(np.mean(waits)) if waits else 0.0,
            "queue_wait_max_ms": 1000.0 * max(waits, default=0.0),
            "active_slots": self._engine.table.known(ACTIVE),
            "version": tuple(self._engine.version),
            "newest_version": tuple(self._newest),
            "pinned": self._pinned,
            "failures": self._failures,
            "dtype": str(self._engine.dtype).removeprefix("torch."),
        }

    def close(self) -> None:
        """Stops the engine's thread; what still waits is never answered before its deadline."""
        if self._socket is not None:
            self._socket.close()
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _refuse_older(self, version: Version) -> None:
        if version < self._newest:
            raise ServerError(
                f"version {tuple(version)} is older than {tuple(self._newest)}, which was published before it; "
                "a learner that starts again must use a new incarnation"
            )

    def _in_time(self, future: "Future[Any]", what: str) -> Any:
        asked = time.strftime("%H:%M:%S")
        try:
            return future.result(self._deadline)
        except TimeoutError:
            future.cancel()  # unless it has begun
            raise ServerError(
                f"{what} within {self._deadline:g} s (asked at {asked}, given up at {time.strftime('%H:%M:%S')}); "
                "the policy server is overloaded or stuck"
            ) from None

    def _load(self, version: Version, weights: Weights) -> None:
        """Makes weights ready on this thread, while the engine goes on; they come in before its next batch."""
        try:
            self._engine.prepare(weights, version)
            self._on_engine(self._engine.renew, f"version {tuple(version)}: not taken")
        except ValueError as error:
            self._newest = self._engine.version
            raise ServerError(str(error)) from None

    def _on_engine(self, work: Callable[[], None], what: str) -> None:
        """Does something on the engine's thread, before the next batch; `what` is said when that takes too long."""
        done: Future[None] = Future()

        def job() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                work()
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        with self._changed:
            self._jobs.append(job)
            self._changed.notify()
        self._in_time(done, what)

    def _serve(self) -> None:
        while not self._closed:
            jobs, batch = self._next()
            for job in jobs:
                job()
            if batch:
                self._answer(batch)
                self._batching.end(time.monotonic())

    def _next(self) -> tuple[list[Callable[[], None]], list[_Waiting]]:
        """Waits for new weights, or until a batch should start."""
        with self._changed:
            while not (self._closed or self._jobs):
                remaining: float | None = None
                if self._waiting:
                    now, known = time.monotonic(), self._engine.table.known(ACTIVE)
                    remaining = self._batching.left(now, self._rows(), known, self._waiting[0].since)
                    if remaining <= 0:
                        break
                self._changed.wait(remaining)
            jobs, self._jobs = self._jobs, []
            batch: list[_Waiting] = []
            if not jobs:
                self._batching.start(time.monotonic(), self._rows())
                batch, self._waiting = self._waiting, []
            return jobs, batch

    def _rows(self) -> int:
        """That wait."""
        return sum(len(waiting.request.slots) for waiting in self._waiting)

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Runs one batch. A request that cannot be served fails alone; a failure of the engine fails the batch."""
        now = time.monotonic()
        accepted, slots = [], []
        taken: set[int] = set()
        for waiting in batch:
            if not waiting.reply.set_running_or_notify_cancel():  # its caller gave up
                continue
            try:
                own = self._engine.admit(waiting.request)
                if not taken.isdisjoint(own.tolist()):
                    raise ValueError(f"actor '{waiting.request.actor}' asks twice at a time for the same slots")
            except (OcelotError, ValueError) as error:
                waiting.reply.set_exception(error)
                continue
            taken.update(own.tolist())
            accepted.append(waiting)
            slots.append(own)
            self._waits.append(now - waiting.since)
        if not accepted:
            return
        self._fills.append(len(taken) / max(1, self._engine.table.known(ACTIVE)))
        try:
            replies = self._engine.act([waiting.request for waiting in accepted], slots)
        except Exception:
            self._failures += 1
            actors = ", ".join(sorted({waiting.request.actor for waiting in accepted}))
            failure = ServerError(f"the policy server failed on a batch of {actors}:\n{traceback.format_exc()}")
            for waiting in accepted:
                waiting.reply.set_exception(failure)
        else:
            for waiting, reply in zip(accepted, replies, strict=True):
                waiting.reply.set_result(reply)
