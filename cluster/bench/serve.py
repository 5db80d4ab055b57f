"""How much of the engine's speed the policy server leaves, what a call adds, and what a frozen process costs."""

import os
import signal
import threading
import time
from typing import Any

import numpy as np
import torch

from cluster.bench.figures import Figure
from cluster.bench.works import MODELS, WORKS, Work
from cluster.local_ray import get, kill, local_ray, start
from cluster.serving import put_weights
from cluster.serving import serve as start_server
from policy.client import PolicyClient, connect, received
from policy.engine import Engine
from policy.model import Policy
from policy.threads import torch_threads
from policy.types import Version

WORK = WORKS["7"]
PROCESSES = 4
ROWS = 16  # environments of each process
CALLS = 300  # of which the latency is the median
WARM = 1.0  # seconds
DEADLINE = 60.0  # for an answer
UNIT = "env steps/s"


class Asker:
    """Asks the policy server as an actor does, two halves in turn, without environments to step.

    Args:
        number: of this process.
        server: Ray handle of the policy server.
        rows: environments.
    """

    def __init__(self, number: int, server: Any, rows: int = ROWS):
        self.number = number
        self.halves = [half for half in np.array_split(np.arange(rows), 2) if len(half)]
        self.clients = [connect(server, DEADLINE) for _ in self.halves]
        self.steps = 0
        self._stop = threading.Event()

    def ready(self) -> None:
        """To be called before `run`, which a `stop` from now on ends."""
        self._stop.clear()

    def run(self) -> None:
        """Asks until `stop`."""
        for client, half in zip(self.clients, self.halves, strict=True):
            self._ask(client, half, 0)
        at = 0
        while not self._stop.is_set():
            at += 1
            for client, half in zip(self.clients, self.halves, strict=True):
                received(client, DEADLINE)
                self.steps += len(half)
                self._ask(client, half, at)
        for client in self.clients:
            received(client, DEADLINE)

    def stop(self) -> None:
        """Makes `run` return."""
        self._stop.set()

    def count(self) -> int:
        """Environment steps so far."""
        return self.steps

    def pid(self) -> int:
        """Of this process."""
        return os.getpid()

    def latency(self, calls: int) -> float:
        """Seconds that a call for one environment takes, the median."""
        times = []
        for at in range(calls):
            began = time.perf_counter()
            self._ask(self.clients[0], np.arange(1), at)
            received(self.clients[0], DEADLINE)
            times.append(time.perf_counter() - began)
        return float(np.median(times))

    def _ask(self, client: PolicyClient, rows: np.ndarray, at: int) -> None:
        step = at % WORK.steps
        client.send(WORK.request(step, np.full(len(rows), step == 0), rows, f"asker {self.number}"))


@torch_threads(1)  # as the server's
def serve(model: str, dtype: str, seconds: float, repeats: int) -> list[Figure]:
    """Rows of one model: the engine in this process and through the server, taking turns; latency; a frozen process."""
    config = MODELS[model]
    policy = Policy(config)
    engine = Engine(policy, PROCESSES * ROWS, getattr(torch, dtype))
    single = Engine(policy, 1, getattr(torch, dtype))
    with local_ray():
        server = start_server(config, put_weights(policy), Version(1, 0), PROCESSES * ROWS + 1, dtype=dtype)
        askers = [start(Asker, number, server, concurrency=3) for number in range(PROCESSES)]
        try:
            lonely = start(Asker, PROCESSES, server, 1)
            calls = [(get(lonely.latency.remote(CALLS)), _latency(single)) for _ in range(repeats)]
            kill(lonely)
            alone, served = [], []
            for _ in range(repeats):
                alone.append(_alone(engine, WORK, seconds))
                served.append(_served(askers, seconds))
            before, after = _frozen(askers[:3], seconds, repeats)
        finally:
            for handle in [*askers, server]:
                kill(handle)
    title = f"{model}, {WORK.name}, {dtype}"
    added = [1000.0 * (asked - own) for asked, own in calls]
    return [
        Figure.of(f"{title}: engine in process, 1 thread", alone, UNIT),
        Figure.of(f"{title}: through the server, {PROCESSES} processes", served, UNIT, float(np.median(alone))),
        Figure.of(f"{title}: added latency, one environment", added, "ms"),
        Figure.of(f"{title}: two of three processes while the third is frozen", after, UNIT, float(np.median(before))),
    ]


def _alone(engine: Engine, work: Work, seconds: float) -> float:
    """Environment steps a second of an engine whose slots are all asked at once."""
    rows, steps = np.arange(engine.table.slots), 0
    for lasts in (WARM, seconds):
        began, first = time.perf_counter(), steps
        while time.perf_counter() - began < lasts:
            step = steps % work.steps
            engine.act([work.request(step, np.full(len(rows), step == 0), rows)])
            steps += 1
    return (steps - first) * len(rows) / (time.perf_counter() - began)


def _latency(engine: Engine) -> float:
    """Seconds of a step of one environment in an engine, the median."""
    times = []
    for at in range(CALLS):
        step = at % WORK.steps
        began = time.perf_counter()
        engine.act([WORK.request(step, np.full(1, step == 0), np.arange(1))])
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def _served(askers: list[Any], seconds: float) -> float:
    """Environment steps a second of processes that ask until told to stop."""
    get([asker.ready.remote() for asker in askers])
    running = [asker.run.remote() for asker in askers]
    try:
        time.sleep(WARM)
        return _rate(askers, seconds)
    finally:
        get([asker.stop.remote() for asker in askers])
        for call in running:
            get(call)


def _frozen(askers: list[Any], seconds: float, repeats: int) -> tuple[list[float], list[float]]:
    """What all but the last process reach while the last asks too, and while it is frozen, taking turns."""
    get([asker.ready.remote() for asker in askers])
    running = [asker.run.remote() for asker in askers]
    pid = get(askers[-1].pid.remote())
    before, after = [], []
    try:
        for _ in range(repeats):
            time.sleep(WARM)
            before.append(_rate(askers[:-1], seconds))
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(WARM)
                after.append(_rate(askers[:-1], seconds))
            finally:
                os.kill(pid, signal.SIGCONT)
        return before, after
    finally:
        get([asker.stop.remote() for asker in askers])
        for call in running:
            get(call)


def _rate(askers: list[Any], seconds: float) -> float:
    began, first = time.perf_counter(), sum(get([asker.count.remote() for asker in askers]))
    time.sleep(seconds)
    return (sum(get([asker.count.remote() for asker in askers])) - first) / (time.perf_counter() - began)
