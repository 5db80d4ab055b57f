"""How fast demonstrations come from disk, held against what a learner consumes on the same machine."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.bench.engine import POLICY
from cluster.bench.figures import Figure
from replay.importing import datasets_at
from replay.trajectory import Trajectory

EPISODES = {"gym/Pendulum-v1": 200, "sokoban/10x10-4": 200}
"""Random ones: 5 tokens a step from numbers, and 102 from a grid."""
CACHED = 2_000
"""Steps in memory, of 64,000 on disk: nearly everything that is drawn is read anew, as from data of any size."""
BATCH = 32  # windows


def demonstrations(seconds: float, repeats: int) -> list[Figure]:
    """Tokens a second from the stream of all datasets, and what a learner of 4 layers of width 128 consumes of them.

    Both are measured in turn, so that what else the machine does falls on both; each with one thread.
    """
    from actors import domains
    from learner.config import LearnerConfig
    from learner.learner import Learner
    from learner.schedule import Entry, Schedule
    from learner.types import TaskInfo
    from policy.model import Policy
    from policy.text import TextTokenizer
    from policy.threads import torch_threads
    from replay.pretraining import DemonstrationStream

    with _recorded() as datasets, torch_threads(1):
        layouts = {task: domains.task_layout(task, text=TextTokenizer.default()) for task in datasets}
        stream = DemonstrationStream(datasets, layouts, POLICY.context, cached_steps=CACHED)
        tasks = {task: TaskInfo() for task in layouts}
        learner = Learner(Policy(POLICY), tasks, LearnerConfig(), Schedule([Entry("bc", batch=BATCH)]), 0)
        windows = stream.windows(BATCH)

        def load() -> int:
            return _tokens(stream.windows(BATCH))

        def learn() -> int:
            learner.update(lambda table, count: windows)
            return _tokens(windows)

        rates: dict[str, list[float]] = {"load": [], "learn": []}
        load(), learn()
        for _ in range(repeats):
            rates["learn"].append(_rate(learn, seconds))
            rates["load"].append(_rate(load, seconds))
    learned = Figure.of("tokens that a 4x128 learner consumes, one thread", rates["learn"], "tokens/s")
    return [learned, Figure.of("tokens of demonstrations from disk", rates["load"], "tokens/s", learned.value)]


def _tokens(windows: list[Trajectory]) -> int:
    return sum(window.tokens.size for window in windows)


def _rate(work: Callable[[], int], seconds: float) -> float:
    done, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        done += work()
    return done / passed


@contextmanager
def _recorded() -> Iterator[dict[str, list[str]]]:
    """Datasets of random episodes, by task, in a folder of their own."""
    from actors.experts.collect import collect

    with tempfile.TemporaryDirectory() as folder, datasets_at(Path(folder)):
        yield {task: [collect(task, "random", episodes)] for task, episodes in EPISODES.items()}
