"""Can `make` install Ocelot on this machine? Names what is wrong and its cure, and exits with status 1.

Standard library only, for it runs before anything is installed.
"""

import ctypes
import importlib.util
import platform
import shutil
import sys

PYTHON = (3, 11)
DISK_GB = 6
LIBRARIES = {"libstdc++.so.6": "libstdc++6"}  # shared library: the Debian package that holds it


def problems():
    """What is wrong, one text each with its cure; empty when all is well."""
    found = []
    if sys.version_info[:2] != PYTHON:
        found.append(
            "Python 3.11 is needed (dm-reverb has no release for later ones), this is {}.{} ({}). On Debian 12: "
            "apt-get install python3.11 python3.11-venv. Installed elsewhere: make PYTHON=/path/to/python3.11".format(
                *sys.version_info[:2], sys.executable
            )
        )
    elif not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        found.append("Python's venv module is missing. On Debian and Ubuntu: apt-get install python3.11-venv")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        found.append(
            f"Linux on x86-64 is needed for dm-reverb, this is {platform.system()} on {platform.machine()}. Use such a "
            "machine or container (docker run --platform linux/amd64 python:3.11). Without Reverb: pip install -e . "
            "in an environment of your own, and replay.backend=memory in each configuration"
        )
    elif platform.libc_ver()[0] != "glibc":
        found.append("glibc is needed, which this Linux does not use (Alpine?). Use Debian, Ubuntu or Fedora")
    else:
        for library, package in LIBRARIES.items():
            try:
                ctypes.CDLL(library)
            except OSError:
                found.append(f"The library {library} is missing. On Debian and Ubuntu: apt-get install {package}")
    free = shutil.disk_usage(".").free / 1e9
    if free < DISK_GB:
        found.append(f"{DISK_GB} GB of free disk are needed, here are {free:.1f} GB. Free some, or use another disk")
    return found


if __name__ == "__main__":
    wrong = problems()
    for problem in wrong:
        print("Error: " + problem, file=sys.stderr)
    sys.exit(1 if wrong else 0)
