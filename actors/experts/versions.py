"""Versions of what a measured return depends on."""

import platform
from importlib import metadata

PACKAGES = (
    "ocelot",
    "numpy",
    "torch",
    "ray",
    "gymnasium",
    "dm-control",
    "mujoco",
    "minari",
    "metaworld",
    "minigrid",
    "labmaze",
    "ale-py",
)


def versions() -> dict[str, str]:
    """Version by package, of those that are installed, and Python's."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
