"""Domains: families of tasks, one module each. A new one is a module and a line in `DOMAINS`."""

import difflib
from typing import Protocol

import gymnasium

from actors.domains import (
    atari,
    babyai,
    control,
    control_pixels,
    control_random,
    gym,
    manipulation,
    maze,
    metaworld,
    modular,
    sokoban,
)
from actors.errors import TaskError
from actors.spaces import describe
from policy.layout import TEXT_TOKENS, Layout
from policy.text import TextTokenizer


class Domain(Protocol):
    """What the module of a domain defines."""

    DISCOUNT: float
    """Discount of its tasks."""

    @property
    def PACKAGES(self) -> tuple[str, ...]:
        """What its tasks' behaviour depends on, by the names under which it is installed."""

    def make(self, name: str, render: bool = False) -> gymnasium.Env:
        """The environment of `domain/name`, whose `render` returns uint8 [height, width, 3] if asked for.

        Raises TaskError.
        """

    def names(self) -> list[str]:
        """Names of its tasks, without the domain."""


DOMAINS: dict[str, Domain] = {
    "atari": atari,
    "babyai": babyai,
    "control": control,
    "control-pixels": control_pixels,
    "control-random": control_random,
    "gym": gym,
    "manipulation": manipulation,
    "maze": maze,
    "metaworld": metaworld,
    "modular": modular,
    "sokoban": sokoban,
}


def make(task: str, render: bool = False) -> gymnasium.Env:
    """A new environment of a task such as `gym/CartPole-v1` or `control/cartpole-swingup`.

    Args:
        render: its `render` will be asked for frames, uint8 [height, width, 3].

    Raises:
        TaskError: when the task or its domain is unknown (names the nearest known), or cannot be made here.
    """
    domain, name = _split(task)
    return domain.make(name, render=True) if render else domain.make(name)


def task_layout(task: str, action_bins: int = 1024, text: TextTokenizer | None = None, vectors: bool = False) -> Layout:
    """The layout of a task's timesteps, from the spaces of an environment made for it.

    Raises:
        TaskError: as `make`.
        SpaceError: when its spaces cannot become tokens.
    """
    env = make(task)
    try:
        observation = describe(env.observation_space, task)
        action = describe(env.action_space, task)
    finally:
        env.close()
    domain, name = _split(task)
    text_tokens = babyai.text_tokens(name) if domain is babyai else TEXT_TOKENS
    return Layout(task, observation, action, action_bins, text=text, text_tokens=text_tokens, vectors=vectors)


def packages(task: str) -> tuple[str, ...]:
    """Packages whose versions its behaviour depends on. Raises TaskError when its domain is unknown."""
    return _split(task)[0].PACKAGES


def discount(task: str) -> float:
    """The discount of a task's returns. Raises TaskError when its domain is unknown."""
    return _split(task)[0].DISCOUNT


def names() -> list[str]:
    """Every task that is known by name and whose domain loads here. Any registered Gymnasium id works beside them."""
    return [
        f"{domain}/{name}" for domain, module in DOMAINS.items() if domain not in missing() for name in module.names()
    ]


def missing() -> dict[str, str]:
    """Domains that do not load on this machine, and why."""
    found = {}
    for domain, module in DOMAINS.items():
        try:
            module.names()
        except TaskError as error:
            found[domain] = str(error)
    return found


def _split(task: str) -> tuple[Domain, str]:
    domain, slash, name = task.partition("/")
    if domain not in DOMAINS or not name:
        near = difflib.get_close_matches(domain, DOMAINS, n=1)
        if slash and near and name:
            hint = f"did you mean '{near[0]}/{name}'?"
        else:
            hint = f"tasks are written domain/name, with a domain of: {', '.join(DOMAINS)}"
        raise TaskError(f"unknown task '{task}': {hint}")
    return DOMAINS[domain], name
