"""How fast the whole loop is: actors, policy server and replay, without a learner and with one; and its memory."""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from cluster.actor_pool import ActorPool
from cluster.bench.engine import POLICY, SLOTS, TASK, WARM, decode
from cluster.bench.figures import Figure, repeat
from cluster.bench.processes import processes
from cluster.config import ActorsConfig, FinetuneConfig, RunConfig, ServerConfig, TaskConfig
from cluster.learner_process import LearnerProcess
from cluster.local_ray import get, kill, local_ray, start
from cluster.placement import Placement
from cluster.serving import Servers, put_weights, serve
from cluster.start import Start, fresh
from learner.schedule import Entry
from policy.types import Version
from replay.server import ReplayServer

PROCESSES = 2
PUBLISH_EVERY = 10


def loop(dtype: str, seconds: float, repeats: int) -> list[Figure]:
    """Environment steps a second of the loop, held against the engine alone on as many threads as suit it."""
    alone = [decode(threads, dtype, seconds, repeats) for threads in (1, 2)]
    best = max(figure.value for figure in alone)
    with running(TASK, dtype) as parts:
        acting = repeat(lambda: _rate(parts.pool, seconds), repeats)
        with parts.learning() as updates:
            training = repeat(lambda: _rate(parts.pool, seconds), repeats)
            memory = _memory()
    return [
        *alone,
        Figure.of("loop without learner", acting, "env steps/s", best),
        Figure.of("loop with learner", training, "env steps/s", best),
        Figure("learner beside the loop, batches of 32", updates(), "updates/s"),
        *memory,
    ]


@dataclass
class Running:
    """A loop that runs: actors, policy server, replay."""

    config: FinetuneConfig
    begin: Start
    replay: str
    """Its address."""
    server: Any
    """Ray handle of the policy server."""
    pool: ActorPool

    @contextlib.contextmanager
    def learning(self) -> Iterator[Callable[[], float]]:
        """With a learner that trains and publishes without a pause; gives a function that tells its updates a second,
        afterwards too."""
        learner = start(LearnerProcess, self.begin, self.config, self.replay, 1, control=True)
        get(learner.updates.remote(1))  # it is up, and the tables have filled
        ended = threading.Event()
        done, began, lasted = 0, time.perf_counter(), 0.0

        def train() -> None:
            nonlocal done, lasted
            while not ended.is_set():
                version = get(learner.updates.remote(PUBLISH_EVERY)).version
                get(self.server.publish.remote(version, learner.weights.remote()))
                done, lasted = done + PUBLISH_EVERY, time.perf_counter() - began

        thread = threading.Thread(target=train)
        thread.start()
        try:
            yield lambda: done / lasted if lasted else 0.0
        finally:
            ended.set()
            thread.join()
            kill(learner)


@contextlib.contextmanager
def running(task: str, dtype: str) -> Iterator[Running]:
    """The loop on a task, with all environments stepping."""
    config = _config(task, dtype)
    begin = fresh(POLICY, config.tasks, None, 0)
    with (
        local_ray(),
        tempfile.TemporaryDirectory() as folder,
        ReplayServer(config.replay, Path(folder), config.replay.limited((), ())) as replay,
    ):
        server = serve(POLICY, put_weights(begin.model), Version(1, 0), SLOTS, dtype=dtype)
        pool = ActorPool(
            config, begin.layouts, POLICY.context, Servers([server]), [replay.address], 0, Placement(cluster=False)
        )
        try:
            while not all(steps > 0 for steps in _steps(pool)):
                time.sleep(0.1)  # processes start
            yield Running(config, begin, replay.address, server, pool)
        finally:
            pool.stop()
            kill(server)


def _config(task: str, dtype: str) -> FinetuneConfig:
    """A loop that nothing paces. Its learner clones what the policy does, so the workload stays as it is."""
    return FinetuneConfig(
        run=RunConfig(name="bench", updates=1),
        tasks=[TaskConfig(name=task)],
        policy=POLICY,
        schedule=[Entry("bc", data={"online": 1.0})],
        actors=ActorsConfig(processes=PROCESSES, environments=SLOTS // PROCESSES, steps=None),
        server=ServerConfig(dtype=dtype),  # type: ignore[arg-type]
    )


def _rate(pool: ActorPool, seconds: float) -> float:
    """Environment steps a second of all actors."""
    time.sleep(WARM)
    began, first = time.perf_counter(), sum(_steps(pool))
    time.sleep(seconds)
    return (sum(_steps(pool)) - first) / (time.perf_counter() - began)


def _steps(pool: ActorPool) -> list[int]:
    """Of each actor, so far."""
    return [stats.steps for stats in get([member.handle.stats.remote() for member in pool.members])]


def _memory() -> list[Figure]:
    """Proportional and resident set size of each of our processes; Ray's own as one."""
    found = list(processes())
    actors = [name for name, _ in found if name.startswith("actor ")]
    numbered = {name: f"actor {number}" for number, name in enumerate(actors, 1)}  # alike from run to run
    parts: dict[str, list[float]] = {}
    for name, process in found:
        try:
            memory = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        sizes = parts.setdefault(numbered.get(name, name), [0.0, 0.0])
        sizes[0] += memory.pss / 2**20
        sizes[1] += memory.rss / 2**20
    total = sum(pss for pss, _ in parts.values())
    figures = [Figure("memory of all, PSS", total, "MiB")]
    for name, (pss, rss) in sorted(parts.items(), key=lambda part: -part[1][0]):
        figures += [Figure(f"memory of {name}, PSS", pss, "MiB"), Figure(f"memory of {name}, RSS", rss, "MiB")]
    return figures
