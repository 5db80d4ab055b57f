"""The actor process: steps environments, asks the policy server for actions, and writes what happened to replay."""

import secrets
import threading
import time
from collections import deque
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from actors.environments import Environments, StepResult
from actors.errors import ServerSilent
from actors.recorder import EPISODE_LIMIT, Recorder
from policy.client import PolicyClient
from policy.client import connect as connect_client
from policy.layout import Layout
from policy.slots import SlotError
from policy.timing import Timing
from policy.types import ActReply, ActRequest
from replay.errors import ReplayError, ReplayTimeout
from replay.interface import Writer, connect
from replay.prompts import TablePrompts
from replay.trajectory import Trajectory

TABLE = "online"
POLL_SECONDS = 0.5  # how long a wait may keep `stop` from being noticed


@dataclass(frozen=True)
class ActorStats:
    """What an actor has done since it was made."""

    actor: int
    task: str
    steps: int
    """Environment steps."""
    episodes: int
    """Finished ones."""
    windows: int
    """Handed to replay."""
    faults: int
    """Times that an environment failed."""
    returns: list[float]
    """Of the episodes that finished since stats were last asked for, undiscounted."""
    lengths: list[int]
    """Of the same episodes, in steps."""
    seconds: dict[str, float]
    """Spent on: env (stepping), wait (for actions), encode (tokens), write (replay, and its rate limiter),
    paused (waiting for `allow`)."""


@dataclass
class _Half:
    """Environments that act together; one half steps while the other waits for its actions."""

    rows: np.ndarray  # int [n]: which environments
    tokens: np.ndarray  # int32 [n, observation_tokens]: what to act on next
    patches: np.ndarray | None  # uint8 [n, patches, 16, 16, 3]: its images; None where the task has none
    reset: np.ndarray  # bool [n]: that observation begins an episode
    client: PolicyClient


