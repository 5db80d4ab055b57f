"""Sokoban levels by reverse play: boxes stand on their targets and are pulled away; pushing brings them back."""

from collections import deque
from dataclasses import dataclass

import numpy as np

Square = tuple[int, int]  # row, column
MOVES: tuple[Square, ...] = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Up, down, left, right."""
OPEN = 0.55  # share of the inner squares that is floor, at least
SAME_BOX = 0.6  # chance that the box that was pulled last is pulled again, so that boxes get far
FAR = 2  # squares from its target, for a box on average, at least


@dataclass(frozen=True)
class Level:
    """A start that can be solved within the moves that it was drawn for."""

    walls: np.ndarray
    """bool [rows, columns]; the border is walls."""
    targets: tuple[Square, ...]
    boxes: tuple[Square, ...]
    """None stands on a target."""
    player: Square
    moves: int
    """Of a solution: the reverse play's own, backwards. There may be shorter ones."""


def draw(side: int, boxes: int, moves: int, random: np.random.Generator) -> Level:
    """A level of side x side squares whose solution takes at most `moves` moves; the same for the same generator."""
    while True:
        walls = _room(side, random)
        floor = [(int(row), int(column)) for row, column in np.argwhere(~walls)]
        places = random.permutation(len(floor))[: boxes + 1]
        *targets, player = (floor[place] for place in places)
        found = _pull_away(frozenset(floor), targets, player, moves, random)
        if found is not None:
            return Level(walls, tuple(targets), *found)


def _room(side: int, random: np.random.Generator) -> np.ndarray:
    """Walls with connected floor, dug by a walk that keeps its direction for a while. bool [side, side]."""
    walls = np.ones((side, side), dtype=bool)
    row, column = (int(place) for place in random.integers(1, side - 1, 2))
    direction = 0
    wanted = OPEN * (side - 2) ** 2
    while (~walls).sum() < wanted:
        walls[row, column] = False
        if random.random() < 0.4:
            direction = int(random.integers(4))
        down, right = MOVES[direction]
        if 0 < row + down < side - 1 and 0 < column + right < side - 1:
            row, column = row + down, column + right
            # Two squares wide, or most boxes could never be pushed off a corridor.
            walls[min(row + abs(right), side - 2), min(column + abs(down), side - 2)] = False
        else:
            direction = int(random.integers(4))
    return walls


def _pull_away(
    floor: frozenset[Square], targets: list[Square], player: Square, moves: int, random: np.random.Generator
) -> tuple[tuple[Square, ...], Square, int] | None:
    """Pulls boxes off their targets while there are moves left: boxes, player, moves; None where it did not succeed.

    Of all states on the way in which no box stands on a target, the one whose boxes are farthest from theirs.
    """
    boxes = list(targets)
    spent, last, best, best_distance = 0, -1, None, FAR * len(boxes) - 1
    while True:
        distances = _distances(player, floor - set(boxes))
        pulls = []  # box, square that the player pulls from, square that it ends on
        for index, (row, column) in enumerate(boxes):
            for down, right in MOVES:
                beside, beyond = (row + down, column + right), (row + 2 * down, column + 2 * right)
                if beside in distances and beyond in floor and beyond not in boxes:
                    pulls.append((index, beside, beyond))
        own = [pull for pull in pulls if pull[0] == last]
        if own and random.random() < SAME_BOX:
            pulls = own
        if not pulls:
            return best
        last, beside, beyond = pulls[int(random.integers(len(pulls)))]
        spent += distances[beside] + 1
        if spent > moves:
            return best
        boxes[last], player = beside, beyond
        distance = sum(
            abs(box[0] - target[0]) + abs(box[1] - target[1]) for box, target in zip(boxes, targets, strict=True)
        )
        if distance > best_distance and not set(boxes) & set(targets):
            best, best_distance = (tuple(boxes), player, spent), distance


def _distances(player: Square, free: frozenset[Square]) -> dict[Square, int]:
    """Steps to each square that the player can reach."""
    reached = {player: 0}
    waiting = deque([player])
    while waiting:
        row, column = square = waiting.popleft()
        for down, right in MOVES:
            beside = (row + down, column + right)
            if beside in free and beside not in reached:
                reached[beside] = reached[square] + 1
                waiting.append(beside)
    return reached
