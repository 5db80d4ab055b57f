"""Which expert a task has for each quality. Scripted ones are in scripted.py; networks are found by file."""

import difflib
import hashlib
from pathlib import Path

from actors.experts import files
from actors.experts.network import Network
from actors.experts.players import NetworkExpert, RandomExpert
from actors.experts.scripted import scripted, scripted_medium
from actors.experts.types import EXPERT, MEDIUM, MIXED, QUALITIES, RANDOM, Expert, ExpertError, played_by
from policy.layout import Layout


def expert(layout: Layout, quality: str, seed: int) -> Expert:
    """The player of a task.

    Args:
        layout: of the task.
        quality: `random`, `medium` or `expert`; `mixed` demonstrations have two players.
        seed: of its draws.

    Raises:
        ExpertError: no such quality, or none for this task (says which there are and how to make one), or a file that
            is damaged or was made for other spaces.
    """
    task = layout.task
    check_quality(quality)
    if quality == RANDOM:
        return RandomExpert(layout, seed)
    path = _network(task, quality)
    if path is not None:
        about = files.load_about(path)
        return NetworkExpert(f"{about['algorithm'].lower()}-{quality}", Network.load(path), layout, seed)
    make = scripted(task)
    if quality == EXPERT and make is not None:
        return make()
    make_medium = scripted_medium(task)
    if quality == MEDIUM and make_medium is not None:
        return make_medium(seed)
    option = " --until-return RETURN" if quality == MEDIUM else ""
    raise ExpertError(
        f"{task} has no {quality} expert, it has: {', '.join(qualities(task))}; make one with "
        f"'ocelot experts train {task} --quality {quality}{option}'"
    )


def weights(task: str, quality: str) -> list[str]:
    """SHA-256 of the networks that play a quality's demonstrations, in hexadecimal; none for scripted players."""
    paths = [_network(task, one) for one in played_by(quality)]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path is not None]


def qualities(task: str) -> list[str]:
    """Of the demonstrations that can be collected of a task."""
    found = [RANDOM]
    if _network(task, MEDIUM) is not None or scripted_medium(task) is not None:
        found.append(MEDIUM)
    if _network(task, EXPERT) is not None or scripted(task) is not None:
        found.append(EXPERT)
    return [*found, MIXED] if MEDIUM in found and EXPERT in found else found


def check_quality(quality: str) -> None:
    """Raises ExpertError where there is no such quality; names the nearest."""
    if quality not in QUALITIES:
        near = difflib.get_close_matches(quality, QUALITIES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"it is one of {', '.join(QUALITIES)}"
        raise ExpertError(f"unknown quality '{quality}': {hint}")


def _network(task: str, quality: str) -> Path | None:
    """The file of the task's network: the person's own, or the one that comes with Ocelot."""
    for folder in (files.own_folder(), files.SHIPPED):
        path = files.network_path(folder, task, quality)
        if path.exists():
            return path
    return None
