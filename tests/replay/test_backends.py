import contextlib
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest

from replay.errors import ReplayError, ReplayTimeout
from replay.interface import connect
from replay.tables import TABLES, ReplayConfig, TableConfig
from tests.replay.samples import episode, online, same


def put(replay, table, windows):
    writer = replay.writer(table)
    writer.write(windows, timeout=10)
    writer.flush(timeout=10)
    writer.close()


def test_a_window_comes_back_as_it_went_in(replay):
    before = online(5, update=3)
    put(replay, "plain", [before])
    assert same(replay.sample("plain", 1, timeout=10)[0], before)
    info = replay.info()["plain"]
    assert (info.size, info.max_size, info.inserts) == (1, 100, 1)
    assert info.samples >= 1


def test_windows_of_all_shapes_share_a_table(replay):
    windows = [episode(n, n, 1 + n % 3, task=f"gym/{'x' * n}", number=n) for n in range(1, 9)]
    put(replay, "shapes", windows)
    for drawn in replay.sample("shapes", 60, timeout=10):
        assert same(drawn, windows[drawn.episode - 1])


def test_the_oldest_go_first(replay):
    put(replay, "fifo", [online(n) for n in range(20)])
    drawn = {window.episode for window in replay.sample("fifo", 300, timeout=10)}
    assert drawn == set(range(12, 20))
    assert replay.info()["fifo"].size == 8


def test_sampling_is_uniform(replay):
    put(replay, "uniform", [online(n) for n in range(20)])
    counts = Counter(window.episode for window in replay.sample("uniform", 4000, timeout=20))
    # 200 each; five standard deviations are 70.
    assert len(counts) == 20
    assert min(counts.values()) > 130
    assert max(counts.values()) < 270


def test_steps_of_ours_are_drawn_alike_whatever_the_length_of_their_windows(replay):
    short, long = (replace(episode(steps, 4, 1, number=steps), actor=0) for steps in (1, 9))
    burnt = replace(episode(6, 4, 1, number=6), actor=0, burn_in=4)  # two of its steps train
    shown = replace(episode(30, 4, 1, number=30), actor=-1)  # a demonstration counts as one, as its feeder mixed it
    put(replay, "steps", [window for window in (short, long, burnt, shown) for _ in range(2)])  # of two shards, on each
    counts = Counter(window.episode for window in replay.sample("steps", 5200, timeout=20))
    # 400 for each of 13; five standard deviations are 98, 166, 132 and 98.
    for number, share, deviation in ((1, 400, 98), (9, 3600, 166), (6, 800, 132), (30, 400, 98)):
        assert abs(counts[number] - share) < deviation


def test_sampling_waits_for_the_minimum_size(replay):
    put(replay, "waiting", [online(n) for n in range(4)])
    with pytest.raises(ReplayTimeout, match=r"'waiting' holds 4 windows and gives none below 5 \(min_size\)"):
        replay.sample("waiting", 1, timeout=0.5)
    put(replay, "waiting", [online(4)])
    assert len(replay.sample("waiting", 3, timeout=10)) == 3


def test_the_rate_limiter_holds_the_ratio(replay):
    done = threading.Event()

    def learner():
        while not done.is_set():
            with contextlib.suppress(ReplayTimeout):
                replay.sample("limited", 4, timeout=0.2)

    thread = threading.Thread(target=learner, daemon=True)
    thread.start()
    writer = replay.writer("limited")
    for start in range(0, 400, 20):
        writer.write([online(n) for n in range(start, start + 20)], timeout=20)
    writer.flush(timeout=20)
    time.sleep(1.0)
    done.set()
    thread.join(timeout=5)
    info = replay.info()["limited"]
    assert info.inserts == 400
    low, high = TableConfig(min_size=10, samples_per_insert=2.0, error_buffer=30.0).allowed_error()
    assert low <= info.inserts * 2.0 - info.samples <= high
    assert info.inserts * 2.0 - info.samples <= low + 4  # the learner took all that it could


def test_a_held_writer_gives_up_in_time_and_goes_on_later(replay):
    writer = replay.writer("held")
    began = time.monotonic()
    with pytest.raises(ReplayTimeout, match="takes no windows"):
        writer.write([online(n) for n in range(300)], timeout=1.0)
    assert time.monotonic() - began < 4.0
    most = (10 * 2.0 + 30.0) / 2.0
    assert replay.info()["held"].inserts <= most
    replay.sample("held", 40, timeout=10)
    with pytest.raises(ReplayTimeout):
        writer.flush(timeout=1.0)
    assert most < replay.info()["held"].inserts < 300
    threading.Thread(target=lambda: replay.sample("held", 520, timeout=20), daemon=True).start()
    writer.flush(timeout=20)
    assert replay.info()["held"].inserts == 300  # nothing was lost, nothing written twice
    writer.close()


def test_an_unknown_table_is_named_with_the_known_ones(replay):
    with pytest.raises(ReplayError, match=r"no table 'onlin'.*plain"):
        replay.writer("onlin")
    with pytest.raises(ReplayError, match="no table 'onlin'"):
        replay.sample("onlin", 1, timeout=1)


@pytest.mark.parametrize("address", ["reverb://host", "redis://host:1", "memory://", "localhost:80"])
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(ReplayError, match="reverb://host:port, reverb://unix:/path, memory"):
        connect(address)


def test_the_ratio_is_held_only_where_both_sides_are_there():
    config = ReplayConfig(tables={"online": TableConfig(samples_per_insert=4.0)})
    assert config.limited({"online", "expert"}, {"online"})["online"].samples_per_insert == 4.0
    assert config.limited({"expert"}, {"online"})["online"].samples_per_insert is None
    assert config.limited({"online"}, set())["online"].samples_per_insert is None
    assert config.tables["expert"] == TABLES["expert"]


def test_the_error_range_never_deadlocks():
    for ratio in (0.1, 1.0, 8.0, 500.0):
        low, high = TableConfig(min_size=3, samples_per_insert=ratio, error_buffer=0.0).allowed_error()
        assert high - low >= 2 * max(1.0, ratio)
        assert low <= 3 * ratio <= high


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TableConfig(max_size=4, min_size=5), "min_size 5"),
        (lambda: TableConfig(samples_per_insert=0.0), "samples_per_insert 0.0"),
        (lambda: ReplayConfig(tables={"onlin": TableConfig()}), "unknown table 'onlin'; the tables are expert, online"),
        (lambda: ReplayConfig(port=70000), "port 70000"),
    ],
)
def test_settings_that_cannot_work_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
