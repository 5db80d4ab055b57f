import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from replay.errors import ReplayError
from replay.interface import connect
from replay.memory_backend import MemoryStore
from replay.reverb_process import ReverbProcess
from replay.server import ReplayServer
from replay.stream import WindowStream
from replay.tables import ReplayConfig, TableConfig
from tests.replay.samples import online

TABLES = {"online": TableConfig(max_size=50)}


def eventually(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


def test_a_killed_reverb_is_noticed_and_everyone_goes_on_when_it_is_back(tmp_path):
    server = ReverbProcess(0, TABLES, tmp_path)
    server.start()
    try:
        replay = connect(server.address, patience=2.0)
        writer = replay.writer("online")
        writer.write([online(n) for n in range(50)], timeout=10)
        writer.flush(timeout=10)
        stream = WindowStream(replay, ["online"], prefetch=8, patience=1.0)
        stream.windows("online", 20, timeout=10)
        path = server.checkpoint()
        assert os.path.isdir(path)
        assert path.startswith(str(tmp_path))

        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not server.alive())
        calls = (
            lambda: replay.info(timeout=1.0),
            lambda: replay.sample("online", 1000, timeout=1.0),
            lambda: writer.write([online(50 + n) for n in range(100)], timeout=1.0),
            lambda: stream.windows("online", 1000),  # gives up by its patience
        )

        def refused(call):
            began = time.monotonic()
            with pytest.raises(ReplayError, match=rf"{server.address} has not answered since \d\d:.*see its log"):
                call()
            return time.monotonic() - began

        with ThreadPoolExecutor(len(calls)) as at_once:
            assert max(at_once.map(refused, calls)) < 8.0
        assert refused(writer.flush) < 8.0  # by its patience too

        server.stop()
        server.start()
        # A channel tries again ever more rarely, up to about as long as the server was away.
        assert replay.info(timeout=60)["online"].size == 50  # from the checkpoint
        writer.flush(timeout=30)
        assert replay.info()["online"].inserts == 150  # what had waited came through, once
        assert len(replay.sample("online", 200, timeout=30)) == 200
        assert {window.episode for window in stream.windows("online", 300, timeout=30)} & set(range(100, 150))
        stream.close()
        writer.close()
        replay.close()
    finally:
        server.stop()


def test_the_server_restarts_a_killed_reverb_on_the_same_port(tmp_path):
    with ReplayServer(ReplayConfig(), tmp_path, TABLES) as server:
        address, first = server.address, server._backend.pid
        replay = connect(address, patience=30.0)
        writer = replay.writer("online")
        writer.write([online(0)], timeout=10)
        writer.flush(timeout=10)
        server.checkpoint()
        assert server.check() == 0
        os.kill(first, signal.SIGKILL)
        eventually(lambda: server.check() == 1)
        assert server.address == address
        assert replay.info(timeout=20)["online"].size == 1
        second = server._backend.pid
    assert not psutil.pid_exists(second)


def test_the_server_restarts_a_killed_actor(ray_cluster, tmp_path):
    name = f"killed-{os.getpid()}"
    with ReplayServer(ReplayConfig(backend="memory"), tmp_path, TABLES, name=name) as server:
        replay = connect(server.address, patience=30.0)
        writer = replay.writer("online")
        writer.write([online(0)], timeout=10)
        server.checkpoint()
        ray_cluster.kill(ray_cluster.get_actor(name, namespace="ocelot"))
        eventually(lambda: server.check() == 1)
        assert replay.info(timeout=20)["online"].size == 1
        writer.write([online(1)], timeout=20)
        assert replay.info()["online"].inserts == 2
    gone = connect(f"memory://{name}", patience=1.0)
    with pytest.raises(ReplayError, match=rf"memory://{name} has not answered since \d\d:"):
        gone.sample("online", 1)


def test_a_taken_port_is_named_with_the_cure(tmp_path):
    with socket.socket() as holder:
        holder.bind(("", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ReplayError, match=rf"port {port}.*replay\.port to another, or to 0"):
            ReplayServer(ReplayConfig(port=port), tmp_path, TABLES, sealed=False)


def test_a_reverb_without_its_parent_ends(tmp_path):
    program = (
        "import os, pathlib, sys; from replay.reverb_process import ReverbProcess; from replay.tables import TABLES\n"
        "server = ReverbProcess(0, TABLES, pathlib.Path(sys.argv[1])); server.start(); print(server.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60)
    child = int(done.stdout)
    eventually(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path):
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(ReplayError, match=r"did not start on port \d+.*FileExistsError"):
        ReplayServer(ReplayConfig(), tmp_path, TABLES)


def test_a_memory_checkpoint_keeps_order_counts_and_a_smaller_table(tmp_path):
    store = MemoryStore({"online": TableConfig(max_size=8)}, tmp_path)
    store.insert("online", [online(n) for n in range(11)], (0, 0))
    store.sample("online", 5)
    store.checkpoint()
    for size in (8, 4, 100):
        again = MemoryStore({"online": TableConfig(max_size=size)}, tmp_path)
        info = again.info()["online"]
        assert (info.size, info.inserts, info.samples) == (min(size, 8), 11, 5)
        again.insert("online", [online(11)], (1, 0))
        kept = {window.episode for window in again.sample("online", 400)}
        assert kept == set(range(12 - min(size, 9), 12))


def test_a_damaged_memory_checkpoint_is_refused(tmp_path):
    store = MemoryStore(TABLES, tmp_path)
    store.insert("online", [online(n) for n in range(5)], (0, 0))
    path = store.checkpoint()
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)
    with pytest.raises(ReplayError, match=r"replay\.npz is damaged.*move it away"):
        MemoryStore(TABLES, tmp_path)
