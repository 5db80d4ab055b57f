import time

import numpy as np
import pytest

from replay.errors import ReplayError, ReplayTimeout
from replay.feeder import Feeder
from replay.memory_backend import MemoryReplay, MemoryStore
from replay.stream import WindowStream, split
from replay.tables import TableConfig
from tests.replay.samples import episode, online
from tests.replay.test_backends import put


@pytest.fixture
def stream_of(replay):
    streams = []

    def make(*tables, **settings):
        streams.append(WindowStream(replay, tables, **settings))
        return streams[-1]

    yield make
    for stream in streams:
        stream.close()


def test_windows_past_the_policy_lag_are_dropped_and_counted(replay, stream_of):
    put(replay, "lagging", [online(n, update=n) for n in range(10)])
    stream = stream_of("lagging", max_policy_lag=4)
    stream.current_update = 9
    drawn = stream.windows("lagging", 100, timeout=20)
    assert {window.episode for window in drawn} == {5, 6, 7, 8, 9}
    stats = stream.stats()
    assert stats["dropped"] > 0
    assert stats["samples/lagging"] == 100
    assert stats["age"] == pytest.approx(np.mean([9 - window.episode for window in drawn]))
    assert np.isnan(stream.stats()["age"])


def test_a_table_of_stale_windows_says_so(replay, stream_of):
    put(replay, "stale", [online(n, update=0) for n in range(2)])  # one for each of two shards
    stream = stream_of("stale", max_policy_lag=4)
    stream.current_update = 50
    with pytest.raises(ReplayTimeout, match=r"were dropped as older than max_policy_lag 4 \(at 50\)"):
        stream.windows("stale", 4, timeout=0.5)


def test_demonstrations_never_grow_old():
    replay = MemoryReplay(MemoryStore({"expert": TableConfig()}))
    put(replay, "expert", [episode()])
    stream = WindowStream(replay, ["expert"], max_policy_lag=1)
    stream.current_update = 1000
    assert len(stream.windows("expert", 3, timeout=5)) == 3
    stream.close()


def test_an_empty_table_is_named_with_what_fills_it():
    replay = MemoryReplay(MemoryStore({"online": TableConfig()}))
    stream = WindowStream(replay, ["online"])
    with pytest.raises(ReplayTimeout, match=r"'online' holds 0 windows.*The actors should fill it"):
        stream.windows("online", 1, timeout=1.5)
    with pytest.raises(ReplayError, match="does not sample table 'expert', only online"):
        stream.windows("expert", 1)
    stream.close()


def test_a_feeder_fills_its_table_and_replaces_what_was_used(replay):
    made = iter(range(10**6))
    feeder = Feeder(replay, (online(n) for n in made), table="fed")
    try:
        assert feeder.wait(timeout=20)
        info = replay.info()["fed"]
        assert info.size == 30
        replay.sample("fed", 200, timeout=20)
        deadline = time.monotonic() + 20
        while replay.info()["fed"].inserts < 30 + 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        info = replay.info()["fed"]
        assert info.size == 30
        assert 230 <= info.inserts <= 30 + info.samples
    finally:
        feeder.close()


@pytest.mark.parametrize(
    ("fractions", "size", "counts"),
    [
        ({"a": 1.0}, 7, {"a": 7}),
        ({"a": 0.5, "b": 0.5}, 7, {"a": 4, "b": 3}),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, 32, {"a": 11, "b": 11, "c": 10}),
        ({"a": 0.3, "b": 0.7}, 10, {"a": 3, "b": 7}),
        ({"a": 0.0, "b": 1.0}, 4, {"b": 4}),
    ],
)
def test_split_by_largest_remainder(fractions, size, counts):
    assert split(fractions, size) == counts


@pytest.mark.parametrize("fractions", [{"a": 0.5}, {"a": 1.5, "b": -0.5}])
def test_fractions_that_are_no_shares_are_refused(fractions):
    with pytest.raises(ValueError, match="sum to 1"):
        split(fractions, 8)
