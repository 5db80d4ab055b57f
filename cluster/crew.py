"""Processes that share a list of jobs."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from cluster.local_ray import ProcessError, get, kill, local_ray, start

PLACES = ("OCELOT_EXPERTS_PATH", "MINARI_DATASETS_PATH")
"""Variables of a person's own folders. A Ray that was there before may have started with others."""


class Member:
    """Made for Ray: an object that does one job after the other.

    It is made with the first job: what its class raises would otherwise end the process, without a word of its own.
    """

    def __init__(self, kind: type, arguments: dict[str, Any], places: dict[str, str]):
        self._make = kind, arguments
        self._places = places
        self._worker: Any = None

    def do(self, method: str, job: Any) -> Any:
        """Raises what its class or the job raises."""
        if self._worker is None:
            os.environ.update(self._places)
            kind, arguments = self._make
            self._worker = kind(**arguments)
        return getattr(self._worker, method)(job)


def share(kind: type, arguments: dict[str, Any], method: str, jobs: Sequence[Any], processes: int) -> Iterator[Any]:
    """Does each job by one of several processes, each with a `kind(**arguments)`; results as they come.

    Args:
        method: of `kind`, which takes a job.
        processes: at most; with one, or one job, it is this process.

    Raises:
        OcelotError: what the class or a job raised.
        ProcessError: when one of the processes dies.
    """
    if min(processes, len(jobs)) <= 1:
        worker = kind(**arguments) if jobs else None
        yield from (getattr(worker, method)(job) for job in jobs)
        return
    places = {name: os.environ[name] for name in PLACES if name in os.environ}
    with local_ray():
        import ray  # not before: local_ray sets what it reads as it loads

        free = [start(Member, kind, arguments, places) for _ in range(min(processes, len(jobs)))]
        members = list(free)
        try:
            waiting = list(reversed(jobs))
            running: dict[Any, Any] = {}
            while waiting or running:
                while waiting and free:
                    member = free.pop()
                    running[member.do.remote(method, waiting.pop())] = member
                for reference in ray.wait(list(running))[0]:
                    free.append(running.pop(reference))
                    try:
                        result = get(reference)
                    except ray.exceptions.RayActorError:
                        raise ProcessError(
                            "a process that played died; perhaps the machine is out of memory. What the others have "
                            "done is kept: give the command again, with fewer --processes"
                        ) from None
                    yield result
        finally:
            for member in members:
                kill(member)
