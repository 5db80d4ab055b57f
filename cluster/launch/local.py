"""A Ray cluster of this machine that outlives the command: on the loopback, with a token."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from cluster.launch.config import ClusterConfig
from cluster.launch.ports import free_port
from cluster.launch.state import ClusterState, LaunchError
from cluster.launch.token import make_token, use_token
from cluster.local_ray import NO_TASK_EVENTS, ONLY_LOOPBACK

START = 120.0  # seconds in which Ray must be up
END = 30.0  # seconds in which its processes must end
LOOPBACK = "127.0.0.1"


def up(config: ClusterConfig, state: ClusterState) -> None:
    """Starts Ray's head on this machine's loopback.

    Raises:
        LaunchError: when one runs already, or Ray does not start; with the end of its log.
    """
    if running(state):
        raise LaunchError(f"cluster '{config.name}' runs already; `ocelot cluster down {config.name}` ends it")
    make_token(state.token)
    use_token(state.token)
    # Not in the state's folder: Ray's sockets need a short path. A folder inside, for Ray opens its own to all users.
    temporary = tempfile.mkdtemp(prefix="ocelot-ray-")
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
    command += [f"--port={config.port}", f"--dashboard-host={LOOPBACK}", f"--dashboard-port={config.dashboard_port}"]
    # Through its agent jobs come in; the agent's usual port may be that of another Ray on this machine.
    command += [f"--dashboard-agent-listen-port={free_port()}", f"--temp-dir={temporary}/ray"]
    command += [] if config.cpus is None else [f"--num-cpus={config.cpus}"]
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"  # where jobs find this Python
    environment = {NO_TASK_EVENTS: "0"} | os.environ | {ONLY_LOOPBACK: "0", "RAY_TMPDIR": temporary, "PATH": path}
    with open(os.open(state.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    state.note(pid=process.pid, created=psutil.Process(process.pid).create_time(), temporary=temporary)
    deadline = time.monotonic() + START
    while not _answers(config):
        if process.poll() is not None or time.monotonic() > deadline:
            end = " | ".join(state.log.read_text(errors="replace").split("\n")[-6:])
            down(config, state)
            raise LaunchError(f"Ray did not start; its log {state.log} ends: {end}")
        time.sleep(0.5)


def down(config: ClusterConfig, state: ClusterState) -> None:
    """Ends Ray's processes of this cluster, and no others."""
    noted = state.noted()
    process = _process(state)
    if process is not None:
        family = [*process.children(recursive=True), process]
        process.terminate()  # Ray ends its own processes
        _, left = psutil.wait_procs(family, timeout=END)
        for each in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(left, timeout=END)
    if noted:
        shutil.rmtree(noted["temporary"], ignore_errors=True)
    state.forget()


def running(state: ClusterState) -> bool:
    """Whether the cluster's head runs."""
    return _process(state) is not None


@contextlib.contextmanager
def jobs_address(config: ClusterConfig, state: ClusterState) -> Iterator[str]:
    """Where jobs are handed in, as long as the context lasts.

    Raises:
        LaunchError: when the cluster does not run.
    """
    if not running(state):
        raise LaunchError(f"cluster '{config.name}' does not run; `ocelot cluster up` starts it")
    yield f"http://{LOOPBACK}:{config.dashboard_port}"


def runs(config: ClusterConfig) -> str:
    """Folder of run directories on the head: the caller's own."""
    return str(Path("runs").absolute())


def _answers(config: ClusterConfig) -> bool:
    try:
        socket.create_connection((LOOPBACK, config.dashboard_port), timeout=1).close()
    except OSError:
        return False
    return True


def _process(state: ClusterState) -> psutil.Process | None:
    """The head's first process; a later one of the same number is another."""
    noted = state.noted()
    try:
        process = psutil.Process(noted["pid"])
        same = process.create_time() == noted["created"] and process.status() != psutil.STATUS_ZOMBIE
    except (KeyError, psutil.NoSuchProcess):
        return None
    return process if same else None
