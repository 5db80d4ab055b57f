"""`ocelot cluster up`, `status`, `submit` and `down` over ssh, through Ray's own launcher: a head, two workers, and a
fourth host from which they are launched.

What this leaves untested: all hosts share one disk, so checkout and installation are everywhere by themselves, and the
launcher's rsync copies between folders of one disk. Their clock and kernel are one, too.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from cluster.rundir import RunDirectory
from replay.seal import can_seal
from tests.cluster.conftest import ROOT
from tests.cluster.hosts import SUBNET, hosts
from tests.cluster.hosts import why_not as no_hosts
from tests.cluster.small import FINETUNE, PRETRAIN, changed, write
from tests.cluster.ssh_hosts import USER, SshHost
from tests.cluster.ssh_hosts import why_not as no_ssh

REASON = no_hosts() or no_ssh() or (None if can_seal() else "this machine allows no network namespace for replay")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
]
PATIENCE = 900.0  # seconds for a command that takes a minute on an idle machine


@dataclass
class Launched:
    """What the commands said, and what they left."""

    folder: Path
    home: Path
    """Of who launches."""
    said: dict[str, subprocess.CompletedProcess] = field(default_factory=dict)
    nodes: dict[str, list[dict]] = field(default_factory=dict)
    """What `status` said before the run and after it."""
    noted: list[bool] = field(default_factory=list)
    """Whether who launched has noted the key of each host."""
    left: str = ""
    """Processes of Ray on the cluster's hosts when it was down."""


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    folder = tmp_path_factory.mktemp("ssh")
    (folder / ".venv").symlink_to(sys.prefix)  # each host's installation
    with hosts(4, folder) as four:
        *cluster, outside = [SshHost(host, folder) for host in four]
        key, public = outside.make_key()
        for host in cluster:
            host.serve(public)
        try:
            for host in cluster:
                outside.wait_for(host, 60.0)
            yield _launch(folder, outside, cluster, key, public)
        finally:
            for host in cluster:
                host.refuse()


def _launch(folder: Path, outside: SshHost, cluster: list[SshHost], key: Path, public: str) -> Launched:
    launched = Launched(folder, outside.home)
    machines = {"head": cluster[0].address, "workers": [host.address for host in cluster[1:]], "user": USER}
    machines |= {"key": str(key), "folder": str(folder), "runs": str(folder / "runs")}
    lab = {"name": "lab", "kind": "ssh", "cpus": 1, "min_workers": 1, "max_workers": 2, "ssh": machines}
    file = write(folder / "lab.yaml", lab)
    config = changed(
        FINETUNE,
        run={"name": "sent", "updates": 20, "checkpoint_every": 10, "log_every": 5},
        tasks=[{"name": "gym/tests.cluster.faulty:Slow-v0"}],
        policy=PRETRAIN["policy"],
        schedule=[{"objective": "bc", "batch": 4, "data": {"online": 1.0}}],
        actors={"processes": 2, "min_processes": 2, "environments": 4, "steps": 600},
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment["HOME"] = str(outside.home)

    def ocelot(name: str, *words: str) -> None:
        launched.said[name] = subprocess.run(
            outside.command("env", "-C", str(ROOT), sys.executable, "-m", "cluster", "cluster", *words),
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    try:
        ocelot("up", "up", str(file))
        ocelot("status", "status", "lab", "--json", str(folder / "before.json"))
        # Two actors of one CPU each: the autoscaler has to bring a second worker.
        ocelot("submit", "submit", str(write(folder / "run.yaml", config)), "--cluster", "lab")
        ocelot("status after", "status", "lab", "--json", str(folder / "after.json"))
        cluster[2].refuse()
        ocelot("down in part", "down", "lab")
        cluster[2].serve(public)
        outside.wait_for(cluster[2], 60.0)
    finally:
        ocelot("down", "down", "lab")
    for name in ("before", "after"):
        if (folder / f"{name}.json").exists():
            launched.nodes[name] = json.loads((folder / f"{name}.json").read_text())["nodes"]
    for host in cluster:
        found = subprocess.run(host.command("pgrep", "-a", "raylet|gcs_server"), capture_output=True, text=True)
        launched.left += "".join(line for line in found.stdout.splitlines() if "<defunct>" not in line)
    launched.noted = [outside.has_noted(host) for host in cluster]
    return launched


def _output(done: subprocess.CompletedProcess) -> str:
    return f"{done.stdout}\n{done.stderr}"


def test_up_starts_the_head_and_status_shows_it(launched: Launched):
    assert launched.said["up"].returncode == 0, _output(launched.said["up"])
    assert launched.said["status"].returncode == 0, _output(launched.said["status"])
    heads = [node for node in launched.nodes["before"] if node["is_head_node"]]
    assert [(node["node_ip"], node["state"]) for node in heads] == [(f"{SUBNET}.1", "ALIVE")]
    assert "CPU" not in heads[0]["resources_total"]


def test_a_run_is_sent_there_and_ends_with_its_files(launched: Launched):
    assert launched.said["submit"].returncode == 0, _output(launched.said["submit"])
    run = RunDirectory(launched.folder / "runs" / "sent")
    latest = run.latest_checkpoint()
    assert latest is not None
    assert latest.name == "step_000020"
    assert "20 of 20 updates" in launched.said["submit"].stdout


def test_actors_that_wait_bring_a_second_worker(launched: Launched):
    addresses = {node["node_ip"] for node in launched.nodes["after"] if node["state"] == "ALIVE"}
    assert addresses == {f"{SUBNET}.{number}" for number in (1, 2, 3)}


def test_the_token_is_for_its_user_alone_and_in_no_file_of_the_launcher(launched: Launched):
    token = (launched.home / ".ocelot" / "clusters" / "lab" / "token").read_text()
    for number in (1, 2, 3):
        copied = launched.folder / f"home{number}" / ".ocelot" / "clusters" / "lab" / "token"
        assert copied.read_text() == token
        assert copied.stat().st_mode & 0o077 == 0
    assert token not in yaml.safe_dump([_output(done) for done in launched.said.values()])
    for file in launched.folder.rglob("*"):
        if file.is_file() and file.name != "token" and not file.is_relative_to(launched.folder / ".venv"):
            assert token.encode() not in file.read_bytes(), file


def test_the_machines_keys_are_noted(launched: Launched):
    assert launched.noted == [True, True, True]


def test_down_says_where_ray_may_still_run(launched: Launched):
    done = launched.said["down in part"]
    assert done.returncode == 2, _output(done)
    assert f"may still run on {SUBNET}.3 (" in done.stderr
    assert "Traceback" not in done.stderr


def test_down_ends_ray_on_all_hosts(launched: Launched):
    assert launched.said["down"].returncode == 0, _output(launched.said["down"])
    assert launched.left == ""
