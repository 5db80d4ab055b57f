from collections import deque

import numpy as np
import pytest

from actors import domains
from actors.experts.sokoban import Solver
from actors.sokoban_levels import MOVES


def level(text):
    """(walls, targets, player, boxes) of a drawing: # wall, . target, $ box, * box on a target, @ player."""
    cells = np.array([list(line) for line in text.split("\n")])

    def find(marks):
        return [(int(row), int(column)) for row, column in np.argwhere(np.isin(cells, list(marks)))]

    return cells == "#", find(".*"), find("@")[0], find("$*")


def play(walls, targets, player, boxes, moves):
    """Pushes; fails where a move is not allowed. Whether every target has a box at the end."""
    boxes, pushes = set(boxes), 0
    for move in moves:
        down, right = MOVES[move]
        ahead, beyond = (player[0] + down, player[1] + right), (player[0] + 2 * down, player[1] + 2 * right)
        assert not walls[ahead]
        if ahead in boxes:
            assert not walls[beyond]
            assert beyond not in boxes
            boxes = boxes - {ahead} | {beyond}
            pushes += 1
        player = ahead
    assert boxes == set(targets)
    return pushes


def fewest_pushes(walls, targets, player, boxes):
    """By search over every move, pushes first in cost: slow and plainly right."""
    start = (player, frozenset(boxes))
    costs, queue = {start: 0}, deque([start])
    while queue:
        state = queue.popleft()
        place, standing = state
        if standing == frozenset(targets):
            return costs[state]
        for down, right in MOVES:
            ahead, beyond = (place[0] + down, place[1] + right), (place[0] + 2 * down, place[1] + 2 * right)
            if walls[ahead]:
                continue
            following, cost = (ahead, standing), costs[state]
            if ahead in standing:
                if walls[beyond] or beyond in standing:
                    continue
                following, cost = (ahead, standing - {ahead} | {beyond}), cost + 1
            if cost < costs.get(following, 10**9):
                costs[following] = cost
                # A queue for costs 0 and 1: walks in front, pushes behind.
                (queue.append if ahead in standing else queue.appendleft)(following)
    return None


@pytest.mark.parametrize("seed", range(12))
def test_solutions_have_the_fewest_pushes(seed):
    environment = domains.make("sokoban/6x6-1" if seed % 2 else "sokoban/8x8-2")
    environment.reset(seed=seed)
    given = environment.walls, environment.targets, environment.player, environment.boxes
    moves = Solver(given[0], given[1]).solve(given[2], given[3])
    assert play(*given, moves) == fewest_pushes(*given)


def test_a_level_in_which_boxes_wait_for_one_another():
    given = level("#######\n#.@   #\n#.$$  #\n#     #\n#######")
    moves = Solver(given[0], given[1]).solve(given[2], given[3])
    assert play(*given, moves) == fewest_pushes(*given)


@pytest.mark.parametrize(
    "text",
    [
        "#####\n#$  #\n# @.#\n#####",  # a box in a corner
        "######\n# $$ #\n# @  #\n#. . #\n######",  # two boxes at a wall without targets
        "######\n#@#$.#\n######",  # out of reach
    ],
)
def test_a_level_without_a_solution_has_none(text):
    given = level(text)
    assert fewest_pushes(*given) is None
    assert Solver(given[0], given[1]).solve(given[2], given[3]) is None


def test_a_solved_level_needs_no_moves():
    given = level("#####\n#*@ #\n#####")
    assert Solver(given[0], given[1]).solve(given[2], given[3]) == []
