"""Simulated actors, many in one process: what they ask, wait for and write is an actor's; what they step is a pause."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from actors.actor import TABLE, ActorStats
from policy.layout import Layout
from policy.types import ActRequest
from policy.vocabulary import DEFAULT
from replay.errors import ReplayError
from replay.interface import Replay, Writer, connect
from replay.trajectory import Trajectory

WRITERS = 32  # threads of a process that write to replay, since a write may wait
GONE = 60.0  # seconds that a write may take
JITTER = 0.1  # part by which a step's time varies, so that actors do not march in step


@dataclass
class Counters:
    """What the actors of one process have done since they began."""

    steps: int = 0
    """Environment steps."""
    calls: int = 0
    """Answers of the policy server."""
    call_seconds: float = 0.0
    """Their sum, from asking to having the answer."""
    call_bytes: int = 0
    """Arrays of requests and answers."""
    items: int = 0
    """Windows that replay has taken."""
    item_bytes: int = 0
    """Their arrays."""
    writes: int = 0
    """Times that windows were handed over."""
    write_seconds: float = 0.0
    """That this took, the sum."""


class Crowd:
    """Made for Ray, as an async actor.

    Args:
        layout: of a task whose observations are numbers; what is observed is random.
        environments: of each actor.
        windows: one of them is written at an episode's end, and the next episode is as long as it has steps; the last
            is the longest.
        server: Ray handle of the policy server; None: actions are there at once.
        replay: address of the tables; None: nothing is written.
    """

    def __init__(
        self,
        layout: Layout,
        environments: int,
        windows: list[Trajectory],
        server: Any = None,
        replay: str | None = None,
    ):
        self._layout = layout
        self._windows = windows
        self._bytes = [sum(array.nbytes for array in window.to_arrays().values()) for window in windows]
        self._server = server
        self._replay: Replay | None = None if replay is None else connect(replay)
        self._halves = [half.astype(np.int32) for half in np.array_split(np.arange(environments), 2) if len(half)]
        self._random = np.random.default_rng(secrets.randbits(31))
        self._stopped = asyncio.Event()
        self._threads = ThreadPoolExecutor(WRITERS)
        self._counters = Counters()
        self._steps: dict[int, int] = {}  # of each actor

    async def ready(self) -> None:
        """To be called before `run`, which a `stop` from now on ends. Counters begin anew."""
        self._stopped.clear()
        self._counters = Counters()
        self._steps = {}

    async def run(self, number: int, step: float) -> None:
        """Acts as one actor until `stop`, in the order of `actors.actor.Actor`: ask, wait, step, ask, write.

        Args:
            step: seconds that one environment takes for one step; half the environments step one after another.
        """
        writer = None if self._replay is None else await self._in_thread(self._replay.writer, TABLE)
        run_id = secrets.randbits(31)
        lengths = [self._random.integers(1, len(self._windows[-1]) + 1, len(half)) for half in self._halves]
        pending = [self._ask(number, run_id, half, np.ones(len(half), dtype=bool)) for half in self._halves]
        while not self._stopped.is_set():
            for index, half in enumerate(self._halves):
                await self._answer(pending[index])
                # Where nobody is asked for actions, the steps up to the next episode's end are one pause.
                steps = 1 if self._server is not None else int(lengths[index].min())
                await asyncio.sleep(steps * len(half) * step * self._random.uniform(1 - JITTER, 1 + JITTER))
                lengths[index] -= steps
                ended = lengths[index] == 0
                pending[index] = self._ask(number, run_id, half, ended)
                self._counters.steps += steps * len(half)
                self._steps[number] = self._steps.get(number, 0) + steps * len(half)
                if ended.any():
                    drawn = self._random.integers(len(self._windows), size=int(ended.sum()))
                    lengths[index][ended] = [len(self._windows[each]) for each in drawn]
                    await self._write(writer, drawn)
        for call in pending:
            await self._answer(call)

    async def stop(self) -> None:
        """Makes every `run` return."""
        self._stopped.set()

    async def stats(self, number: int) -> ActorStats:
        """Of one actor, as `Actor.stats`; the seconds that it spent on what are not told apart."""
        return ActorStats(number, self._layout.task, self._steps.get(number, 0), 0, 0, 0, [], [], {})

    async def counters(self) -> Counters:
        """Of all actors of this process."""
        return self._counters

    def _ask(self, number: int, run_id: int, half: np.ndarray, reset: np.ndarray) -> Any:
        """The answer to come, with when it was asked for and how large the request is."""
        if self._server is None:
            return None
        low, high = DEFAULT.continuous.start, DEFAULT.continuous.stop
        tokens = self._random.integers(low, high, (len(half), self._layout.observation_tokens), dtype=np.int32)
        request = ActRequest(f"actor {number}", run_id, half, reset, tokens, self._layout.legal)
        size = half.nbytes + reset.nbytes + tokens.nbytes + request.legal.nbytes
        return perf_counter(), size, self._server.act.remote(request)

    async def _answer(self, call: Any) -> None:
        if call is None:
            return
        asked, size, reference = call
        reply = await reference
        counters = self._counters
        counters.calls += 1
        counters.call_seconds += perf_counter() - asked
        counters.call_bytes += size + sum(array.nbytes for array in vars(reply).values())

    async def _write(self, writer: Writer | None, drawn: np.ndarray) -> None:
        if writer is None:
            return
        began = perf_counter()
        await self._in_thread(self._confirmed, writer, [self._windows[each] for each in drawn])
        self._counters.write_seconds += perf_counter() - began
        self._counters.writes += 1
        self._counters.items += len(drawn)
        self._counters.item_bytes += sum(self._bytes[each] for each in drawn)

    def _confirmed(self, writer: Writer, windows: list[Trajectory]) -> None:
        try:
            writer.write(windows, timeout=GONE)
        except ReplayError:
            writer.flush(timeout=GONE)

    async def _in_thread(self, call: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
