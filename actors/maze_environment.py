"""First-person mazes of dm_control's locomotion: what the maze domain makes. Imports dm_control and labmaze."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import labmaze
import numpy as np
from dm_control import composer, mjcf
from dm_control.locomotion.arenas import mazes
from dm_control.locomotion.props import target_sphere
from dm_control.locomotion.tasks import random_goal_maze
from dm_control.locomotion.walkers import jumping_ball

from actors.dm_environment import ComposerEnvironment

CELL = 3.0  # metres
STEP, CONTROL = 0.005, 0.04  # seconds of a physics step, and of an action
REWARD = 1.0  # of a target
ROOM = 3, 5  # cells along a room's side, least and most
TARGET = (0.1, 0.1, 0.8), (0.3, 0.3, 1.0)  # colours
WALLS = ((0.8, 0.3, 0.2), (0.2, 0.6, 0.3), (0.7, 0.6, 0.2), (0.5, 0.3, 0.6))
FLOORS = ((0.5, 0.5, 0.5), (0.6, 0.5, 0.4))
PIXELS = 64  # of a texture's side


class MazeEnvironment(ComposerEnvironment):
    """A ball in a maze that follows from the episode's seed, textures included.

    Args:
        cells: along a side of the maze, odd.
        rooms: in it at most; each has a place to start from.
        targets: in each room.
        seconds: of an episode.
        forage: all targets are to be found; else one of them, which ends the episode.
    """

    def __init__(self, cells: int, rooms: int, targets: int, seconds: float, forage: bool):
        self._maze = partial(_maze, cells, rooms, targets)
        super().__init__(_environment(self._maze, seconds, forage), camera="top_camera")

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, np.ndarray], dict]:
        if seed is None:
            return super().reset(options=options)
        before = np.random.get_state()  # noqa: NPY002  (dm_control draws textures from the global generator)
        np.random.seed(seed)  # noqa: NPY002
        try:
            return super().reset(seed=seed, options=options)
        finally:
            np.random.set_state(before)  # noqa: NPY002

    def seed(self, seed: int) -> None:
        super().seed(seed)
        self.env.task.root_entity._maze = self._maze(seed)  # labmaze's own cannot be seeded after it is made


class Checks(composer.Entity):
    """Chequered textures. labmaze's photographs take seconds of every reset to upload where GL is software."""

    def _build(self, name: str, colours: Sequence[tuple[float, float, float]]) -> None:
        self._mjcf_root = mjcf.RootElement(model=name)
        self.textures = [
            self._mjcf_root.asset.add(
                "texture",
                type="2d",
                name=f"{name}{index}",
                builtin="checker",
                rgb1=colour,
                rgb2=[0.7 * part for part in colour],
                width=PIXELS,
                height=PIXELS,
            )
            for index, colour in enumerate(colours)
        ]

    @property
    def mjcf_model(self) -> Any:
        return self._mjcf_root


def _maze(cells: int, rooms: int, targets: int, seed: int) -> Any:
    return labmaze.RandomMaze(
        height=cells,
        width=cells,
        max_rooms=rooms,
        room_min_size=ROOM[0],
        room_max_size=ROOM[1],
        spawns_per_room=1,
        objects_per_room=targets,
        random_seed=seed % 2**31,
    )


def _environment(maze: Callable[[int], Any], seconds: float, forage: bool) -> Any:
    arena = mazes.MazeWithTargets(
        maze=maze(0), xy_scale=CELL, wall_textures=Checks("walls", WALLS), floor_textures=Checks("floors", FLOORS)
    )
    quality = arena.mjcf_model.visual.quality
    quality.shadowsize = quality.offsamples = 0  # three quarters of the time where drawing is done in software
    walker = jumping_ball.RollingBallWithHead(camera_height=0.4)
    # At the ball's own height: as high as the package puts them, it would roll through beneath.
    target = partial(target_sphere.TargetSphere, radius=0.4, height_above_ground=0.6, rgb1=TARGET[0], rgb2=TARGET[1])
    settings: dict[str, Any] = {
        "walker": walker,
        "maze_arena": arena,
        "physics_timestep": STEP,
        "control_timestep": CONTROL,
        "contact_termination": False,
        "target_reward_scale": REWARD,
    }
    if forage:
        task = random_goal_maze.ManyGoalsMaze(target_builder=target, **settings)
    else:
        task = random_goal_maze.RepeatSingleGoalMaze(target=target(), **settings)
    return composer.Environment(task, time_limit=seconds, strip_singleton_obs_buffer_dim=True)
