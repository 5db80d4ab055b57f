"""What a loop of any library does a second, and where its processor time goes: of this process and all below it."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from cluster.bench.loop_simulators import totals
from cluster.bench.processes import cpu_seconds, processes

WARM = 5.0  # seconds that a loop runs before it is measured
PARTS = ("simulator", "policy", "transport", "replay", "learner")


@dataclass(frozen=True)
class Measured:
    """A loop over some time."""

    version: str
    """Of the library."""
    steps_per_second: float
    """Of the environments."""
    updates_per_second: float
    """Steps of the optimiser."""
    memory_mib: float
    """Proportional set size of all processes, at the end."""
    cores: float
    """That were busy, on average."""
    shares: dict[str, float]
    """Of the processor time of all processes, by PARTS: transport is what the others leave."""

    def save(self, file: Path) -> None:
        """For `load`, in another process."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, file: Path) -> "Measured":
        """What `save` wrote."""
        return cls(**json.loads(file.read_text()))


class Meter:
    """Measures from when it is made until `stop`.

    Args:
        version: of the library.
        clocked: those of PARTS that clocks count (`bench_loop_simulators.Clock`).
        own: those that have processes of their own, and the names of these (`processes`).
    """

    def __init__(self, version: str, *clocked: str, own: Mapping[str, str] | None = None):
        self._version, self._clocked, self._own = version, clocked, own or {}
        self._began = time.perf_counter()
        self._cpu = cpu_seconds()
        self._totals = {part: totals(part) for part in (*clocked, "update")}

    def stop(self) -> Measured:
        """What happened meanwhile."""
        passed = time.perf_counter() - self._began
        cpu = {name: seconds - self._cpu.get(name, 0.0) for name, seconds in cpu_seconds().items()}
        counts: dict[str, int] = {}
        seconds: dict[str, float] = {}
        for part, (count, spent) in self._totals.items():
            now = totals(part)
            counts[part], seconds[part] = now[0] - count, now[1] - spent
        del seconds["update"]  # is within the learner's
        seconds |= {part: cpu.get(name, 0.0) for part, name in self._own.items()}
        whole = sum(cpu.values())
        seconds["transport"] = whole - sum(seconds.values())
        return Measured(
            self._version,
            counts["simulator"] / passed,
            counts["update"] / passed,
            memory_mib(),
            whole / passed,
            {part: seconds.get(part, 0.0) / whole for part in PARTS},
        )


def memory_mib() -> float:
    """Proportional set size of this process and all below it."""
    found = 0.0
    for _, process in processes():
        try:
            found += process.memory_full_info().pss / 2**20
        except psutil.NoSuchProcess:
            continue
    return found


def arguments() -> tuple[str, float, Path]:
    """Of a script that measures another library: task (as `gymnasium.make` takes it), seconds, file for the result."""
    task, seconds, file = sys.argv[1:]
    return task, float(seconds), Path(file)
