"""Whom a batch waits for, by a clock that the tests turn."""

from policy.batching import PATIENCE, PROBE, Batching

WINDOW = 5.0
LASTS = 100.0  # a batch


def after_a_batch(come: float | None = None) -> Batching:
    """At time 0, with a batch of that length behind it; with what a probe has seen of the missing rows."""
    batching = Batching(WINDOW)
    if come is not None:
        for _ in range(PROBE):
            batching.start(-LASTS, 8)
            batching.end(0.0)
        assert batching.left(0.0, 50, 100, 0.0) > 0
        batching.start(0.0, 50 + round(come * 50))
    batching.start(-LASTS, 8)
    batching.end(0.0)
    return batching


def test_all_rows_wait_for_nobody():
    assert after_a_batch().left(0.0, 48, 48, -1.0) <= 0


def test_too_few_rows_wait_for_the_window_since_the_engine_is_free():
    batching = after_a_batch()
    assert batching.left(1.0, 8, 48, -50.0) == WINDOW - 1.0  # came while the batch before was running
    assert batching.left(3.0, 8, 48, 2.0) == WINDOW - 1.0
    assert batching.left(7.0, 8, 48, 2.0) <= 0


def test_enough_rows_wait_for_those_that_are_about_to_come():
    batching = after_a_batch(come=1.0)
    assert batching.left(1.0, 16, 48, 0.0) == PATIENCE * LASTS
    assert batching.left(2.0, 40, 48, 0.0) == PATIENCE * LASTS - 1.0
    assert batching.left(2.5, 48, 48, 0.0) <= 0


def test_and_no_longer_than_that():
    assert after_a_batch(come=1.0).left(0.0, 16, 48, 0.0) > 0
    batching = after_a_batch(come=1.0)
    batching.left(0.0, 16, 48, 0.0)
    assert batching.left(PATIENCE * LASTS, 40, 48, 0.0) <= 0


def test_those_that_do_not_come_are_not_waited_for():
    assert after_a_batch(come=0.0).left(0.0, 16, 48, 0.0) <= 0
    some = after_a_batch(come=0.5)
    assert some.left(0.0, 16, 48, 0.0) > 0
    assert some.left(1.0, 16 + 16, 48, 0.0) <= 0  # half of the missing are here


def test_a_probe_sees_when_they_come_again():
    batching = after_a_batch(come=0.0)
    seen = []
    for number in range(2 * PROBE):
        now = 1000.0 * number
        waits = batching.left(now, 24, 48, 0.0) > 0
        seen.append(waits)
        batching.start(now + 1, 48 if waits else 24)
        batching.end(now + 1 + LASTS)
    first = seen.index(True)
    assert not any(seen[:first])
    assert first < PROBE
    assert all(seen[first:])  # all have come in the probe
