"""The scripted experts, and medium players, of the tasks that have them."""

from collections.abc import Callable
from functools import partial

from actors.experts import babyai, control, maze, sokoban
from actors.experts.classic import Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum
from actors.experts.manipulation import Reach
from actors.experts.metaworld import MetaWorld
from actors.experts.per_episode import PerEpisode, distracted
from actors.experts.types import Expert

Make = Callable[[], Expert]

CLASSIC: dict[str, Make] = {
    "Acrobot-v1": Acrobot,
    "CartPole-v1": CartPole,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MountainCarContinuous,
    "Pendulum-v1": Pendulum,
}


def scripted(task: str) -> Make | None:
    """Makes the task's scripted expert; None where there is none."""
    domain, _, name = task.partition("/")
    find = DOMAINS.get(domain)
    return None if find is None else find(name)


DISTRACTED = {"babyai/GoToLocal": 0.8}
"""Tasks whose medium player is the scripted expert with this share of its actions drawn uniformly, so that it scores
about half of it: networks here do not read missions."""


def scripted_medium(task: str) -> Callable[[int], Expert] | None:
    """Makes the task's scripted medium player from a seed; None where there is none."""
    share, make = DISTRACTED.get(task), scripted(task)
    if share is None or make is None:
        return None

    def medium(seed: int) -> Expert:
        expert = make()
        assert isinstance(expert, PerEpisode)
        return PerEpisode(f"{expert.name}-distracted", distracted(expert.begin, share, seed))

    return medium


def _manipulation(name: str) -> Make | None:
    return partial(PerEpisode, f"scripted-{Reach.name}", Reach) if name.startswith("reach_site_") else None


def _babyai(name: str) -> Make | None:
    return None if any(level in name for level in babyai.UNSOLVED) else babyai.bot


def _control(name: str) -> Make | None:
    player = control.PLAYERS.get(name)
    return None if player is None else partial(PerEpisode, f"scripted-{player.name}", player)


DOMAINS: dict[str, Callable[[str], Make | None]] = {
    "babyai": _babyai,
    "control": _control,
    "control-pixels": _control,
    "control-random": lambda name: _control(name.rpartition("-")[0]),
    "gym": CLASSIC.get,
    "manipulation": _manipulation,
    "maze": lambda name: maze.expert,
    "metaworld": lambda name: partial(MetaWorld, name),
    "sokoban": lambda name: sokoban.expert,
}
"""By domain: what makes the expert of a name."""
