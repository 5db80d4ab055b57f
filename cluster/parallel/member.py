"""A training worker, as Ray Train runs it: does what the driver orders, until there is nothing more to do."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cluster.config import PretrainConfig
from cluster.local_ray import answered, get
from cluster.start import Start, weights
from cluster.trainee import Trainee


@dataclass(frozen=True)
class Mission:
    """What every worker gets."""

    config: PretrainConfig
    folder: Path
    """The run's."""
    begin: Start
    """Without weights."""
    resume: Path | None
    """A checkpoint to go on from."""
    places: dict[str, str]
    """Environment variables that name a person's own folders."""
    mailbox: Any
    """Handle of a Mailbox."""


def member(settings: dict[str, Mission]) -> None:
    """The loop of one worker. What is raised in it goes to the driver."""
    mission = settings["mission"]
    _told(mission.mailbox, lambda: _carry_out(mission))


def _carry_out(mission: Mission) -> None:
    import ray.train.torch
    import torch

    from learner.workers import Together

    os.environ.update(mission.places)
    torch.set_num_threads(mission.config.run.learner_threads)
    workers = Together()
    begin = replace(mission.begin, model=weights(mission.config.policy, mission.config.run.seed, mission.resume))
    device = str(ray.train.torch.get_device())
    trainee = Trainee(mission.config, mission.folder, begin, mission.resume, workers, device)
    stop = _Stop(mission.mailbox) if workers.rank == 0 else None
    number = 0
    while (order := get(mission.mailbox.order.remote(number))) is not None:
        name, arguments = order
        if name == "updates":
            arguments = (*arguments, stop)
        act = partial(_act, mission.mailbox, number, partial(getattr(trainee, name), *arguments), workers.rank == 0)
        if name == "write":  # goes on beside the orders after it
            threading.Thread(target=_told, args=(mission.mailbox, act), name="checkpoint", daemon=True).start()
        else:
            act()
        number += 1


def _act(mailbox: Any, number: int, order: Callable[[], Any], first: bool) -> None:
    """Carries out an order; the first worker answers."""
    answer = order()
    if first:
        get(mailbox.answer.remote(number, answer))


def _told(mailbox: Any, act: Callable[[], None]) -> None:
    """What is raised goes to the driver."""
    try:
        act()
    except BaseException as error:
        get(mailbox.fail.remote(error))
        raise


class _Stop:
    """Whether the driver has asked to stop; it then asks for no more updates."""

    def __init__(self, mailbox: Any):
        self._asked = mailbox.stopping.remote()

    def __bool__(self) -> bool:
        return bool(answered([self._asked]))
