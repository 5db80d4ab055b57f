"""Checks of the machine itself: Python, packages, disk, shared memory, memory, ports."""

import re
import shutil
import socket
from importlib import metadata
from pathlib import Path

from cluster.doctor.types import Finding
from cluster.packages import EVERYTHING
from cluster.preflight import problems

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
DISK_GB = 5.0  # checkpoints, replay and demonstrations of a few runs
SHARED_MEMORY_GB = 0.5  # Ray's object store is half of it
MEMORY_GB = 6.0  # of the quickstart


def python() -> Finding:
    """Python's version and the platform, as set-up demands them."""
    import platform

    found = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    wrong = problems()
    return Finding("Python", "failed", found, "; ".join(wrong)) if wrong else Finding("Python", "ok", found)


def packages() -> Finding:
    """Installed versions against those that are known to work together."""
    if not CONSTRAINTS.exists():
        return Finding(
            "packages",
            "warning",
            "this installation has no constraints.txt beside it, so versions were not compared",
            "install from a checkout: " + EVERYTHING,
        )
    pins = [line for line in CONSTRAINTS.read_text().splitlines() if line and not line.startswith("#")]
    missing, other = [], []
    for name, version in (pin.split("==") for pin in pins):
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if re.sub(r"\+.*", "", installed) != version:  # a local part such as +cpu is the build, not the release
            other.append(f"{name} {installed} ({version} is known to work)")
    found = f"{len(pins) - len(missing) - len(other)} of {len(pins)} as in constraints.txt"
    if missing or other:
        found += "".join(f"; {text}" for text in other)
        found += f"; missing: {', '.join(missing)}" if missing else ""
        return Finding("packages", "warning", found, EVERYTHING)
    return Finding("packages", "ok", found)


def disk() -> Finding:
    """Free space where runs are written."""
    free = shutil.disk_usage(".").free / 1e9
    found = f"{free:.0f} GB free in {Path.cwd()}"
    if free < DISK_GB:
        return Finding("disk", "failed", found, f"free at least {DISK_GB:g} GB, or start Ocelot in a folder elsewhere")
    return Finding("disk", "ok", found)


def shared_memory() -> Finding:
    """Space for Ray's object store."""
    try:
        free = shutil.disk_usage("/dev/shm").free / 1e9
    except OSError:
        return Finding("shared memory", "warning", "no /dev/shm", "Ray will use files in /tmp, which is slower")
    found = f"{free:.1f} GB free in /dev/shm"
    if free < SHARED_MEMORY_GB:
        cure = "give the container more (docker run --shm-size=1g); Ray uses files in /tmp otherwise, which is slower"
        return Finding("shared memory", "warning", found, cure)
    return Finding("shared memory", "ok", found)


def memory() -> Finding:
    """Memory, and the cores that share it."""
    import os

    import psutil

    available = psutil.virtual_memory().available / 1e9
    found = f"{available:.0f} GB free, {len(os.sched_getaffinity(0))} cores"
    if available < MEMORY_GB:
        cure = f"the quickstart takes up to {MEMORY_GB:g} GB: end other programs, or run fewer actor processes"
        return Finding("memory", "warning", found, cure)
    return Finding("memory", "ok", found)


def ports() -> Finding:
    """Loopback and a free port, which Ray, Reverb and TensorBoard need."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return Finding("ports", "ok", "processes can reach each other on 127.0.0.1")
    except OSError as error:
        cure = "the loopback interface is needed: bring it up (ip link set lo up), or allow it in the sandbox's rules"
        return Finding("ports", "failed", f"127.0.0.1 cannot be used: {error}", cure)
