import io
import os
import signal

import pytest

from cluster.interrupt import stop_on_signals
from cluster.progress import Progress, duration


def test_plain_lines_with_rate_and_time_left():
    now = [0.0]
    out = io.StringIO()
    with Progress("Updates", 1000, "updates", done=100, stream=out, clock=lambda: now[0]) as progress:
        now[0] = 1.0
        progress.update(110)
        assert out.getvalue() == "", "not a line for each update"
        now[0] = 20.0
        progress.update(300, "loss 0.5")
        now[0] = 30.0
        progress.update(1000)
    assert out.getvalue().splitlines() == [
        "Updates: 300 of 1,000 updates, 10.0/s, 1 min 10 s left; loss 0.5",
        "Updates: 1,000 of 1,000 updates, 30.0/s, in 30 s",
    ]


def _break(progress: Progress, done: int) -> None:
    progress.update(done)
    raise ZeroDivisionError


@pytest.mark.parametrize(("done", "lines"), [(0, 0), (3, 1)])
def test_an_error_before_anything_was_done_stands_alone(done, lines):
    out = io.StringIO()
    with pytest.raises(ZeroDivisionError), Progress("Playing", 10, "films", stream=out) as progress:
        _break(progress, done)
    assert out.getvalue().count("\n") == lines


@pytest.mark.parametrize(("seconds", "text"), [(7.2, "7 s"), (245, "4 min 05 s"), (7380, "2 h 03 min")])
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_asks_to_stop_second_one_aborts(number):
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
