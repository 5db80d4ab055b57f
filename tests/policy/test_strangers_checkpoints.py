"""Checkpoints from strangers: whatever is in their files, reading them ends in a policy or in an error of ours."""

import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy import checkpoint
from policy.config import PolicyConfig
from policy.errors import OcelotError
from policy.model import Policy

SIZES = PolicyConfig(layers=1, width=8, heads=1, feedforward=8, context=16)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
MANY = settings(
    max_examples=60, print_blob=False, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    checkpoint.save(folder, Policy(SIZES), {})
    return folder


def read(folder: Path) -> None:
    """Gives a policy or an error of ours; anything else fails the test."""
    with contextlib.suppress(OcelotError):
        checkpoint.load(folder)


def paths(value: Any, path: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, part in inner for each in paths(part, (*path, key)))]


@MANY
@given(st.data())
def test_any_part_of_the_configuration_may_be_anything(whole: Path, tmp_path: Path, data: st.DataObject):
    config = json.loads((whole / "config.json").read_text())
    path = data.draw(st.sampled_from(paths(config)))
    value = data.draw(JSON)
    if path:
        part = config
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value
    else:
        config = value
    (tmp_path / "model.safetensors").write_bytes((whole / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config))
    read(tmp_path)


@MANY
@given(st.data())
def test_weights_may_be_cut_off_and_any_byte_of_them_anything(whole: Path, tmp_path: Path, data: st.DataObject):
    content = bytearray((whole / "model.safetensors").read_bytes())
    header = struct.unpack("<Q", content[:8])[0]
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, 8 + header - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    (tmp_path / "config.json").write_bytes((whole / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(bytes(content))
    read(tmp_path)


def test_sizes_that_no_memory_holds_are_refused(whole: Path, tmp_path: Path):
    config = json.loads((whole / "config.json").read_text())
    config["policy"] |= {"width": 2**20, "feedforward": 2**24}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes((whole / "model.safetensors").read_bytes())
    with pytest.raises(OcelotError, match="does not fit the policy"):
        checkpoint.load(tmp_path)


def test_a_pickle_is_not_opened(whole: Path, tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return (Path(tmp_path / "pwned").touch, ())

    (tmp_path / "config.json").write_bytes((whole / "config.json").read_bytes())
    torch.save(Trap(), tmp_path / "model.safetensors")
    with pytest.raises(OcelotError, match="safetensors"):
        checkpoint.load(tmp_path)
    assert not (tmp_path / "pwned").exists()
