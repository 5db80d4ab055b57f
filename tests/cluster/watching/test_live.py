"""The live view: on a terminal, and where there is none."""

import io
import os
import pty
import threading

import pytest
from rich.console import Console

from cluster.watching.live import LiveRun
from cluster.watching.panels import Shown, panels
from cluster.watching.sparkline import sparkline
from cluster.watching.timing_tree import timing_tree
from tests.cluster.small import CARTPOLE, PENDULUM

VALUES = {
    f"charts/episodic_return/{CARTPOLE}": 31.5,
    f"eval/score/{CARTPOLE}/greedy": 0.42,
    f"eval/return/{CARTPOLE}/greedy": 99.0,
    f"eval/return/{PENDULUM}/greedy": 12.5,
    "charts/steps_per_second": 1234.5,
    "replay/samples_per_second/expert": 10.0,
    "replay/samples_per_second/online": 20.0,
    "replay/fill/online": 0.25,
    "replay/size/online": 50,
    "replay/fill/prompts": 0.0,
    "replay/size/prompts": 0,
    "time/actors/env": 0.3,
    "time/actors/wait": 0.6,
    "time/learner/update": 0.5,
    "time/learner/update/forward": 0.4,
    "faults/actor_restarts": 2,
    "faults/server_restarts": 0,
}


def text_of(shown: Shown) -> str:
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(panels(shown))
    return console.export_text()


def line_with(word: str, text: str) -> str:
    return next(line for line in text.splitlines() if word in line)


def test_panels_show_tasks_rates_replay_and_faults():
    shown = Shown("my-run", [CARTPOLE, PENDULUM])
    for value in (10.0, 20.0, 31.5):
        shown.take(VALUES | {f"charts/episodic_return/{CARTPOLE}": value})
    text = text_of(shown)
    assert "my-run" in text
    row = line_with(CARTPOLE, text)
    assert "31.5" in row
    assert "score 0.42" in row
    assert "return 12.5" in line_with(PENDULUM, text), "a task without a score"
    assert sparkline([10.0, 20.0, 31.5]) in row
    assert line_with(PENDULUM, text).count(" - ") == 2, "it was not sampled, and has no exploring episode yet"
    actors = line_with("environment steps", text)
    assert "1,234.5" in actors
    assert "wait 60%, env 30%" in actors, "the largest first"
    assert "30.0" in line_with("replay -> learner", text), "tables together"
    assert "update 50%" in line_with("updates", text)
    assert "forward" not in text, "parts of parts are for TensorBoard"
    assert "25% of 200" in line_with("replay  online", text)
    assert "prompts" not in text, "a table that nothing was put into"
    faults = line_with("faults", text)
    assert "actor restarts 2" in faults
    assert "server" not in faults


def test_before_anything_is_known_it_says_so():
    text = text_of(Shown("my-run", [CARTPOLE]))
    assert "none" in line_with("faults", text)


def test_plain_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    with LiveRun("my-run", [CARTPOLE], total=10, done=2, stream=stream) as live:
        live.scalars(VALUES)
        live.update(10, 1200)
    assert "Fine-tuning my-run: 10 of 10 updates" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_panels_and_a_bar():
    leader, follower = pty.openpty()
    shown = bytearray()
    reading = threading.Thread(target=_read, args=(leader, shown), daemon=True)
    reading.start()
    with os.fdopen(follower, "w") as terminal, LiveRun("my-run", [CARTPOLE], total=10, stream=terminal) as live:
        live.scalars(VALUES)
        live.update(5, 600)
    reading.join(timeout=10)
    text = shown.decode(errors="replace")
    # The line is cut off at 80 columns, and begins with the rate of two calls in a row, which may be large.
    for part in (CARTPOLE, "policy server", "5 of 10 updates", "600 env"):
        assert part in text, part


def _read(leader: int, into: bytearray) -> None:
    while True:
        try:
            data = os.read(leader, 4096)
        except OSError:  # the other end was closed
            return
        into += data


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([], 8, ""),
        ([1.0], 8, "▁"),
        ([2.0, 2.0, 2.0], 8, "▁▁▁"),
        ([0.0, 7.0, 3.5], 8, "▁█▅"),
        ([0.0, 0.0, 7.0, 7.0], 2, "▁█"),
    ],
)
def test_sparkline(values, width, line):
    assert sparkline(values, width) == line


def test_timing_tree_shows_what_parts_leave():
    tree = timing_tree({"time/learner/update": 0.5, "time/learner/update/forward": 0.25, "charts/updates": 3.0})
    assert tree.splitlines() == [
        "learner",
        "├ update           50.0%  ██████████",
        "│ └ forward        25.0%  █████",
        "└ rest             50.0%  ██████████",
    ]
