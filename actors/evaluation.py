"""How good a policy is: episodes played with one version of its weights, from starts that every evaluation shares."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from actors.environments import Environments, StepResult
from actors.errors import EvaluationError
from policy.layout import Layout
from policy.types import NO_VERSION, ActReply, ActRequest, Version
from replay.prompts import NO_PROMPT, Prompt

Act = Callable[[ActRequest], ActReply]


@dataclass(frozen=True)
class Evaluation:
    """The episodes of one task under one policy version, in the order of their starts."""

    task: str
    returns: list[float]
    """Undiscounted, one an episode."""
    lengths: list[int]
    """Steps, one an episode."""
    version: Version
    temperature: float
    seed: int
    faults: int
    """Times that an environment failed and its episode was played anew."""
    seconds: float


class Watcher(Protocol):
    """Looks on while episodes are played."""

    def before(self, envs: Environments, rows: np.ndarray) -> None:
        """The environments `rows` (int [n]) are about to act; they are not to be stepped."""

    def after(self, rows: np.ndarray, request: ActRequest, reply: ActReply, actions: Any, result: StepResult) -> None:
        """What they asked, what was answered, the actions that they made of it (leaves stacked along n), and what
        happened."""


def evaluate(
    act: Act,
    layout: Layout,
    episodes: int,
    temperature: float = 0.0,
    seed: int = 0,
    environments: int = 25,
    with_return: bool = False,
    return_kappa: float = 10.0,
    progress: Callable[[int, int], None] | None = None,
    watch: Watcher | None = None,
    prompt: Prompt = NO_PROMPT,
) -> Evaluation:
    """Plays `episodes` episodes of the layout's task.

    Every environment plays a share that is fixed beforehand, so short episodes count no more than long ones, and the
    k-th episode's start depends on (seed, k) alone.

    Args:
        act: answers requests, all with the same weights.
        layout: of the task.
        episodes: at least one.
        temperature: of action sampling; 0 is greedy.
        seed: of the starts.
        environments: that play side by side, at most; each needs a slot of the policy server.
        with_return, return_kappa: as in ActRequest.
        progress: called with (episodes done, episodes) after each.
        watch: told of every step, with environments that can be drawn.
        prompt: stands in front of every episode.

    Raises:
        EvaluationError: when the weights change meanwhile.
        EnvironmentFailed, TaskError: as `Environments`.
    """
    started = time.perf_counter()
    count = min(environments, episodes)
    left = np.array([len(range(index, episodes, count)) for index in range(count)])  # episodes to play
    played = np.zeros(count, dtype=np.int64)
    returns, lengths = np.zeros(episodes), np.zeros(episodes, dtype=np.int64)
    run_id = int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    version: Version | None = None
    with closing(Environments(layout, count, seed, render=watch is not None)) as envs:
        first = envs.reset()
        tokens = layout.encode_observation(first)  # [count, observation_tokens]
        patches = layout.encode_images(first)  # [count, patches, 16, 16, 3]
        reset = np.ones(count, dtype=bool)
        rows = np.arange(count)
        while len(rows):
            if watch is not None:
                watch.before(envs, rows)
            request = ActRequest(
                actor=f"evaluation of {layout.task}",
                run_id=run_id,
                slots=rows.astype(np.int32),
                reset=reset[rows],
                tokens=tokens[rows],
                legal=layout.legal,
                temperature=temperature,
                with_return=with_return,
                return_kappa=return_kappa,
                patches=None if patches is None else patches[rows],
                patch_intervals=layout.patch_intervals,
                **_prompted(prompt, int(reset[rows].sum())),
            )
            reply = act(request)
            acted = {Version(*row) for row in reply.versions.tolist()} | ({version} if version else set())
            if len(acted) > 1:
                raise EvaluationError(
                    f"{layout.task}: the weights changed from version {min(acted)} to {max(acted)} during an "
                    "evaluation; pin a version for as long as it takes"
                )
            version = acted.pop()
            actions = layout.decode_action(reply.tokens)
            result = envs.step(actions, rows)
            if watch is not None:
                watch.after(rows, request, reply, actions, result)
            tokens[rows] = layout.encode_observation(result.observation)
            if patches is not None:
                patches[rows] = layout.encode_patches(result.observation)
            reset[rows] = result.ended | result.faulted
            for row in np.flatnonzero(result.ended):
                index = rows[row]
                episode = index + played[index] * count
                returns[episode], lengths[episode] = result.returns[row], result.lengths[row]
                played[index] += 1
                if progress is not None:
                    progress(int(played.sum()), episodes)
            rows = np.flatnonzero(played < left)
    assert version is not None
    return Evaluation(
        layout.task,
        returns.tolist(),
        lengths.tolist(),
        version,
        temperature,
        seed,
        envs.faults,
        time.perf_counter() - started,
    )


def _prompted(prompt: Prompt, resets: int) -> dict[str, Any]:
    """What a request says of a prompt where `resets` episodes begin."""
    if not len(prompt.tokens) or not resets:
        return {}
    tokens, patches = (np.repeat(part[None], resets, axis=0) for part in prompt)
    return {"prompt": tokens, "prompt_patches": patches if patches.size else None}


def random_policy(seed: int) -> Act:
    """Acts uniformly over the legal tokens, in place of a policy server."""
    generator = np.random.default_rng(seed)

    def act(request: ActRequest) -> ActReply:
        n, (low, high) = len(request.slots), request.legal.T
        tokens = generator.integers(low, high, size=(n, len(low)), dtype=np.int32)
        log_probs = np.tile(-np.log(high - low).astype(np.float32), (n, 1))
        nothing = np.full(n, -1, dtype=np.int32)
        versions = np.tile(np.array(NO_VERSION, dtype=np.int32), (n, 1))
        return ActReply(tokens, log_probs, versions, context_start=nothing, return_tokens=nothing)

    return act
