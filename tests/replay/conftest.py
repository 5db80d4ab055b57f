import os

import pytest

from replay.gate import Gate
from replay.interface import connect
from replay.memory_backend import MemoryReplay, MemoryStore
from replay.server import ReplayServer
from replay.tables import ReplayConfig, TableConfig

# Each test has tables of its own, so that one server, slow to start, serves all.
TABLES = {
    "plain": TableConfig(max_size=100),
    "fifo": TableConfig(max_size=8),
    "uniform": TableConfig(max_size=20),
    "steps": TableConfig(max_size=20),
    "waiting": TableConfig(max_size=100, min_size=5),
    "limited": TableConfig(max_size=1000, min_size=10, samples_per_insert=2.0, error_buffer=30.0),
    "held": TableConfig(max_size=1000, min_size=10, samples_per_insert=2.0, error_buffer=30.0),
    "shapes": TableConfig(max_size=100),
    "lagging": TableConfig(max_size=100),
    "stale": TableConfig(max_size=100),
    "running": TableConfig(max_size=100),
    "left": TableConfig(max_size=100),
    "right": TableConfig(max_size=100),
    "fed": TableConfig(max_size=30),
    "empty": TableConfig(max_size=100),
}


@pytest.fixture(scope="session")
def ray_cluster():
    import ray

    if not ray.is_initialized():
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    return ray


@pytest.fixture(scope="session", params=["store", "actor", "reverb", "gate", "shards"])
def replay(request, tmp_path_factory):
    """The same tables behind each backend: in this process, a Ray actor, a Reverb process, a gate to one, shards."""
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "store":
        yield MemoryReplay(MemoryStore(TABLES, directory))
        return
    if request.param in ("actor", "gate"):
        request.getfixturevalue("ray_cluster")
    backend = "memory" if request.param == "actor" else "reverb"
    config = ReplayConfig(backend=backend, shards=2 if request.param == "shards" else 1)
    with ReplayServer(config, directory, TABLES, name=f"tests-{os.getpid()}") as server:
        gate = Gate(f"tests-gate-{os.getpid()}", server.address) if request.param == "gate" else None
        client = connect(gate.address if gate else server.address, patience=20.0)
        yield client
        client.close()
        if gate is not None:
            gate.stop()


@pytest.fixture
def minari_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"
