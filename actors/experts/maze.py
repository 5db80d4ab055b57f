"""The expert of `maze/`: the shortest way through the maze, which the player that learns has to look for."""

from collections import deque
from typing import Any

import gymnasium
import numpy as np

from actors.experts.per_episode import PerEpisode

Square = tuple[int, int]  # row, column
STEPS: tuple[Square, ...] = ((-1, 0), (1, 0), (0, -1), (0, 1))
STEER, ROLL = 2.0, 1.0
"""Action for each radian that it heads off its way, and straight ahead."""


def expert() -> PerEpisode:
    """The expert of every maze."""
    return PerEpisode("shortest-path", _Walker)


class _Walker:
    """Heads for the next square of the shortest way to the nearest target that is left."""

    def __init__(self, environment: gymnasium.Env):
        env: Any = environment.unwrapped
        self.physics, self.task = env.env.physics, env.env.task
        self.arena, self.body = self.task._maze_arena, self.task._walker.root_body
        layer = np.asarray(self.arena.maze.entity_layer)
        self.free = {(int(row), int(column)) for row, column in np.argwhere(layer != "*")}

    def __call__(self) -> np.ndarray:
        body = self.physics.bind(self.body)
        place, heading = np.array(body.xpos), np.array(body.xmat).reshape(3, 3)[:, 1]
        aim = self._aim(place) - place
        off = np.arctan2(heading[0] * aim[1] - heading[1] * aim[0], heading[:2] @ aim[:2])
        ahead = ROLL * np.cos(off) if abs(off) < 1.0 else 0.0
        return np.clip([-ahead, -STEER * off], -1.0, 1.0).astype(np.float32)

    def _aim(self, place: np.ndarray) -> np.ndarray:
        """Where to head for, [3]: the target itself on its own square, else the next square's middle."""
        targets = {self._square(position): position for position in self._targets()}
        square = self._square(place)
        if square in targets or not targets:
            return targets.get(square, place)
        distance = self._distances(list(targets))
        following = min(
            ((square[0] + down, square[1] + right) for down, right in STEPS), key=lambda at: distance.get(at, np.inf)
        )
        return targets.get(following, self.arena.grid_to_world_positions([following])[0])

    def _targets(self) -> list[np.ndarray]:
        """Places of the targets that are left, each [3]."""
        task = self.task
        props = [task._target] if hasattr(task, "_target") else [prop for kind in task._active_targets for prop in kind]
        return [np.array(self.physics.bind(prop.geom).xpos) for prop in props if not prop.activated]

    def _distances(self, targets: list[Square]) -> dict[Square, int]:
        """Steps from each square to the nearest target."""
        found = dict.fromkeys(targets, 0)
        queue = deque(targets)
        while queue:
            square = queue.popleft()
            for down, right in STEPS:
                following = (square[0] + down, square[1] + right)
                if following in self.free and following not in found:
                    found[following] = found[square] + 1
                    queue.append(following)
        return found

    def _square(self, place: np.ndarray) -> Square:
        row, column = self.arena.world_to_grid_positions([place])[0].round()
        return int(row), int(column)
