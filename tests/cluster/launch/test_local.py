"""`ocelot cluster up`, `status`, `submit` and `down` on this machine."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.cli import PERSON
from cluster.launch.config import ClusterConfig
from cluster.launch.ports import free_port
from cluster.launch.state import ClusterState
from cluster.rundir import RunDirectory
from tests.cluster.conftest import ROOT
from tests.cluster.small import FINETUNE, PRETRAIN, changed, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TASK = "gym/CartPole-v1"


class Cluster:
    """A cluster of this machine with ports, a home and a temporary folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment |= {"OCELOT_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
        config = ClusterConfig(name="here", port=free_port(), dashboard_port=free_port(), cpus=2)
        self.file = folder / "cluster.yaml"
        self.file.write_text(f"name: here\nport: {config.port}\ndashboard_port: {config.dashboard_port}\ncpus: 2\n")
        self.config = config

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """`ocelot cluster ...`"""
        command = [sys.executable, "-m", "cluster", "cluster", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=600)

    def processes(self) -> list[psutil.Process]:
        """Ray's processes of this cluster."""
        noted = json.loads((self.folder / "home" / "clusters" / "here" / "state.json").read_text())
        head = psutil.Process(noted["pid"])
        return [head, *head.children(recursive=True)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    done = made("up", made.file)
    assert done.returncode == 0, done.stderr
    yield made
    made("down", "here")


def test_it_listens_on_the_loopback_alone(cluster: Cluster):
    listening = set()
    for process in cluster.processes():
        listening |= {each.laddr.ip for each in process.net_connections("tcp") if each.status == "LISTEN"}
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert listening


def test_its_token_is_in_no_command_line_and_no_log(cluster: Cluster):
    folder = cluster.folder / "home" / "clusters" / "here"
    token = (folder / "token").read_text()
    assert not any(token in " ".join(process.cmdline()) for process in cluster.processes())
    temporary = Path(json.loads((folder / "state.json").read_text())["temporary"])
    assert temporary.stat().st_mode & 0o077 == 0
    logs = [folder / "ray.log", *temporary.glob("ray/session_2*/logs/**/*")]
    assert len(logs) > 10
    assert [log for log in logs if log.is_file() and token in log.read_text(errors="replace")] == []


def test_who_lacks_the_token_hands_in_no_job(cluster: Cluster):
    import urllib.error
    import urllib.request

    request = urllib.request.Request(f"http://127.0.0.1:{cluster.config.dashboard_port}/api/jobs/")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code in (401, 403)


def test_a_run_is_sent_followed_and_finished(cluster: Cluster):
    config = changed(
        FINETUNE,
        run={"name": "sent", "folder": str(cluster.folder / "runs"), "updates": 16, "checkpoint_every": 8},
        tasks=[{"name": TASK}],
        policy=PRETRAIN["policy"],
        schedule=[{"objective": "bc", "batch": 4, "data": {"online": 1.0}}],
        actors={"processes": 2, "environments": 2, "steps": 400},
    )
    done = cluster("submit", write(cluster.folder / "run.yaml", config), "--cluster", "here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Look at it: ocelot monitor" in done.stdout  # what the job said
    latest = RunDirectory(cluster.folder / "runs" / "sent").latest_checkpoint()
    assert latest is not None
    assert latest.name == "step_000016"
    # The same run with another seed is refused there, and the job's exit status comes back.
    again = cluster("submit", cluster.folder / "run.yaml", "--cluster", "here", "--set", "run.seed=1")
    assert again.returncode == PERSON
    assert "another configuration (run.seed: 0, now 1)" in again.stdout


def test_status_and_down(cluster: Cluster):
    assert "127.0.0.1       head   ALIVE {'CPU': 2.0}" in cluster("status", "here").stdout
    family = cluster.processes()
    assert cluster("down", "here").returncode == 0
    _, left = psutil.wait_procs(family, timeout=10)
    assert left == []
    said = cluster("status", "here")
    assert said.returncode == PERSON
    assert "does not run" in said.stderr


def test_a_cluster_that_was_never_launched_is_named(cluster: Cluster):
    said = cluster("status", "nowhere")
    assert said.returncode == PERSON
    assert "there is here" in said.stderr


def test_state_is_where_the_environment_says(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OCELOT_HOME", cluster.environment["OCELOT_HOME"])
    assert ClusterState("here").config() == cluster.config
