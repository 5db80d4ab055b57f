"""The learners of a fine-tuning run as one: they train together, live together and die together."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.config import FinetuneConfig
from cluster.learner_process import LearnerProcess
from cluster.local_ray import background, control, get, kill, start
from cluster.start import Start
from policy.types import Version
from replay.interface import TableInfo

LOOK = 0.05  # seconds between looks at calls
END = 10.0  # seconds that learners have to end a call that one of them has ended with an error


class Learners:
    """Processes of the class `LearnerProcess`, one or several.

    Where they meet, all are called, in the same order. When one dies the others hear it from torch.distributed, in the
    call that they are in, and are of no use any more: who sees the error ends all of them.

    Args:
        handles: Ray handles, the first learner's first.
        folder: where they meet, to be deleted with them.
    """

    def __init__(self, handles: Sequence[Any], folder: Path | None = None):
        self.handles = list(handles)
        self._folder = folder

    def updates(self, count: int) -> list[Any]:
        """The calls that make so many updates, to be waited for with `ended`; `together` makes one of their answers."""
        return self._ask("updates", count)

    def ended(self, calls: list[Any], timeout: float) -> bool:
        """Whether all learners have answered, or one has failed; after so many seconds at the latest."""
        import ray

        there, missing = ray.wait(calls, num_returns=len(calls), timeout=timeout)
        return not missing or any(_error(call) is not None for call in there)

    def answers(self, calls: list[Any]) -> list[Any]:
        """Waits until all learners have answered, or one has failed; then those that wait for it are ended.

        Raises:
            ray.exceptions.RayActorError: one of them is dead.
            OcelotError: what one of them raised, as it began (BeginError) or later.
        """
        import ray

        while not self.ended(calls, LOOK):
            pass
        there, missing = ray.wait(calls, num_returns=len(calls), timeout=END)
        if missing:
            self.kill()
        errors = [error for call in there if (error := _error(call)) is not None]
        if errors:
            # What the others raise is that they lost the one that died.
            raise next((error for error in errors if isinstance(error, ray.exceptions.RayActorError)), errors[0])
        return [get(call) for call in there]

    def version(self) -> Version:
        """Of the weights as they are now. Raises as `answers`."""
        version: Version = self.answers(self._ask("version"))[0]
        return version

    def weights(self) -> Any:
        """A Ray reference to the weights that act, after all calls before this one."""
        return self._ask("weights")[0]

    def tables(self) -> dict[str, TableInfo]:
        """State of replay. Raises ReplayError when its server does not answer."""
        return dict(get(self.handles[0].tables.remote()))

    def copy(self, extra: dict[str, Any]) -> None:
        """As `LearnerProcess.copy`. Raises as `answers`."""
        self.answers(self._ask("copy", extra))

    def write(self, folder: Path) -> list[Any]:
        """As `LearnerProcess.write`, beside other calls; returns the calls, to be waited for with `answers`."""
        return [background(each.write, folder) for each in self.handles]

    def waiting(self, timeout: float) -> float:
        """Seconds for which the current update has waited for windows; 0 when it does not.

        Raises:
            ray.exceptions.GetTimeoutError: a learner has not answered for so many seconds.
        """
        return max(get([control(each.waiting) for each in self.handles], timeout=timeout))

    def stop(self) -> None:
        """Ends `updates` before its next update, or while it waits for windows."""
        control(self.handles[0].stop)  # which tells the others

    def kill(self) -> None:
        """Ends all."""
        for each in self.handles:
            kill(each)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self, name: str, *arguments: Any) -> list[Any]:
        return [getattr(each, name).remote(*arguments) for each in self.handles]


def learn(
    begin: Start,
    config: FinetuneConfig,
    replay: str,
    incarnation: int,
    resume: Path | None,
    before: Path | None,
    place: Mapping[str, Any],
    beside: Mapping[str, int] | None = None,
) -> Learners:
    """Starts as many learners as `parallel.workers` says.

    Args:
        begin, config, replay, incarnation, resume, before, beside: as in `LearnerProcess`.
        place: where Ray puts each, as in `start`.
    """
    import ray

    sent = ray.put(begin)  # once for all of them
    folder = None if config.parallel.alone else Path(tempfile.mkdtemp(prefix="ocelot-learners-"))
    handles = [
        start(
            LearnerProcess,
            sent,
            config,
            replay,
            incarnation,
            resume,
            before,
            rank,
            folder and folder / "meeting",
            beside,
            cpu_threads=config.run.learner_threads,
            control=True,
            place=place,
        )
        for rank in range(config.parallel.workers)
    ]
    return Learners(handles, folder)


def _error(call: Any) -> Exception | None:
    """What a call that has ended raised."""
    try:
        get(call)
    except Exception as error:
        return error
    return None
