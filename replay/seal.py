"""A network of its own for one process: nothing but its loopback, so that a port it opens is reached by nobody else.

Reverb listens on every interface and asks nobody who they are. Its process seals itself off first; `bridge.py` lets in
who may open a Unix socket. `python -m replay.seal` ends with status 0 where this machine allows sealing.
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET of sched.h
SET_FLAGS, UP_AND_RUNNING = 0x8914, 0x1 | 0x40  # SIOCSIFFLAGS; IFF_UP | IFF_RUNNING


def seal() -> None:
    """Moves this process, which must have one thread only, into a network that holds its own loopback alone.

    Without privileges that takes a user namespace too, in which the process keeps its user and group.

    Raises:
        OSError: the machine allows neither.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(NEW_NETWORK)
    except PermissionError:
        _unshare(NEW_USER | NEW_NETWORK)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket() as probe:
        fcntl.ioctl(probe, SET_FLAGS, struct.pack("16sH14x", b"lo", UP_AND_RUNNING))


def can_seal() -> bool:
    """Whether a process may seal itself off here; a child process tries."""
    if sys.platform != "linux":
        return False
    tried = subprocess.run([sys.executable, "-m", "replay.seal"], cwd=Path(__file__).parents[1], capture_output=True)
    return tried.returncode == 0


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


if __name__ == "__main__":
    seal()
