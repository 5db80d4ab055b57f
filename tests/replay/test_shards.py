"""Several stores are one: nothing is lost or doubled between them, whichever is slow, dead or restored."""

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.checkpoints import keep, put_back
from replay.errors import ReplayError, ReplayTimeout
from replay.interface import connect
from replay.memory_backend import MemoryReplay, MemoryStore
from replay.reverb_shards import ReverbShards
from replay.server import ReplayServer
from replay.shards import Shards, _parts
from replay.tables import ReplayConfig, TableConfig
from tests.replay.samples import online
from tests.replay.test_server import eventually

TABLES = {"online": TableConfig(max_size=60)}


@given(st.integers(0, 50), st.integers(0, 6), st.integers(1, 7))
def test_every_store_gives_as_many_but_for_one(count, first, stores):
    parts = _parts(count, first % stores, stores)
    given_ = Counter(dict(parts))
    assert sum(given_.values()) == count
    assert max(given_.values(), default=0) - min((given_[each] for each in range(stores)), default=0) <= 1


def memory(tmp_path, count: int = 3, **table) -> list[MemoryReplay]:
    settings = {"online": TableConfig(**{"max_size": 100} | table)}
    return [
        MemoryReplay(MemoryStore(settings, tmp_path / str(number)), f"memory://{number}") for number in range(count)
    ]


def test_what_one_store_has_not_is_not_lost_of_the_others(tmp_path):
    stores = memory(tmp_path, min_size=2)
    shards = Shards(list(stores))
    for number, store in enumerate(stores[:2]):
        store.writer("online").write([online(10 * number + n) for n in range(3)], timeout=5)
    with pytest.raises(ReplayTimeout):
        shards.sample("online", 9, timeout=0.2)  # the third has none
    stores[2].writer("online").write([online(20 + n) for n in range(3)], timeout=5)
    assert len(shards.sample("online", 9, timeout=5)) == 9
    drawn = sum(each.info()["online"].samples for each in stores)
    assert drawn < 9 + 9  # what came the first time was not drawn anew


def test_every_store_gets_its_windows_though_another_takes_none(tmp_path):
    stores = memory(tmp_path, 2, min_size=1, samples_per_insert=1.0, error_buffer=2.0)
    shards = Shards(list(stores))
    writer = shards.writer("online")
    with pytest.raises(ReplayTimeout):
        writer.write([online(n) for n in range(20)], timeout=0.2)  # nobody samples
    with ThreadPoolExecutor(1) as at_once:
        drawn = at_once.submit(shards.sample, "online", 18, timeout=20)
        writer.flush(timeout=20)
        assert len(drawn.result()) == 18
    assert [each.info()["online"].inserts for each in stores] == [10, 10]


def test_a_killed_server_comes_back_alone_and_a_checkpoint_holds_all(tmp_path):
    config = ReplayConfig(shards=2)
    with ReplayServer(config, tmp_path / "run", TABLES) as server:
        replay = connect(server.address, patience=30.0)
        writer = replay.writer("online")
        writer.write([online(n) for n in range(40)], timeout=10)
        writer.flush(timeout=10)
        keep(Path(server.checkpoint()), tmp_path / "kept")
        killed, other = server._backend.pids
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: server.check() == 1)
        assert server._backend.pids[1] == other
        assert replay.info(timeout=30)["online"].size == 40
        writer.write([online(40 + n) for n in range(10)], timeout=30)
        writer.flush(timeout=30)
        assert {window.episode for window in replay.sample("online", 600, timeout=30)} == set(range(50))
        replay.close()
    put_back(tmp_path / "kept", tmp_path / "again")
    with ReplayServer(config, tmp_path / "again", TABLES) as server:
        replay = connect(server.address, patience=30.0)
        assert {window.episode for window in replay.sample("online", 600, timeout=30)} == set(range(40))
        assert replay.info()["online"].inserts == 40
        replay.close()


def test_shards_are_refused_where_there_can_be_none():
    with pytest.raises(ValueError, match="shards 2 must be at least 1, and 1 with the memory backend"):
        ReplayConfig(backend="memory", shards=2)
    with pytest.raises(ValueError, match="shards 0 must be"):
        ReplayConfig(shards=0)
    with pytest.raises(ValueError, match="port 65535 leaves no ports for 2 shards"):
        ReplayConfig(port=65535, shards=2)


def test_ports_of_all_servers_are_told(tmp_path):
    server = ReverbShards(3, 0, TABLES, tmp_path, sealed=False)
    assert len(set(server.open_ports)) == 3
    assert server.address.count(",") == 2
    assert not ReverbShards(2, 0, TABLES, tmp_path, sealed=True).open_ports


def test_an_address_of_several_servers_is_taken_apart(tmp_path):
    replay = connect("reverb://127.0.0.1:1,127.0.0.1:2", patience=0.5)
    assert isinstance(replay, Shards)
    assert replay.address == "reverb://127.0.0.1:1,127.0.0.1:2"
    with pytest.raises(ReplayError, match=r"127\.0\.0\.1:1 has not answered"):
        replay.info(timeout=1.0)
