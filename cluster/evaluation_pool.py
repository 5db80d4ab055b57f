"""Evaluations by processes of their own that ask one policy server, under one pinned version."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cluster.local_ray import get, kill, start
from policy.client import connect, received
from policy.layout import Layout
from policy.types import ActReply, ActRequest
from replay.prompts import NO_PROMPT, Prompt

if TYPE_CHECKING:
    from actors.evaluation import Act, Evaluation
    from cluster.filming.clip import Clip

LOG = logging.getLogger("ocelot")
ENVIRONMENTS = 25  # that each process steps side by side
DEADLINE = 60.0  # seconds for one batch of actions


@dataclass(frozen=True)
class Job:
    """One evaluation: a task at a temperature."""

    layout: Layout
    episodes: int
    temperature: float
    seed: int
    with_return: bool = False
    return_kappa: float = 10.0
    prompt: Prompt = NO_PROMPT
    """Stands in front of every episode."""
    film_context: int | None = None
    """Plays the first episode once more for a clip; the tokens that the policy sees at once. None: no clip."""


Played = tuple["Evaluation", "Clip | None"]


class Evaluator:
    """Plays the episodes of one job at a time. Made for Ray."""

    def __init__(self, number: int, server: Any):
        self._number = number
        self._client = connect(server, DEADLINE)

    def play(self, job: Job) -> Played:
        """Raises what environments and the policy server raise."""
        from actors.evaluation import evaluate

        def act(request: ActRequest) -> ActReply:
            # The server's slots go by this name: each process keeps its own from one job to the next.
            named = replace(request, actor=f"evaluation process {self._number}")
            self._client.send(named)
            return received(self._client, DEADLINE)

        evaluation = evaluate(
            act,
            job.layout,
            job.episodes,
            job.temperature,
            job.seed,
            min(ENVIRONMENTS, job.episodes),
            job.with_return,
            job.return_kappa,
            prompt=job.prompt,
        )
        return evaluation, None if job.film_context is None else _clip(act, job, job.film_context)


def _clip(act: "Act", job: Job, context: int) -> "Clip | None":
    """None where the task cannot be drawn: the evaluation does not depend on it."""
    from actors.errors import FilmError
    from actors.film import film
    from cluster.filming.clip import FPS, FRAMES, SECONDS, clip

    try:
        films = film(
            act,
            job.layout,
            context,
            temperature=job.temperature,
            seed=job.seed,
            with_return=job.with_return,
            return_kappa=job.return_kappa,
            most_fps=FPS,
            most_frames=FRAMES,
            most_seconds=SECONDS,
        )
    except FilmError as error:
        LOG.info("no clip of %s: %s", job.layout.task, error)
        return None
    return clip(films[0])


def slots(jobs: Sequence[Job], processes: int) -> int:
    """Slots of the policy server that `play` needs at a time."""
    return min(processes, len(jobs)) * min(ENVIRONMENTS, max(job.episodes for job in jobs))


def play(
    server: Any, jobs: Sequence[Job], processes: int = 2, progress: Callable[[int], None] | None = None
) -> list[Played]:
    """Plays jobs in parallel and returns their evaluations and clips in order.

    Args:
        server: Ray handle of a policy server, pinned at one version.
        processes: that play at the same time.
        progress: told how many jobs are done.
    """
    import ray

    players = [start(Evaluator, number, server) for number in range(min(processes, len(jobs)))]
    try:
        waiting = list(enumerate(jobs))
        results: dict[int, Played] = {}
        running: dict[Any, tuple[int, Any]] = {}
        free = list(players)
        while waiting or running:
            while waiting and free:
                index, job = waiting.pop(0)
                player = free.pop()
                running[player.play.remote(job)] = (index, player)
            done, _ = ray.wait(list(running))
            for reference in done:
                index, player = running.pop(reference)
                results[index] = get(reference)
                free.append(player)
                if progress is not None:
                    progress(len(results))
        return [results[index] for index in range(len(jobs))]
    finally:
        for player in players:
            kill(player)
