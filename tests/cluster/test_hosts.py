"""A run over three hosts, each with an address, processes and a Ray of its own: slowed, cut off, killed, replaced."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.launch.config import ClusterConfig, SshConfig
from cluster.launch.ssh import launcher_file
from cluster.launch.state import ClusterState
from cluster.launch.token import make_token
from cluster.rundir import RunDirectory
from replay.reverb_process import SEALED_PORT
from replay.seal import can_seal
from tests.cluster.conftest import ROOT
from tests.cluster.hosts import SUBNET, Host, hosts, why_not
from tests.cluster.processes_of import scalars
from tests.cluster.reliability import Fault
from tests.cluster.small import FINETUNE, PRETRAIN, changed, write
from tests.cluster.watched import PATIENCE, Watched

REASON = why_not() or (None if can_seal() else "this machine allows no network namespace for replay")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
]

TASK = "gym/tests.cluster.faulty:Slow-v0"
UPDATES, STEPS = 300, 9000
EVERY = 10  # updates between checkpoints
PORT = 6379


@dataclass
class Lab:
    """Three hosts with a Ray cluster over them, launched by the commands that machines over ssh get."""

    hosts: list[Host]
    folder: Path
    commands: dict[str, str]

    def start_ray(self, number: int) -> None:
        """The command of the launcher's file, in a shell of that host."""
        role = "head" if number == 0 else "worker"
        done = subprocess.run(
            self.hosts[number].command("bash", "-c", self.commands[role]),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        quick = {"RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "3000"}
        quick |= {"RAY_health_check_failure_threshold": "4", "RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"}
        return (
            clean
            | quick
            | {
                "HOME": str(self.folder),
                "RAY_HEAD_IP": self.hosts[0].address,
                "PYTHONPATH": str(ROOT),  # where the tests' environments are
            }
        )

    def finetune(self, file: Path) -> subprocess.Popen:
        """`ocelot finetune` on the head."""
        token = self.folder / ".ocelot" / "clusters" / "lab" / "token"
        command = [sys.executable, "-m", "cluster", "finetune", str(file)]
        command += ["--address", f"{self.hosts[0].address}:{PORT}"]
        return subprocess.Popen(
            self.hosts[0].command(*command),
            env=self.environment | {"RAY_AUTH_TOKEN_PATH": str(token)},
            cwd=ROOT,
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / ".venv").symlink_to(sys.prefix)
    machines = SshConfig(
        head=f"{SUBNET}.1",
        workers=[f"{SUBNET}.2", f"{SUBNET}.3"],
        user="root",
        key="unused",
        folder=str(folder),
        runs=str(folder),
    )
    config = ClusterConfig(name="lab", kind="ssh", port=PORT, cpus=1, ssh=machines)
    state = ClusterState("lab")
    state.folder = folder / ".ocelot" / "clusters" / "lab"
    state.token = state.folder / "token"
    make_token(state.token)
    made = launcher_file(config, state)
    head = made["head_start_ray_commands"][1].replace(" --autoscaling-config=~/ray_bootstrap_config.yaml", "")
    # The dashboard takes as long to start as all the rest, and no job is handed in here.
    commands = {"head": f"{head} --include-dashboard=false", "worker": made["worker_start_ray_commands"][1]}
    with hosts(4, folder) as four:
        lab = Lab(four, folder, commands)
        for number in range(3):
            lab.start_ray(number)
        yield lab


@dataclass
class Story:
    """What was seen from outside."""

    run: RunDirectory
    finished_with: int
    seen_by_a_stranger: dict[str, str]
    log: str


@pytest.fixture(scope="module")
def story(lab: Lab, reliability: list[Fault]) -> Story:
    config = changed(
        FINETUNE,
        run={
            "name": "hosts",
            "folder": str(lab.folder / "runs"),
            "updates": UPDATES,
            "checkpoint_every": EVERY,
            "log_every": 5,
        },
        tasks=[{"name": TASK}],
        policy=PRETRAIN["policy"],
        schedule=[{"objective": "bc", "batch": 4, "data": {"online": 1.0}}],
        actors={"processes": 2, "environments": 4, "steps": STEPS, "silent": 12.0, "lead": 10},
        replay={"gates": 2},  # one for each actor
    )
    run = RunDirectory(lab.folder / "runs" / "hosts")
    watched = Watched(run, lab.finetune(write(lab.folder / "run.yaml", config)))
    first, second = lab.hosts[1], lab.hosts[2]
    died, acts = "died and is replaced", "acts"
    try:
        watched.wait(lambda: watched.noted(acts)[0] >= 2, "two actors")
        watched.wait_for_updates(1)
        stranger = look_from(lab.hosts[3], lab.hosts[0])

        how = first.slow_down()
        reliability.append(
            Fault(f"a host's network slowed ({how})", None, watched.wait_for_updates(EVERY + 1), "nothing")
        )

        before = watched.noted(died)[0]
        second.cut_off()
        detected = watched.wait_for_log(died, before)
        back = detected + watched.wait_for_updates(EVERY + 1)
        reliability.append(Fault("a host cut off", detected, back, "unfinished episodes of its actors"))

        # Ray has given the host up; started again there, it brings back room for an actor.
        second.kill()
        second.connect()
        second.boot()
        before = watched.noted(acts)[0]
        lab.start_ray(2)
        watched.wait_for_log(acts, before)

        before = watched.noted(died)[0]
        first.kill()
        detected = watched.wait_for_log(died, before)
        back = detected + watched.wait_for_updates(EVERY + 1)
        reliability.append(Fault("SIGKILL of a host with everything on it", detected, back, "the same"))
        watched.process.wait(timeout=PATIENCE)
    finally:
        if watched.process.poll() is None:
            watched.process.send_signal(signal.SIGKILL)
    return Story(run, watched.process.returncode, stranger, watched.log)


def look_from(stranger: Host, head: Host) -> dict[str, str]:
    """What a host that is none of the cluster's can reach on its head: replay's port, and Ray without the token."""
    program = (
        "import socket, sys\n"
        "try: socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3); print('open')\n"
        "except OSError as error: print(error)"
    )
    ask = [sys.executable, "-c", program, head.address, str(SEALED_PORT)]
    port = subprocess.run(stranger.command(*ask), capture_output=True, text=True)
    ask = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", f"{head.address}:{PORT}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    ray = subprocess.run(stranger.command(*ask), capture_output=True, text=True, env=environment)
    sockets = subprocess.run(head.command("ss", "-ltnpH"), capture_output=True, text=True)
    return {"port": port.stdout, "ray": ray.stdout + ray.stderr, "sockets": sockets.stdout}


def test_the_run_ends_as_an_undisturbed_one(story: Story):
    assert story.finished_with == 0
    latest = story.run.latest_checkpoint()
    assert latest is not None
    assert latest.name == f"step_{UPDATES:06d}"
    assert (latest / "replay").exists()


def test_actors_were_replaced_and_the_steps_done(story: Story):
    points = scalars(story.run.path)
    assert max(value for _, value in points["faults/actor_restarts"]) >= 2
    assert max(value for _, value in points["faults/learner_restarts"]) == 0
    steps = [step for step, _ in points["charts/updates"]]
    assert steps == sorted(steps)
    assert STEPS <= steps[-1] <= STEPS + 50
    assert [value for _, value in points["charts/updates"]][-1] == UPDATES


def test_a_stranger_on_the_network_reaches_neither_replay_nor_ray(story: Story):
    assert "refused" in story.seen_by_a_stranger["port"]
    said = story.seen_by_a_stranger["ray"].lower()
    assert "token" in said or "unauthenticated" in said, said
    assert "reverb" not in story.seen_by_a_stranger["sockets"]
    assert "gcs_server" in story.seen_by_a_stranger["sockets"]  # it was looked at the right host
    assert "is open on every interface" not in story.log
