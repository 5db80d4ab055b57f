"""How fast the learner trains, against the same transformer in plain PyTorch and Hugging Face's GPT-2, side by side.

All take turns on one thread, so that a busy machine slows all alike, and the processor's time is counted, not the
clock's. The windows are whole contexts of CartPole's layout; of Atari's layout they are held against those.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cluster.bench.figures import Figure
from cluster.bench.train_windows import ATARI, TASK, windows
from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from learner.types import TaskInfo
from policy.config import PolicyConfig
from replay.batch import collate
from replay.trajectory import Trajectory

SIZES = {
    "4x128": (PolicyConfig(layers=4, width=128, heads=4, feedforward=512, context=256), 32),
    "6x256": (PolicyConfig(layers=6, width=256, heads=8, feedforward=1024, context=256), 32),
    "8x768": (PolicyConfig(layers=8, width=768, heads=24, feedforward=3072, context=256), 4),
}
"""Dims, and windows in a batch."""
PRECISIONS = ("float32", "bfloat16")
UNIT = "tokens/CPU s"
IMAGES = "ocelot bc, Atari windows"


def train(sizes: Sequence[str], seconds: float, repeats: int) -> Iterator[list[Figure]]:
    """Waiting for windows, and for checkpoints of the largest size; then, of each size, tokens of a second of one core.

    Of ours and the baselines the better precision counts.
    """
    from cluster.bench.train_checkpoint import stall
    from policy.threads import torch_threads

    with torch_threads(1):
        largest = list(SIZES)[-1]
        yield [waiting(seconds), stall(largest, SIZES[largest][0], repeats)]
        for size in sizes:
            yield _size(size, seconds, repeats)


def _size(size: str, seconds: float, repeats: int) -> list[Figure]:
    from cluster.bench.train_plain import gpt2, plain

    config, count = SIZES[size]
    drawn, images = windows(count, config.context), windows(count, config.context, ATARI)
    batch = collate(drawn)
    contestants: dict[tuple[str, str], Callable[[], object]] = {}
    for precision in PRECISIONS:
        contestants["plain PyTorch", precision] = plain(config, batch, precision)
        for objective in ("bc", "iql"):
            contestants[f"ocelot {objective}", precision] = _learner(config, objective, precision, drawn)
        contestants[IMAGES, precision] = _learner(config, "bc", precision, images)
        try:
            contestants["Hugging Face GPT-2", precision] = gpt2(config, batch, precision)
        except ModuleNotFoundError:
            print("transformers is not installed, so there is no GPT-2 to hold against: pip install 'ocelot[bench]'")
    tokens = {name: _tokens(images if name == IMAGES else drawn) for name, _ in contestants}
    rates = _take_turns(contestants, tokens, seconds, repeats)
    best = {
        name: max((rates[name, precision] for precision in PRECISIONS), key=statistics.median)
        for name in dict.fromkeys(name for name, _ in contestants)
    }
    figures = [Figure.of(f"{name} {size} {precision}", values, UNIT) for (name, precision), values in rates.items()]
    for mine, theirs in (
        ("ocelot bc", "plain PyTorch"),
        ("ocelot iql", "plain PyTorch"),
        ("ocelot bc", "Hugging Face GPT-2"),
        (IMAGES, "ocelot bc"),
    ):
        if theirs in best:
            ratios = [one / other for one, other in zip(best[mine], best[theirs], strict=True)]  # of the same turn
            figures.append(Figure.of(f"{mine} {size} against {theirs}", ratios, "times"))
    return figures


def _tokens(windows: list[Trajectory]) -> int:
    return int((collate(windows).timestep >= 0).sum())


def _learner(config: PolicyConfig, objective: str, precision: str, drawn: list[Trajectory]) -> Callable[[], object]:
    import torch

    from policy.model import Policy

    torch.manual_seed(0)
    schedule = Schedule([Entry(objective, batch=len(drawn))])
    learner = Learner(Policy(config), {TASK: TaskInfo()}, LearnerConfig(precision=precision), schedule)
    return lambda: learner.update(lambda table, count: drawn)


def _take_turns(
    contestants: dict[tuple[str, str], Callable[[], object]], tokens: dict[str, int], seconds: float, repeats: int
) -> dict[tuple[str, str], list[float]]:
    """Tokens a CPU second of each, `repeats` turns of at least `seconds` / repeats each.

    Args:
        tokens: of an update of each, by name.
    """
    rates: dict[tuple[str, str], list[float]] = {key: [] for key in contestants}
    for update in contestants.values():
        update()  # memory is allocated, kernels are chosen
    for _ in range(repeats):
        for key, update in contestants.items():
            began, done = time.process_time(), 0
            while done == 0 or time.process_time() - began < seconds / repeats:
                update()
                done += 1
            rates[key].append(done * tokens[key[0]] / (time.process_time() - began))
    return rates


def waiting(seconds: float) -> Figure:
    """Share of its time that a learner of 4x128 waits for windows of a Reverb server."""
    import torch

    from policy.model import Policy
    from replay.interface import connect
    from replay.server import ReplayServer
    from replay.stream import WindowStream
    from replay.tables import ReplayConfig

    config, count = SIZES["4x128"]
    torch.manual_seed(0)
    learner = Learner(Policy(config), {TASK: TaskInfo()}, LearnerConfig(), Schedule([Entry("bc", batch=count)]))
    settings = ReplayConfig()
    with (
        tempfile.TemporaryDirectory() as folder,
        ReplayServer(settings, Path(folder), settings.limited((), ())) as server,
    ):
        replay = connect(server.address)
        writer = replay.writer("expert")
        writer.write(windows(256, config.context))
        writer.flush()
        stream = WindowStream(replay, ["expert"])
        waited = 0.0

        def fetch(table: str, wanted: int) -> list[Trajectory]:
            nonlocal waited
            asked = time.perf_counter()
            drawn = stream.windows(table, wanted, timeout=60.0)
            waited += time.perf_counter() - asked
            return drawn

        try:
            learner.update(fetch)
            waited, began = 0.0, time.perf_counter()
            while time.perf_counter() - began < seconds:
                learner.update(fetch)
            share = waited / (time.perf_counter() - began)
        finally:
            stream.close()
    return Figure("share of the time that ocelot bc 4x128 waits for Reverb", share, "of 1")