class Actor:
    """One actor. cluster/ makes it a Ray actor of at least two threads: `run` fills one, `stats` and `stop` another.

    Args:
        number: of this actor, unique in its run.
        layout: of its task, as the policy knows it.
        environments: how many it steps.
        seed: of the run; its environments' seed is made of this and the actor's number.
        server: Ray handle of the policy server.
        replay: address for `replay.interface.connect`; None writes nothing.
        context: tokens that the policy sees at once.
        temperature, with_return, return_kappa: as in ActRequest.
        prompts: every episode begins behind a prompt from replay's table of them.
        episode_limit: longer episodes are written in pieces before they end.
        max_steps: `run` returns after so many environment steps; None: when stopped.
        allowed: `run` waits after so many environment steps for `allow`; None: it never waits.
        deadline: seconds that the policy server may take for an answer, and the replay server may be gone.
    """

    def __init__(
        self,
        number: int,
        layout: Layout,
        environments: int,
        seed: int,
        server: Any,
        replay: str | None,
        context: int,
        temperature: float = 1.0,
        with_return: bool = False,
        prompts: bool = False,
        return_kappa: float = 10.0,
        episode_limit: int = EPISODE_LIMIT,
        max_steps: int | None = None,
        allowed: int | None = None,
        deadline: float = 60.0,
    ):
        self.number = number
        self.layout = layout
        self.server = server
        self.replay = replay
        self.temperature = temperature
        self.with_return = with_return
        self.prompts = prompts
        self.return_kappa = return_kappa
        self.max_steps = max_steps
        self.deadline = deadline
        self.run_id = secrets.randbits(31)
        own_seed = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
        self._envs = Environments(layout, environments, own_seed)
        self._recorder = Recorder(layout, number, environments, context, temperature, self.run_id, episode_limit)
        self._prompts: TablePrompts | None = None
        self._stop = threading.Event()
        self._allowed = allowed
        self._more = threading.Event()
        self._timing = Timing("env", "wait", "encode", "write", "paused")
        self._finished: deque[tuple[float, int]] = deque()  # return and length of episodes not yet reported
        self._steps = self._episodes = self._windows = 0

    def run(self) -> None:
        """Acts until `stop`, or for `max_steps`. To be called once.

        Raises:
            EnvironmentFailed: an environment was given up.
            ServerSilent: the policy server did not answer before the deadline.
            SlotError: it has fewer slots than are asked for.
            ReplayError: the replay server stayed away beyond the deadline.
        """
        with closing(self._envs):
            if self.replay is None:
                self._act(None)
                return
            with closing(connect(self.replay)) as replay, closing(replay.writer(TABLE)) as writer:
                if self.prompts:
                    self._prompts = TablePrompts(replay, self.layout.task, self.deadline)
                self._act(writer)
                self._confirm(writer)

    def stop(self) -> None:
        """Makes `run` return within a second or so."""
        self._stop.set()
        self._more.set()

    def allow(self, steps: int | None) -> None:
        """Sets the number of environment steps, of all since the start, at which `run` waits; None: it never waits."""
        self._allowed = steps
        self._more.set()

    def stats(self) -> ActorStats:
        """Counters, and the episodes that finished since the last call."""
        finished = [self._finished.popleft() for _ in range(len(self._finished))]
        return ActorStats(
            actor=self.number,
            task=self.layout.task,
            steps=self._steps,
            episodes=self._episodes,
            windows=self._windows,
            faults=self._envs.faults,
            returns=[each for each, _ in finished],
            lengths=[each for _, each in finished],
            seconds=dict(self._timing.seconds),
        )

    def _act(self, writer: Writer | None) -> None:
        with self._timing.add("env"):
            observation = self._envs.reset()
        tokens, patches = self._encode(observation)
        with ExitStack() as clients:
            halves = [
                _Half(
                    rows,
                    tokens[rows],
                    None if patches is None else patches[rows],
                    np.ones(len(rows), dtype=bool),
                    clients.enter_context(closing(connect_client(self.server, self.deadline))),
                )
                for rows in np.array_split(np.arange(self._envs.count), 2)
                if len(rows)
            ]
            self._take_turns(halves, writer)

    def _take_turns(self, halves: list[_Half], writer: Writer | None) -> None:
        for half in halves:
            self._ask(half)
        while True:
            for half in halves:
                self._wait_until_allowed()
                windows = self._turn(half)
                if not self._stop.is_set():
                    self._ask(half)  # before writing, so that the server works meanwhile
                self._write(writer, windows)
                if self._stop.is_set():
                    return
            if self.max_steps is not None and self._steps >= self.max_steps:
                return

    def _turn(self, half: _Half) -> list[Trajectory]:
        """One step of half the environments; the windows that it completed."""
        try:
            reply = self._answer(half)
        except SlotError:
            if half.reset.all():  # nothing that it could have lost: it has too few slots
                raise
            # A server that was restarted, or that gave our slots away, has lost the contexts of these episodes.
            windows = self._recorder.abandoned(half.rows, half.tokens, half.patches)
            half.tokens, half.patches = self._encode(self._envs.restart(half.rows))
            half.reset[:] = True
            return windows
        if reply is None:
            return []
        windows = self._recorder.acted(half.rows, half.tokens, reply, half.patches)
        with self._timing.add("encode"):
            actions = self.layout.decode_action(reply.tokens)
        with self._timing.add("env"):
            result = self._envs.step(actions, half.rows)
        final = half.tokens, half.patches = self._encode(result.observation)
        half.reset = result.ended | result.faulted
        if half.reset.any():
            final = self._encode(result.final_observation)
        windows += self._recorder.stepped(
            half.rows, result.rewards, result.terminated, result.truncated, result.faulted, *final
        )
        self._count(result)
        return windows

    def _ask(self, half: _Half) -> None:
        request = ActRequest(
            actor=f"actor {self.number}",
            run_id=self.run_id,
            slots=half.rows.astype(np.int32),
            reset=half.reset,
            tokens=half.tokens,
            legal=self.layout.legal,
            temperature=self.temperature,
            with_return=self.with_return,
            return_kappa=self.return_kappa,
            patches=half.patches,
            patch_intervals=self.layout.patch_intervals,
        )
        if self._prompts is not None and half.reset.any():
            with self._timing.add("wait"):
                drawn = self._prompts.draw(int(half.reset.sum()))
            self._recorder.begin(half.rows[half.reset], drawn)
            request.prompt = np.stack([prompt.tokens for prompt in drawn])  # [resets, K, S]
            request.prompt_patches = np.stack([prompt.patches for prompt in drawn]) if self.layout.patches else None
        half.client.send(request)

    def _answer(self, half: _Half) -> ActReply | None:
        """The server's answer, or None when stopped meanwhile."""
        given_up = time.monotonic() + self.deadline
        with self._timing.add("wait"):
            while not self._stop.is_set():
                reply = half.client.receive(POLL_SECONDS)
                if reply is not None:
                    return reply
                if time.monotonic() > given_up:
                    raise ServerSilent(
                        f"the policy server did not answer actor {self.number} for {self.deadline:g} s; it hangs, or "
                        "has too little compute for so many environments: fewer actors, or a smaller policy"
                    )
        return None

    def _write(self, writer: Writer | None, windows: list[Trajectory]) -> None:
        if writer is None or not windows:
            return
        with self._timing.add("write"):
            try:
                writer.write(windows, timeout=POLL_SECONDS)
            except ReplayError:  # the windows stay queued
                self._confirm(writer)
        self._windows += len(windows)

    def _wait_until_allowed(self) -> None:
        with self._timing.add("paused"):
            while self._allowed is not None and self._steps >= self._allowed and not self._stop.is_set():
                self._more.wait(POLL_SECONDS)
                self._more.clear()

    def _confirm(self, writer: Writer) -> None:
        """Waits until replay has every window, for as long as its rate limiter holds, unless stopped."""
        given_up = time.monotonic() + self.deadline
        while True:
            try:
                return writer.flush(timeout=POLL_SECONDS)
            except ReplayTimeout:
                given_up = time.monotonic() + self.deadline
            except ReplayError:
                if time.monotonic() > given_up:
                    raise
            if self._stop.wait(0.1):
                return

    def _encode(self, observation: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Tokens and images of a batch of observations."""
        with self._timing.add("encode"):
            return self.layout.encode_observation(observation), self.layout.encode_images(observation)

    def _count(self, result: StepResult) -> None:
        self._steps += int((~result.faulted).sum())
        for row in np.flatnonzero(result.ended):
            self._episodes += 1
            self._finished.append((float(result.returns[row]), int(result.lengths[row])))
