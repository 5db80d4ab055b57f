"""Hosts of one machine: network, process and mount namespaces, joined by a bridge, as machines are by a switch."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

SUBNET = "10.213.77"
RAY = "/tmp/ray"  # where Ray keeps what belongs to one machine
TOOLS = ("ip", "tc", "unshare", "nsenter", "mount")


def why_not() -> str | None:
    """Why hosts cannot be made here; None when they can."""
    if os.geteuid() != 0:
        return "making network namespaces with addresses of their own needs root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} is not installed (iproute2, util-linux)"
    done = subprocess.run(["ip", "netns", "add", "ocelot-probe"], capture_output=True, text=True)
    if done.returncode:
        return f"no network namespace can be made: {done.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", "ocelot-probe"], check=True)
    return None


class Host:
    """A host with an address, processes and a folder for Ray of its own, on the same disk otherwise.

    Args:
        number: last part of its address.
        folder: for its Ray.
        bridge: that its cable ends in.
    """

    def __init__(self, number: int, folder: Path, bridge: str):
        self.address = f"{SUBNET}.{number}"
        self.namespace = f"{bridge}h{number}"
        self.cable = f"{bridge}v{number}"
        self._bridge = bridge
        self._temporary = folder / f"ray{number}"
        self._temporary.mkdir()
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        run("ip", "link", "set", self.cable, "master", bridge, "up")
        for words in (["addr", "add", f"{self.address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"]):
            run("ip", "-n", self.namespace, *words)
        run("ip", "-n", self.namespace, "link", "set", "lo", "up")
        self.boot()

    def boot(self) -> None:
        """Starts the first process of its process namespace, with which all others end."""
        inside = f"mkdir -p {RAY} && mount --bind {self._temporary} {RAY} && exec sleep infinity"
        # ip netns exec has a mount namespace of its own already.
        command = ["ip", "netns", "exec", self.namespace, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._first = subprocess.Popen([*command, "--mount", "sh", "-c", inside])
        deadline = time.monotonic() + 20
        while not (self._inside() and self._mounted()):
            assert time.monotonic() < deadline, "the host does not boot"
            time.sleep(0.05)

    def command(self, *words: str) -> list[str]:
        """A command that runs something in this host."""
        return ["nsenter", "-t", str(self._inside()[0]), "-n", "-p", "-m", *words]

    def cut_off(self) -> None:
        """Pulls its cable."""
        run("ip", "link", "set", self.cable, "down")

    def connect(self) -> None:
        """Puts its cable back."""
        run("ip", "link", "set", self.cable, "up")

    def slow_down(self) -> str:
        """Makes what it sends late and lossy, or thin on a kernel without netem; returns how."""
        queue = ["tc", "-n", self.namespace, "qdisc", "add", "dev", "eth0", "root"]
        try:
            run(*queue, "netem", "delay", "100ms", "20ms", "loss", "1%")
            return "100 ms and 1% loss"
        except subprocess.CalledProcessError:
            run(*queue, "tbf", "rate", "4mbit", "burst", "32kb", "latency", "400ms")
            return "4 Mbit/s"

    def kill(self) -> None:
        """Ends all its processes at once, as a power failure does."""
        self._first.kill()
        self._first.wait()

    def remove(self) -> None:
        """Ends its processes and takes it off the network."""
        self.kill()
        with contextlib.suppress(subprocess.CalledProcessError):
            run("ip", "netns", "del", self.namespace)

    def _inside(self) -> list[int]:
        """The first process of its process namespace, as this machine numbers it."""
        done = subprocess.run(["pgrep", "-P", str(self._first.pid)], capture_output=True, text=True)
        return [int(pid) for pid in done.stdout.split()]

    def _mounted(self) -> bool:
        command = self.command("mountpoint", "-q", RAY)
        return subprocess.run(command, capture_output=True).returncode == 0


@contextlib.contextmanager
def hosts(count: int, folder: Path) -> Iterator[list[Host]]:
    """So many hosts on one bridge; this machine itself has no address on it."""
    bridge = f"oc{os.getpid() % 100_000}"
    made: list[Host] = []
    run("ip", "link", "add", bridge, "type", "bridge")
    try:
        run("ip", "link", "set", bridge, "up")
        for number in range(1, count + 1):
            made.append(Host(number, folder, bridge))
        yield made
    finally:
        for host in made:
            host.remove()
        subprocess.run(["ip", "link", "del", bridge])


def run(*words: str) -> None:
    """Runs a command that must succeed."""
    subprocess.run(words, check=True, capture_output=True)
