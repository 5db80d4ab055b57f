import numpy as np
import pytest

from policy.slots import SlotError, SlotTable


def lease(table, actor, slots, run_id=1, now=0.0):
    rows, fresh = table.lease(actor, run_id, np.asarray(slots), now)
    return rows.tolist(), fresh.tolist()


def test_slots_are_kept_and_new_ones_lie_together():
    table = SlotTable(8)
    assert lease(table, "a", [0, 1, 2]) == ([0, 1, 2], [True] * 3)
    assert lease(table, "b", [5, 7]) == ([3, 4], [True] * 2)
    assert lease(table, "a", [2, 0]) == ([2, 0], [False] * 2)
    assert lease(table, "a", [1, 9]) == ([1, 5], [False, True])


def test_a_gap_is_left_to_those_who_fit():
    table = SlotTable(6)
    lease(table, "a", [0, 1])
    lease(table, "b", [0])
    table.release("a")
    assert lease(table, "c", [0, 1, 2])[0] == [3, 4, 5]
    assert lease(table, "d", [0, 1])[0] == [0, 1]


def test_a_new_run_id_gives_back_what_the_actor_held():
    table = SlotTable(4)
    lease(table, "a", [0, 1, 2])
    assert lease(table, "a", [0, 1, 2, 3], run_id=2) == ([0, 1, 2, 3], [True] * 4)


def test_idle_actors_lose_their_slots_only_when_they_are_needed():
    table = SlotTable(4, idle=10.0)
    lease(table, "old", [0, 1], now=0.0)
    lease(table, "busy", [0], now=95.0)
    lease(table, "new", [0], now=100.0)
    assert lease(table, "late", [0, 1], now=101.0) == ([0, 1], [True, True])
    with pytest.raises(SlotError):
        lease(table, "old", [0], now=102.0)
    assert lease(table, "busy", [0], now=103.0)[1] == [False]


def test_too_few_slots_are_an_error_that_says_how_many_to_have():
    table = SlotTable(4)
    lease(table, "a", [0, 1, 2], now=0.0)
    with pytest.raises(SlotError, match=r"actor 'b' needs 2 more slots, but 1 of .* 4 are free; .* at least 5"):
        lease(table, "b", [0, 1], now=1.0)
    assert lease(table, "b", [0], now=1.0)[0] == [3]


def test_only_those_seen_lately_are_known():
    table = SlotTable(8)
    lease(table, "a", [0, 1], now=0.0)
    lease(table, "b", [0, 1, 2], now=4.0)
    assert table.known(5.0, now=4.5) == 5
    assert table.known(5.0, now=6.0) == 3
