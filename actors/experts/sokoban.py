"""A Sokoban solver: A* over pushes.

States are the boxes and the squares that the player can reach. The heuristic is the cheapest assignment of boxes to
targets by the pushes that each box alone would need, which never overestimates, so solutions have the fewest pushes.
Squares from which no box gets to a target, and 2x2 blocks that can never move again, are pruned (Junghanns and
Schaeffer, Sokoban: Enhancing general single-agent search methods, 2001).
"""

import heapq
from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Any

import gymnasium
import numpy as np
from scipy.optimize import linear_sum_assignment

from actors.experts.per_episode import PerEpisode, Player
from actors.sokoban_levels import MOVES, Square

State = tuple[Square, frozenset[Square]]  # player, boxes
Came = tuple[Square, frozenset[Square], Square, int]  # the state before, the square from which was pushed, the move
NODES = 200_000
"""States that a search may visit before it gives up."""

_FAR = 1e6  # pushes of a box to a target that it cannot reach


def expert() -> PerEpisode:
    """The expert of every `sokoban/` task. It moves up for as long as it knows no solution."""
    return PerEpisode("sokoban-a-star", _player)


def _player(environment: gymnasium.Env) -> Player:
    level: Any = environment.unwrapped
    moves = iter(Solver(level.walls, level.targets).solve(level.player, level.boxes) or [])
    return lambda: np.int64(next(moves, 0))


class Solver:
    """Solves levels of one set of walls and targets.

    Args:
        walls: bool [rows, columns]; the border is walls.
        targets: squares on which boxes must come to stand.
    """

    def __init__(self, walls: np.ndarray, targets: Sequence[Square]):
        self._free = {(int(row), int(column)) for row, column in np.argwhere(~walls)}
        self._targets = frozenset(targets)
        self._pushes = [self._pushes_to(target) for target in targets]  # by target: pushes from each square

    def solve(self, player: Square, boxes: Sequence[Square]) -> list[int] | None:
        """Indices into `MOVES` that bring every target a box; None where there is no way, or none within `NODES`."""
        start = frozenset(boxes)
        order = count()
        waiting = [(self._estimate(start), next(order), 0, player, start)]
        came: dict[State, Came | None] = {(player, start): None}
        costs = {(player, start): 0}
        seen: set[State] = set()
        while waiting and len(seen) < NODES:
            _, _, cost, player, standing = heapq.heappop(waiting)
            reached = self._reach(player, standing)
            key = (min(reached), standing)
            if key in seen:
                continue
            seen.add(key)
            if self._targets <= standing:
                return self._moves(player, standing, came)
            for box in standing:
                for move, (down, right) in enumerate(MOVES):
                    behind, ahead = (box[0] - down, box[1] - right), (box[0] + down, box[1] + right)
                    if behind not in reached or ahead not in self._free or ahead in standing:
                        continue
                    pushed = standing - {box} | {ahead}
                    if costs.get((box, pushed), _FAR) <= cost + 1 or self._stuck(ahead, pushed):
                        continue
                    estimate = self._estimate(pushed)
                    if estimate >= _FAR:
                        continue
                    came[box, pushed] = (player, standing, behind, move)
                    costs[box, pushed] = cost + 1
                    # Among equals the latest, which is deeper, comes first.
                    heapq.heappush(waiting, (cost + 1 + estimate, -next(order), cost + 1, box, pushed))
        return None

    def _pushes_to(self, target: Square) -> dict[Square, int]:
        """Pushes that one box alone needs from each square, by pulling it away from the target."""
        found = {target: 0}
        queue = deque([target])
        while queue:
            box = queue.popleft()
            for down, right in MOVES:
                pulled, player = (box[0] - down, box[1] - right), (box[0] - 2 * down, box[1] - 2 * right)
                if pulled in self._free and player in self._free and pulled not in found:
                    found[pulled] = found[box] + 1
                    queue.append(pulled)
        return found

    def _estimate(self, boxes: frozenset[Square]) -> float:
        cost = np.array([[pushes.get(box, _FAR) for pushes in self._pushes] for box in boxes])
        rows, columns = linear_sum_assignment(cost)
        return float(cost[rows, columns].sum())

    def _stuck(self, box: Square, boxes: frozenset[Square]) -> bool:
        """The box is part of a 2x2 block of walls and boxes of which one box is not on a target."""
        for down in (-1, 1):
            for right in (-1, 1):
                block = [(box[0], box[1] + right), (box[0] + down, box[1]), (box[0] + down, box[1] + right)]
                if any(square in self._free and square not in boxes for square in block):
                    continue
                if any(square in boxes and square not in self._targets for square in (box, *block)):
                    return True
        return False

    def _reach(self, player: Square, boxes: frozenset[Square]) -> dict[Square, tuple[Square, int] | None]:
        """Every square that the player can walk to, with the square and the move by which it is entered."""
        entered: dict[Square, tuple[Square, int] | None] = {player: None}
        queue = deque([player])
        while queue:
            square = queue.popleft()
            for move, (down, right) in enumerate(MOVES):
                following = (square[0] + down, square[1] + right)
                if following in self._free and following not in boxes and following not in entered:
                    entered[following] = (square, move)
                    queue.append(following)
        return entered

    def _moves(self, player: Square, boxes: frozenset[Square], came: dict[State, Came | None]) -> list[int]:
        """Walks and pushes from the start to this state, found backwards."""
        moves: list[int] = []
        while before := came[player, boxes]:
            player, boxes, square, push = before
            moves.append(push)
            entered = self._reach(player, boxes)
            while step := entered[square]:
                square, move = step
                moves.append(move)
        return moves[::-1]
