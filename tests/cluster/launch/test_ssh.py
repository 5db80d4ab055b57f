"""The file that Ray's launcher gets for machines over ssh."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cluster.launch.config import ClusterConfig, SshConfig
from cluster.launch.ssh import launcher_file
from cluster.launch.state import ClusterState


def config(folder: str, **ssh: Any) -> ClusterConfig:
    machines: dict[str, Any] = {
        "head": "10.0.0.1",
        "workers": ["10.0.0.2", "10.0.0.3"],
        "user": "ocelot",
        "key": "~/.ssh/id",
    }
    return ClusterConfig(
        name="lab", kind="ssh", min_workers=1, ssh=SshConfig(folder=folder, runs="/runs", **(machines | ssh))
    )


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterState:
    monkeypatch.setenv("OCELOT_HOME", str(tmp_path / "home"))
    return ClusterState("lab")


def test_ray_knows_every_word_of_it(state: ClusterState):
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(launcher_file(config("/ocelot"), state))
    validate_config(prepared)  # against ray-schema.json
    assert prepared["available_node_types"]["local.cluster.node"]["min_workers"] == 1
    assert prepared["max_workers"] == 2


def test_ray_starts_with_a_token_and_its_dashboard_on_the_loopback(state: ClusterState):
    made = launcher_file(config("/ocelot"), state)
    head, worker = made["head_start_ray_commands"][1], made["worker_start_ray_commands"][1]
    for command in (head, worker):
        assert "RAY_AUTH_MODE=token" in command
    assert "--dashboard-host=127.0.0.1" in head
    assert made["file_mounts"] == {"~/.ocelot/clusters/lab/token": str(state.token)}


def test_no_setting_reaches_a_shell_as_code(state: ClusterState, tmp_path: Path):
    folder = tmp_path / "it's; touch pwned; $(touch pwned)"
    (folder / ".venv" / "bin").mkdir(parents=True)
    os.symlink("/bin/echo", folder / ".venv" / "bin" / "ray")
    made = launcher_file(config(str(folder)), state)
    for command in made["head_start_ray_commands"] + made["worker_start_ray_commands"]:
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.split()[0] in ("start", "stop")
    assert [path for path in tmp_path.rglob("pwned") if path.is_file()] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"head": "a; reboot"},
        {"head": "-oProxyCommand=reboot"},
        {"workers": ["$(reboot)"]},
        {"user": "root -oProxyCommand=reboot"},
        {"runs": "runs"},
    ],
)
def test_hosts_and_users_that_are_none_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        SshConfig(**({"head": "h", "user": "u", "key": "k", "folder": "/o", "runs": "/r"} | wrong))


def test_a_worker_on_which_ray_does_not_start_at_once_is_tried_again(state: ClusterState, tmp_path: Path):
    ray = tmp_path / ".venv" / "bin" / "ray"
    ray.parent.mkdir(parents=True)
    # Starts when it was stopped twice.
    ray.write_text("#!/bin/sh\necho $1 >> log\ntest $1 = stop || test $(grep -c stop log) -ge 2\n")
    ray.chmod(0o755)
    command = launcher_file(config(str(tmp_path)), state)["worker_start_ray_commands"][1]
    assert subprocess.run(["bash", "-c", command], cwd=tmp_path).returncode == 0
    assert (tmp_path / "log").read_text().split() == ["start", "stop", "start", "stop", "start"]
    ray.write_text("#!/bin/sh\nexit 1\n")
    assert subprocess.run(["bash", "-c", command], cwd=tmp_path).returncode == 1
