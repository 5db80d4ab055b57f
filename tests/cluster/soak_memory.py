"""The memory of every process of a run, sampled while it goes on, and whether it keeps growing."""

import itertools
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cluster.bench.processes import processes

LEAST = 32.0  # MiB an hour that are no leak, whatever the size: allocators, caches, noise
SHARE = 0.1  # of a process's size that it may grow in an hour
LONG = 600.0  # seconds of work that a life must have to be judged
SPAN = 60.0  # seconds, of which the lowest size counts
RAYS = "Ray: "  # begins the names of processes that are Ray's
BEGINNING = ("ray::IDLE", ".__init__")  # in the titles of Ray's workers until the constructor of their actor is over


@dataclass
class Life:
    """One process, from when it was first seen."""

    name: str
    pid: int
    seconds: list[float] = field(default_factory=list)
    """Since the soak began."""
    sizes: list[float] = field(default_factory=list)
    """Memory of its own in MiB at those times: resident, and of no file."""
    works: float | None = None
    """When it was first seen to be done with its constructor, in which it loads libraries."""

    @property
    def judged(self) -> tuple[list[float], list[float]]:
        """Times and sizes that say whether it keeps growing: the lowest of every SPAN in the second half of its work.

        A process that levels off and one that leaks look alike while they are young: tables fill, each new shape of a
        batch compiles products, allocators learn how much they need at most. That gets less with age, and a leak does
        not. So the first half says nothing, however long it was, and there is nothing to say of a life that was short.
        The lowest sizes are what stays when passing work has gone.
        """
        begun = [at for at in self.seconds if self.works is not None and at >= self.works]
        if not begun or begun[-1] - begun[0] < LONG:
            return [], []
        lowest: dict[int, tuple[float, float]] = {}
        for at, size in zip(self.seconds, self.sizes, strict=True):
            if at >= (begun[0] + begun[-1]) / 2:
                span = int((begun[-1] - at) // SPAN)
                lowest[span] = min(lowest.get(span, (size, at)), (size, at))
        return [at for _, at in lowest.values()], [size for size, _ in lowest.values()]


@dataclass(frozen=True)
class Growth:
    """Of all processes of one name."""

    name: str
    lives: int
    """Processes that lived long enough to be judged."""
    minutes: float
    """Of their lives, that they were judged by, together."""
    mean: float
    """MiB in that time."""
    most: float
    """MiB, of all processes of this name at any time."""
    slope: float
    """MiB an hour: the median of those between any two minutes of a life, over all lives (Theil and Sen's), without the
    largest rise of each life. What happens once is no leak, however late: a leak happens again, be it in steps."""

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
                    if life.works is None and not _begins(life.name, " ".join(process.cmdline())):
                        life.works = round(now, 1)
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

    def growth(self) -> list[Growth]:
        """By name, of what lived long enough."""
        names = sorted({life.name for life in self.lives})
        return [each for name in names if (each := growth(name, self.lives)) is not None]


def growth(name: str, lives: Sequence[Life]) -> Growth | None:
    """Of the processes of one name; None when none of them lived long enough."""
    minutes = 0.0
    slopes: list[float] = []
    judged: list[float] = []
    named = [life for life in lives if life.name == name]
    for life in named:
        times, sizes = life.judged
        if not times:
            continue
        pairs = itertools.combinations(zip(times, _without_largest_rise(sizes), strict=True), 2)
        slopes += [3600.0 * (last - first) / (late - early) for (early, first), (late, last) in pairs]
        minutes += (max(times) - min(times)) / 60.0
        judged += sizes
    if not slopes:
        return None
    most = max(size for life in named for size in life.sizes)
    lives_judged = sum(bool(life.judged[0]) for life in named)
    return Growth(name, lives_judged, minutes, statistics.mean(judged), most, statistics.median(slopes))


def _without_largest_rise(sizes: Sequence[float]) -> list[float]:
    """Sizes in the order of time, with what came after the largest rise between two of them lower by it."""
    rises = [after - before for before, after in itertools.pairwise(sizes)]
    largest = max(rises)
    place = rises.index(largest)
    return [size - max(0.0, largest) * (number > place) for number, size in enumerate(sizes)]


def _begins(name: str, title: str) -> bool:
    """Whether a process has yet to do what it is there for; Ray's idle workers are never anything else."""
    return not name.startswith(RAYS) and any(each in title for each in BEGINNING)


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
