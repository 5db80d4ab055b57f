"""Sokoban: `sokoban/10x10-4` (side, boxes), and drawn instead of told: `sokoban/10x10-4-rendered`.

A player pushes boxes onto targets. Every episode has a level of its own, made from the episode's seed and always
solvable within its steps. Rewards are those of the paper that introduced the task to RL (Racaniere et al.,
Imagination-augmented agents, arXiv 1707.06203): -0.1 a step, 1 for a box that comes onto a target, -1 for one that
leaves it, 10 for the last.
"""

import gymnasium
import numpy as np

from actors import sokoban_levels
from actors.domains import naming
from actors.sokoban_levels import MOVES, Square

DISCOUNT = 0.99
PACKAGES = ("numpy",)
SIZES = {"6x6-1": (6, 1), "8x8-2": (8, 2), "10x10-4": (10, 4)}  # side, boxes
SUFFIX = "-rendered"
STEPS = 120
SOLUTION = 100  # moves at most of the solution that a level was made with
STEP, ONTO, OFF, SOLVED = -0.1, 1.0, -1.0, 10.0  # rewards

FLOOR, WALL, TARGET, BOX, BOX_ON_TARGET, PLAYER, PLAYER_ON_TARGET = range(7)
CELL = 8  # pixels of a square in an observation
COLOURS = np.array(
    [
        (40, 40, 40),
        (120, 120, 120),
        (160, 60, 60),
        (200, 160, 60),
        (80, 180, 80),
        (60, 110, 220),
        (150, 90, 220),
    ],
    dtype=np.uint8,
)


def make(name: str, render: bool = False) -> gymnasium.Env:
    """The environment of a size. Raises TaskError for an unknown name (names the nearest)."""
    naming.check("sokoban", name, names())
    side, boxes = SIZES[name.removesuffix(SUFFIX)]
    return Sokoban(side, boxes, drawn=name.endswith(SUFFIX))


def names() -> list[str]:
    """Every size, then every size drawn."""
    return [*SIZES, *(f"{size}{SUFFIX}" for size in SIZES)]


class Sokoban(gymnasium.Env):
    """One player, as many boxes as targets. Actions: up, down, left, right; what cannot be moved stays.

    Args:
        side: squares of a side, the walls around included.
        boxes: and targets.
        drawn: observations are images uint8 [8 side, 8 side, 3] instead of numbers int64 [side, side].
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012  (Gymnasium's own way)
    render_mode = "rgb_array"

    walls: np.ndarray
    """bool [side, side]."""
    targets: tuple[Square, ...]
    boxes: list[Square]
    player: Square

    def __init__(self, side: int, boxes: int, drawn: bool = False):
        self.side = side
        self.count = boxes
        self.drawn = drawn
        self.action_space = gymnasium.spaces.Discrete(len(MOVES))
        if drawn:
            self.observation_space = gymnasium.spaces.Box(0, 255, (CELL * side, CELL * side, 3), np.uint8)
        else:
            self.observation_space = gymnasium.spaces.MultiDiscrete(np.full((side, side), len(COLOURS)))

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        level = sokoban_levels.draw(self.side, self.count, SOLUTION, self.np_random)
        self.walls, self.targets, self.player = level.walls, level.targets, level.player
        self.boxes = list(level.boxes)
        self._steps = 0
        return self._observe(), {"solution_moves": level.moves}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._steps += 1
        before = self._solved()
        self._move(*MOVES[action])
        after = self._solved()
        done = after == self.count
        reward = STEP + (ONTO if after > before else OFF if after < before else 0.0) + (SOLVED if done else 0.0)
        return self._observe(), reward, done, not done and self._steps >= STEPS, {}

    def render(self) -> np.ndarray:  # type: ignore[override]
        """uint8 [16 side, 16 side, 3]."""
        return self._draw(2 * CELL)

    def _move(self, down: int, right: int) -> None:
        row, column = self.player
        ahead, beyond = (row + down, column + right), (row + 2 * down, column + 2 * right)
        if self.walls[ahead]:
            return
        if ahead in self.boxes:
            if self.walls[beyond] or beyond in self.boxes:
                return
            self.boxes[self.boxes.index(ahead)] = beyond
        self.player = ahead

    def _solved(self) -> int:
        return sum(box in self.targets for box in self.boxes)

    def _cells(self) -> np.ndarray:
        """int64 [side, side], of the constants above."""
        cells = np.where(self.walls, WALL, FLOOR)
        for target in self.targets:
            cells[target] = TARGET
        for box in self.boxes:
            cells[box] = BOX_ON_TARGET if box in self.targets else BOX
        cells[self.player] = PLAYER_ON_TARGET if self.player in self.targets else PLAYER
        return cells

    def _observe(self) -> np.ndarray:
        return self._draw(CELL) if self.drawn else self._cells()

    def _draw(self, pixels: int) -> np.ndarray:
        return COLOURS[self._cells()].repeat(pixels, axis=0).repeat(pixels, axis=1)
