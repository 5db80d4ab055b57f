"""A Ray cluster over machines that are reached by ssh: Ray's launcher, with a file generated from our configuration.

Ray's autoscaler on the head starts workers when actors wait for CPUs, and starts again those that died.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import yaml

from cluster.launch.config import ClusterConfig, SshConfig
from cluster.launch.ports import free_port
from cluster.launch.state import ClusterState, LaunchError
from cluster.launch.token import make_token
from cluster.local_ray import NO_TASK_EVENTS, STARTS

TUNNEL = 30.0  # seconds in which the way to the head must be open
END = 120.0  # seconds in which Ray must have ended on a machine


def up(config: ClusterConfig, state: ClusterState) -> None:
    """Starts Ray on the head, which starts it on the workers.

    Raises:
        LaunchError: when Ray's launcher fails; what it said went to the terminal.
    """
    make_token(state.token)
    _launcher(["up", "--yes", "--no-config-cache"], config, state)
    state.note(up=True)


def down(config: ClusterConfig, state: ClusterState) -> None:
    """Ends Ray on all machines: on the head first, whose autoscaler would start it on the others again.

    Ray's launcher would look for `ray` in the PATH of the head's user, end it nowhere else, and report success.

    Raises:
        LaunchError: where it could not be ended.
    """
    ssh = config.ssh
    assert ssh is not None
    left = []
    for machine in [ssh.head, *ssh.workers]:
        command = ["ssh", *_options(config), f"{ssh.user}@{machine}", f"{_ray(ssh)} stop"]
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=END, check=True)
        except subprocess.CalledProcessError as error:
            said = (error.stderr.strip() or error.stdout.strip() or f"status {error.returncode}").splitlines()
            left.append(f"{machine} ({said[-1]})")
        except subprocess.TimeoutExpired:
            left.append(f"{machine} (no answer within {END:.0f} s)")
    if left:
        raise LaunchError(
            f"Ray may still run on {', '.join(left)}; all other machines of cluster '{config.name}' are done. Once "
            f"they can be reached, `ocelot cluster down {config.name}` does the rest"
        )
    shutil.rmtree(state.folder / "ray", ignore_errors=True)  # the launcher's notes of what runs
    state.forget()


def launcher_file(config: ClusterConfig, state: ClusterState) -> dict[str, Any]:
    """The cluster in the words of Ray's launcher (`ray up`)."""
    ssh = config.ssh
    assert ssh is not None
    ray = _ray(ssh)
    token = f".ocelot/clusters/{config.name}/token"
    environment = f'RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$HOME/{token}" RAY_USAGE_STATS_ENABLED=0'
    environment += f" {NO_TASK_EVENTS}=0"
    path = f'PATH={quote(ssh.folder)}/.venv/bin:"$PATH"'
    prepare = f"ulimit -n 65536 2>/dev/null; cd {quote(ssh.folder)}"
    start = f"{environment} {path} {ray} start"
    cpus = "" if config.cpus is None else f" --num-cpus={config.cpus}"
    return {
        "cluster_name": config.name,
        "provider": {
            "type": "local",
            "head_ip": ssh.head,
            "worker_ips": ssh.workers,
        },
        "auth": {"ssh_user": ssh.user, "ssh_private_key": str(Path(ssh.key).expanduser())},
        "min_workers": config.min_workers,
        "max_workers": config.most_workers,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 5,
        "file_mounts": {f"~/{token}": str(state.token)},
        "initialization_commands": [],
        "setup_commands": ssh.shell,
        # The head's own CPUs are for the driver, the learner, the policy server and replay.
        "head_start_ray_commands": [
            f"{ray} stop",
            f"{prepare}; {start} --head --node-ip-address={quote(ssh.head)} --port={config.port} --num-cpus=0"
            f" --dashboard-host=127.0.0.1 --dashboard-port={config.dashboard_port}"
            " --autoscaling-config=~/ray_bootstrap_config.yaml --disable-usage-stats",
        ],
        # The autoscaler never tries a machine again on which Ray did not start, be it for a moment's load.
        "worker_start_ray_commands": [
            f"{ray} stop",
            f"{prepare}; for attempt in {' '.join(map(str, range(STARTS)))}; do"
            f" {start} --address=$RAY_HEAD_IP:{config.port}{cpus} && exit 0; {ray} stop; done; exit 1",
        ],
    }


@contextlib.contextmanager
def jobs_address(config: ClusterConfig, state: ClusterState) -> Iterator[str]:
    """Where jobs are handed in: the head's loopback, through ssh, as long as the context lasts.

    Raises:
        LaunchError: when the way does not open.
    """
    assert config.ssh is not None
    port = free_port()
    through = f"{port}:127.0.0.1:{config.dashboard_port}"
    command = ["ssh", *_options(config), "-N", "-L", through, f"{config.ssh.user}@{config.ssh.head}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def runs(config: ClusterConfig) -> str:
    """Folder of run directories on the head."""
    assert config.ssh is not None
    return config.ssh.runs


def _ray(ssh: SshConfig) -> str:
    """Ray's command on each machine, for a shell."""
    return f"{quote(ssh.folder)}/.venv/bin/ray"


def _options(config: ClusterConfig) -> list[str]:
    assert config.ssh is not None
    key = str(Path(config.ssh.key).expanduser())
    # A machine that is new is believed, and its key noted; one whose key has changed is not.
    names = ("BatchMode=yes", "ConnectTimeout=10", "ExitOnForwardFailure=yes", "StrictHostKeyChecking=accept-new")
    return ["-i", key, *(word for name in names for word in ("-o", name))]


def _launcher(words: Sequence[str], config: ClusterConfig, state: ClusterState) -> None:
    file = state.write("launcher.yaml", yaml.safe_dump(launcher_file(config, state), sort_keys=False))
    command = [sys.executable, "-m", "ray.scripts.scripts", *words, str(file)]
    # Ray's launcher keeps notes of its own, by default in a folder that all users of this machine share. The second
    # version of Ray's autoscaler, its default, does not know on such machines that the head runs, and starts no worker.
    environment = os.environ | {"RAY_TMPDIR": str(state.folder), "RAY_UP_enable_autoscaler_v2": "0"}
    done = subprocess.run(command, env=environment)
    if done.returncode:
        raise LaunchError(
            f"Ray's launcher failed with status {done.returncode} (above is what it said). Each machine needs ssh for "
            f"{config.ssh.user if config.ssh else ''} with that key, rsync, and a checkout with `make`'s installation"
        )


def _wait_for(port: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + TUNNEL
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.terminate()
                said = (process.communicate()[1] or "").strip().splitlines()
                raise LaunchError(f"no way to the head over ssh: {said[-1] if said else 'no answer'}") from None
        time.sleep(0.2)
