"""First-person mazes of dm_control's locomotion and labmaze: `maze/goal-small`, `maze/forage-large`.

A ball that rolls and turns sees a frame of 64x64 from its head, and feels its own motion. Every episode has a maze of
its own, made from the episode's seed. The stand-in for DM Lab, which is not published as a package.
"""

import gymnasium

from actors import rendering
from actors.domains import control, naming

DISCOUNT = 0.99
PACKAGES = ("dm-control", "labmaze", "mujoco")
KINDS = {"goal": 1, "forage": 3}  # targets in each room; one of them is to be found, or all
SIZES = {"small": (9, 1, 20.0), "medium": (11, 3, 30.0), "large": (15, 5, 60.0)}  # cells a side, rooms, seconds


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of `kind-size`; `render` looks from above.

    Raises:
        TaskError: unknown name (names the nearest), dm_control does not load here, or nothing can be drawn here.
    """
    naming.check("maze", name, names())
    rendering.require(f"maze/{name}")
    from actors.maze_environment import MazeEnvironment

    kind, size = name.split("-")
    cells, rooms, seconds = SIZES[size]
    return MazeEnvironment(cells, rooms, KINDS[kind], seconds, forage=kind == "forage")


def names() -> list[str]:
    """Every kind in every size. Raises TaskError when dm_control does not load."""
    control.names()
    return [f"{kind}-{size}" for kind in KINDS for size in SIZES]
