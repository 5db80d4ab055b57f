"""Hosts that are reached over ssh: each with a server, a name, and a home of its own for whoever logs in."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.cluster.hosts import Host

PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])  # servers are in no user's PATH
TOOLS = ("sshd", "ssh", "ssh-keygen", "rsync", "hostname")
USER = "root"
UNNOTED = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
SETTINGS = """
ListenAddress {address}
HostKey {key}
AuthorizedKeysFile .ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
PidFile {pid}
"""


def why_not() -> str | None:
    """Why no host can be reached over ssh here; None when hosts can."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=PLACES) is None]
    return f"{', '.join(missing)} is not installed (openssh-server, openssh-client, rsync)" if missing else None


class SshHost:
    """A host with what a machine has that people log in to. All hosts share one disk: only homes are their own.

    Args:
        host: that is up.
        folder: of its home and of its server's files.
    """

    def __init__(self, host: Host, folder: Path):
        self.host = host
        self.address = host.address
        self.home = folder / f"home{host.address.rpartition('.')[2]}"
        self._ssh = self.home / ".ssh"
        self._ssh.mkdir(parents=True, mode=0o700)
        self.home.chmod(0o700)  # the server wants homes that no other user can write to
        (self.home / ".bashrc").touch()
        _key(self._ssh / "host")
        self._pid = self.home / "sshd.pid"
        # A user's home is what the list of users says, whatever HOME is.
        users = self.home / "passwd"
        lines = Path("/etc/passwd").read_text().splitlines()
        users.write_text(
            "\n".join(f"{USER}:x:0:0::{self.home}:/bin/bash" if _is_user(line) else line for line in lines)
        )
        subprocess.run(host.command("mount", "--bind", str(users), "/etc/passwd"), check=True)

    def command(self, *words: str) -> list[str]:
        """A command that runs something in this host, under the host's name."""
        return self.host.command(
            "unshare", "--uts", "sh", "-c", f'hostname {self.home.name} && exec "$@"', "sh", *words
        )

    def serve(self, authorized: str) -> None:
        """Starts its server, for the holder of one key."""
        (self._ssh / "authorized_keys").write_text(authorized)
        settings = self.home / "sshd_config"
        settings.write_text(SETTINGS.format(address=self.address, key=self._ssh / "host", pid=self._pid))
        Path("/run/sshd").mkdir(exist_ok=True)  # an empty folder that the server shuts itself up in
        server = shutil.which("sshd", path=PLACES)
        self._server = subprocess.Popen(self.command(str(server), "-D", "-e", "-f", str(settings)))

    def refuse(self) -> None:
        """Ends its server; who is logged in stays."""
        subprocess.run(self.host.command("kill", self._pid.read_text().strip()), check=True)
        self._server.wait(timeout=20)

    def make_key(self) -> tuple[Path, str]:
        """A key of its user: the file of the private part, and the public part."""
        return self._ssh / "id", _key(self._ssh / "id")

    def has_noted(self, other: "SshHost") -> bool:
        """Whether its user has noted the key of a host."""
        words = ["ssh-keygen", "-F", other.address, "-f", str(self._ssh / "known_hosts")]
        return subprocess.run(words, capture_output=True).returncode == 0

    def wait_for(self, other: "SshHost", seconds: float) -> None:
        """Waits until it can log in there."""
        deadline = time.monotonic() + seconds
        words = ["ssh", "-i", str(self._ssh / "id"), "-o", "BatchMode=yes", *UNNOTED, f"{USER}@{other.address}", "true"]
        while (done := subprocess.run(self.command(*words), capture_output=True, text=True)).returncode:
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.5)


def _key(file: Path) -> str:
    """Makes a key pair; returns its public part."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file)], check=True)
    return file.with_suffix(".pub").read_text()


def _is_user(line: str) -> bool:
    return line.startswith(f"{USER}:")
