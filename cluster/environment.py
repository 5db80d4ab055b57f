"""What a run ran on: commit, versions, hardware. Written beside its results."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "ocelot",
    "torch",
    "numpy",
    "ray",
    "dm-reverb",
    "tensorflow-cpu",
    "gymnasium",
    "mujoco",
    "dm-control",
    "ale-py",
    "labmaze",
    "metaworld",
    "minigrid",
    "opencv-python-headless",
    "minari",
    "rliable",
    "tensorboardX",
)


def describe_environment() -> dict[str, Any]:
    """Commit, versions of simulators and libraries, hardware."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "hardware": describe_hardware(),
    }


def describe_hardware() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, GPUs, operating system."""
    import psutil
    import torch

    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }


def machine_name(hardware: Mapping[str, Any]) -> str:
    """What `describe_hardware` found of processor and GPUs, in a few words; what it did not find is None."""
    gpus = ", ".join(hardware.get("gpus", [])) or "no GPU"
    return f"{hardware.get('cores')} cores of {hardware.get('processor')}, {gpus}"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _git(*arguments: str) -> str | None:
    """Output of git in this checkout; None where there is no git or no checkout."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
