"""Runs every check in a process of its own: a library that crashes or hangs spoils one line, not the examination."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

from cluster.doctor import libraries, machine, simulators
from cluster.doctor.types import Finding
from cluster.packages import EVERYTHING

DEADLINE = 120.0  # seconds that a check may take
TOGETHER = 2  # checks at a time: most of their time is importing, on one core each

CHECKS: dict[str, Callable[[], Finding]] = {
    "Python": machine.python,
    "packages": machine.packages,
    "disk": machine.disk,
    "shared memory": machine.shared_memory,
    "memory": machine.memory,
    "ports": machine.ports,
    "torch": libraries.torch,
    "TensorFlow": libraries.tensorflow,
    "Reverb": libraries.reverb,
    "Ray": libraries.ray,
    "demonstrations": libraries.files,
    "rendering": simulators.rendering,
}


def examine(deadline: float = DEADLINE) -> Iterator[Finding]:
    """Every check's finding, in order, each as soon as it is there."""
    with ThreadPoolExecutor(TOGETHER) as pool:
        yield from pool.map(lambda check: look(check, deadline), [*CHECKS, *simulators.domain_checks()])


def look(check: str, deadline: float = DEADLINE) -> Finding:
    """One check in a process of its own; how that process fails is a finding too."""
    began = time.monotonic()
    command = [sys.executable, "-m", "cluster.doctor.examine", check]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=deadline)
    except subprocess.TimeoutExpired:
        cure = "look for a process that takes all cores; if there is none, reinstall the package that this check names"
        return Finding(check, "failed", f"no answer within {deadline:g} s", cure, deadline)
    seconds = time.monotonic() - began
    answer = (done.stdout.splitlines() or [""])[-1]  # libraries print above it
    try:
        return replace(Finding(**json.loads(answer)), seconds=seconds)
    except (json.JSONDecodeError, TypeError):
        lines = done.stderr.strip().splitlines() or ["no message"]
        found = f"its process ended with status {done.returncode}: {lines[-1]}"
        return Finding(check, "failed", found, EVERYTHING, seconds)


def main(check: str) -> None:
    """In the check's own process: prints the finding as a line of JSON."""
    found = CHECKS[check]() if check in CHECKS else simulators.first_step(simulators.domain_checks()[check])
    print("\n" + json.dumps(asdict(found)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
