import time

from cluster.stopwatch import Stopwatch


def test_pauses_do_not_count():
    watch = Stopwatch(before=100.0)
    with watch.paused():
        time.sleep(0.3)
    assert 100.0 <= watch.seconds < 100.25
    time.sleep(0.05)
    assert watch.seconds > 100.05
