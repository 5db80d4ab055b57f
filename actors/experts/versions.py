"""Versions of what a measured return depends on."""

import platform
from importlib import metadata

from actors import domains

PACKAGES = ("ocelot", "numpy", "torch", "ray", "gymnasium", "minari")


def versions(task: str) -> dict[str, str]:
    """Version by package, of those that are installed and that the task depends on, and Python's.

    Raises:
        TaskError: a task of an unknown domain.
    """
    found = {"python": platform.python_version()}
    for package in dict.fromkeys((*PACKAGES, *domains.packages(task))):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
