"""The memory of every process of a run, sampled while it goes on, and whether it keeps growing."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cluster.bench.processes import processes

LEAST = 32.0  # MiB an hour that are no leak, whatever the size: allocators, caches, noise
RAYS = "Ray: "  # begins the names of processes that are Ray's
SHARE = 0.1  # of a process's size that it may grow in an hour


@dataclass
class Life:
    """One process, from when it was first seen."""

    name: str
    pid: int
    seconds: list[float] = field(default_factory=list)
    """Since the soak began."""
    sizes: list[float] = field(default_factory=list)
    """Memory of its own in MiB at those times: resident, and of no file."""

    def after(self, warm: float) -> tuple[list[float], list[float]]:
        """Times and sizes but for the first `warm` seconds, in which it loads libraries and fills its tables."""
        kept = [(at, size) for at, size in zip(self.seconds, self.sizes, strict=True) if at - self.seconds[0] >= warm]
        return [at for at, _ in kept], [size for _, size in kept]


@dataclass(frozen=True)
class Growth:
    """Of all processes of one name."""

    name: str
    lives: int
    """Processes that lived on after warming up."""
    minutes: float
    """That they did so for, together."""
    mean: float
    """MiB."""
    most: float
    """MiB, warm or not."""
    slope: float
    """MiB an hour, the same line in every life, each from its own beginning (least squares)."""

    @property
    def bounded(self) -> bool:
        """It grows by less than a leak does."""
        return self.slope < max(LEAST, SHARE * self.mean)


class Memory:
    """Samples of all processes that descend from whatever process runs the command at the time."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lives: dict[tuple[int, float], Life] = {}

    def sample(self, root: int) -> None:
        """Of a process and its descendants, now."""
        now = time.monotonic() - self._began
        try:
            for name, process in processes(psutil.Process(root)):
                try:
                    key, size = (process.pid, process.create_time()), _own(process) / 2**20
                    own = _own_name(name, process)
                    life = self._lives.setdefault(key, Life(own, process.pid))
                    if life.name.startswith(RAYS):  # until an actor has its title, it is one of Ray's workers
                        life.name = own
                except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                    continue
                if size:  # a zombie has none
                    life.seconds.append(round(now, 1))
                    life.sizes.append(round(size, 1))
        except psutil.NoSuchProcess:
            return  # the command has ended

    @property
    def lives(self) -> list[Life]:
        """Every process that was seen."""
        return [life for life in self._lives.values() if life.sizes]

    def growth(self, warm: float, least: float) -> list[Growth]:
        """By name, of what lived for `least` seconds or more after the first `warm` ones."""
        names = sorted({life.name for life in self.lives})
        return [each for name in names if (each := growth(name, self.lives, warm, least)) is not None]


def growth(name: str, lives: Sequence[Life], warm: float, least: float) -> Growth | None:
    """Of the processes of one name; None when none of them lived long enough."""
    across = square = minutes = 0.0
    warmed: list[list[float]] = []
    named = [life for life in lives if life.name == name]
    for life in named:
        times, sizes = life.after(warm)
        if not times or times[-1] - times[0] < least:
            continue
        middle, mean = sum(times) / len(times), sum(sizes) / len(sizes)
        across += sum((at - middle) * (size - mean) for at, size in zip(times, sizes, strict=True))
        square += sum((at - middle) ** 2 for at in times)
        minutes += (times[-1] - times[0]) / 60.0
        warmed.append(sizes)
    if not warmed:
        return None
    together = [size for sizes in warmed for size in sizes]
    most = max(size for life in named for size in life.sizes)
    return Growth(name, len(warmed), minutes, sum(together) / len(together), most, 3600.0 * across / square)


def _own(process: psutil.Process) -> int:
    """Bytes of its own that are in memory: not the code of libraries, nor Ray's object store. Whoever reads an object
    there has its pages from then on, freed or not; they count for all, and the store's size is fixed."""
    own = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return 1024 * int(own[1]) if own else 0


def _own_name(name: str, process: psutil.Process) -> str:
    """A name that the process's successor has too; Ray's own processes by their program."""
    if name != "Ray itself":
        return name.split(" ")[0] if name.startswith("actor ") else name
    words = process.cmdline()
    script = next((word for word in words if word.endswith(".py")), words[0] if words else process.name())
    return f"{RAYS}{Path(script).stem}" if "ray" in script else process.name()
