"""A Ray cluster over machines that are reached by ssh: Ray's launcher, with a file generated from our configuration.

Ray's autoscaler on the head starts workers when actors wait for CPUs, and starts again those that died.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import yaml

from cluster.launch.config import ClusterConfig
from cluster.launch.ports import free_port
from cluster.launch.state import ClusterState, LaunchError
from cluster.launch.token import make_token
from cluster.local_ray import NO_TASK_EVENTS

TUNNEL = 30.0  # seconds in which the way to the head must be open


def up(config: ClusterConfig, state: ClusterState) -> None:
    """Starts Ray on the head, which starts it on the workers.

    Raises:
        LaunchError: when Ray's launcher fails; what it said went to the terminal.
    """
    make_token(state.token)
    _launcher(["up", "--yes", "--no-config-cache"], config, state)
    state.note(up=True)


def down(config: ClusterConfig, state: ClusterState) -> None:
    """Ends Ray on all machines. Raises LaunchError as `up`."""
    _launcher(["down", "--yes"], config, state)
    state.forget()


def launcher_file(config: ClusterConfig, state: ClusterState) -> dict[str, Any]:
    """The cluster in the words of Ray's launcher (`ray up`)."""
    ssh = config.ssh
    assert ssh is not None
    ray = f"{quote(ssh.folder)}/.venv/bin/ray"
    token = f".ocelot/clusters/{config.name}/token"
    environment = f'RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$HOME/{token}" RAY_USAGE_STATS_ENABLED=0'
    environment += f" {NO_TASK_EVENTS}=0"
    path = f'PATH={quote(ssh.folder)}/.venv/bin:"$PATH"'
    begin = f"ulimit -n 65536 2>/dev/null; cd {quote(ssh.folder)}; {environment} {path} {ray} start"
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
            f"{begin} --head --node-ip-address={quote(ssh.head)} --port={config.port} --num-cpus=0"
            f" --dashboard-host=127.0.0.1 --dashboard-port={config.dashboard_port}"
            " --autoscaling-config=~/ray_bootstrap_config.yaml --disable-usage-stats",
        ],
        "worker_start_ray_commands": [f"{ray} stop", f"{begin} --address=$RAY_HEAD_IP:{config.port}{cpus}"],
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


def _options(config: ClusterConfig) -> list[str]:
    assert config.ssh is not None
    key = str(Path(config.ssh.key).expanduser())
    return ["-i", key, "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ExitOnForwardFailure=yes"]


def _launcher(words: Sequence[str], config: ClusterConfig, state: ClusterState) -> None:
    file = state.write("launcher.yaml", yaml.safe_dump(launcher_file(config, state), sort_keys=False))
    command = [sys.executable, "-m", "ray.scripts.scripts", *words, str(file)]
    # Ray's launcher keeps notes of its own, by default in a folder that all users of this machine share.
    done = subprocess.run(command, env=os.environ | {"RAY_TMPDIR": str(state.folder)})
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
