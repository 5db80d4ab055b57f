"""Training states and replay from strangers: reading them ends in a learner, a store, or an error of ours."""

import contextlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy.errors import CheckpointError
from replay.errors import ReplayError
from replay.memory_backend import MemoryStore
from replay.tables import TableConfig
from tests.learner.test_learner import fetch, make
from tests.learner.windows import window

TABLES = {"online": TableConfig()}
MANY = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.none() | st.integers(-(2**70), 2**70) | st.text(max_size=3) | st.lists(st.integers(), max_size=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    learner = make()
    learner.update(fetch)
    learner.save(folder)
    store = MemoryStore(TABLES, folder)
    store.insert("online", [window(3) for _ in range(4)], (0, 0))
    store.checkpoint()
    return folder


@MANY
@given(st.data())
def test_any_part_of_a_state_may_be_anything(whole: Path, tmp_path: Path, data: st.DataObject):
    state: dict[str, Any] = json.loads((whole / "state.json").read_text())
    state[data.draw(st.sampled_from(sorted(state)))] = data.draw(JSON)
    (tmp_path / "state.json").write_text(json.dumps(state))
    content = bytearray((whole / "state.safetensors").read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, 4000))] = data.draw(st.integers(0, 255))
    (tmp_path / "state.safetensors").write_bytes(bytes(content))
    with contextlib.suppress(CheckpointError):
        make().restore(tmp_path)


@MANY
@given(st.data())
def test_any_array_of_a_store_may_be_anything(whole: Path, tmp_path: Path, data: st.DataObject):
    with np.load(whole / "replay.npz") as file:
        arrays = {name: file[name] for name in file.files}
    name = data.draw(st.sampled_from(sorted(arrays)))
    shape = data.draw(st.lists(st.integers(0, 4), max_size=2))
    arrays[name] = np.full(shape, data.draw(st.integers(-(2**62), 2**62)), dtype=np.int64)
    np.savez(tmp_path / "replay.npz", **arrays)
    with contextlib.suppress(ReplayError):
        MemoryStore(TABLES, tmp_path)


def test_a_pickle_among_a_stores_arrays_is_not_opened(tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return (Path(tmp_path / "pwned").touch, ())

    np.save(tmp_path / "trap.npy", np.asarray([Trap()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "replay.npz", "w") as archive:
        archive.write(tmp_path / "trap.npy", "online/counts.npy")
    with pytest.raises(ReplayError, match="damaged"):
        MemoryStore(TABLES, tmp_path)
    assert not (tmp_path / "pwned").exists()
