"""How fast the learner trains, against the same transformer in plain PyTorch and Hugging Face's GPT-2, side by side.

On a CPU all take turns on one thread, so that a busy machine slows all alike, and the processor's time is counted, not
the clock's. On a GPU, which has room for one, they come one after the other. The windows are whole contexts of
CartPole's layout; of Atari's layout they are held against those.
"""

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cluster.bench.figures import Figure
from cluster.bench.train_sizes import GATO, SIZES, training_flops
from cluster.bench.train_windows import ATARI, TASK, windows
from learner.config import LearnerConfig
from learner.learner import Learner
from learner.schedule import Entry, Schedule
from learner.types import TaskInfo
from policy.config import PolicyConfig
from replay.batch import collate
from replay.trajectory import Trajectory

PRECISIONS = ("float32", "bfloat16")
IMAGES = "ocelot bc, Atari windows"
COMPILED = "ocelot bc, compiled"
MATRICES = "matrix product"
Update = Callable[[], object]


def train(sizes: Sequence[str], seconds: float, repeats: int, device: str = "cpu") -> Iterator[list[Figure]]:
    """Waiting for windows, and for checkpoints of the largest size; then, of each size, tokens of a second.

    Of ours and the baselines the better precision counts.
    """
    from cluster.bench.train_checkpoint import stall
    from policy.threads import torch_threads

    every = SIZES | GATO
    with torch_threads(1):
        first = []
        try:
            first.append(waiting(seconds, device))
        except ModuleNotFoundError as error:
            print(f"{error.name} is not installed, so waiting for windows is not measured: pip install ocelot")
        largest = list(SIZES if device == "cpu" else GATO)[-1]
        yield [*first, stall(largest, every[largest][0], repeats, device)]
        for size in sizes:
            yield _size(size, *every[size], seconds, repeats, device)


def _size(size: str, config: PolicyConfig, count: int, seconds: float, repeats: int, device: str) -> list[Figure]:
    from cluster.bench.train_plain import gpt2, matrices, plain

    drawn, images = windows(count, config.context), windows(count, config.context, ATARI)
    batch = collate(drawn).to(device)
    makers: dict[tuple[str, str], Callable[[], Update]] = {}
    for precision in PRECISIONS if device == "cpu" else PRECISIONS[-1:]:
        makers["plain PyTorch", precision] = partial(plain, config, batch, precision)
        for objective in ("bc", "iql"):
            settings = LearnerConfig(precision=precision)
            makers[f"ocelot {objective}", precision] = partial(_learner, config, objective, settings, drawn, device)
        makers[IMAGES, precision] = partial(_learner, config, "bc", settings, images, device)
        if device != "cpu":  # a CPU compiles most of a minute for nothing
            makers[COMPILED, precision] = partial(
                _learner, config, "bc", replace(settings, compile=True), drawn, device
            )
        if importlib.util.find_spec("transformers"):
            makers["Hugging Face GPT-2", precision] = partial(gpt2, config, batch, precision)
        else:
            print("transformers is not installed, so there is no GPT-2 to hold against: pip install 'ocelot[bench]'")
    rates: dict[tuple[str, str], list[float]] = {}
    for some in [makers] if device == "cpu" else [{key: make} for key, make in makers.items()]:
        updates: dict[tuple[str, str], Update] = {}  # those before are let go of first: a GPU has room for one
        updates |= {key: make() for key, make in some.items()}
        work = {key: _tokens(images if key[0] == IMAGES else drawn) for key in updates}
        rates |= take_turns(updates, work, seconds, repeats, device)
    for precision in PRECISIONS:
        work_of_one, multiply = matrices(precision, device)
        rates |= take_turns({(MATRICES, precision): multiply}, {(MATRICES, precision): work_of_one}, 1, repeats, device)
    return _figures(size, training_flops(config), rates, "tokens/CPU s" if device == "cpu" else "tokens/s")


def _figures(size: str, flops: float, rates: dict[tuple[str, str], list[float]], unit: str) -> list[Figure]:
    """Of one size: every rate, then ours against the baselines, each by its better precision.

    Args:
        flops: of a token.
    """
    best = {
        name: max((found for (one, _), found in rates.items() if one == name), key=statistics.median)
        for name in dict.fromkeys(name for name, _ in rates)
    }
    tokens = {key: values for key, values in rates.items() if key[0] != MATRICES}
    figures = [Figure.of(f"{name} {size} {precision}", values, unit) for (name, precision), values in tokens.items()]
    for mine, theirs in (
        ("ocelot bc", "plain PyTorch"),
        ("ocelot iql", "plain PyTorch"),
        ("ocelot iql", "ocelot bc"),
        ("ocelot bc", "Hugging Face GPT-2"),
        (IMAGES, "ocelot bc"),
        (COMPILED, "ocelot bc"),
    ):
        if mine in best and theirs in best:
            ratios = [one / other for one, other in zip(best[mine], best[theirs], strict=True)]  # of the same turn
            figures.append(Figure.of(f"{mine} {size} against {theirs}", ratios, "times"))
    shares = [flops * one / other for one, other in zip(best["ocelot bc"], best[MATRICES], strict=True)]
    figures.append(Figure.of(f"ocelot bc {size}, of the rate of large matrix products", shares, "of 1"))
    return figures


def _tokens(windows: list[Trajectory]) -> int:
    return int((collate(windows).timestep >= 0).sum())


def _learner(
    config: PolicyConfig, objective: str, settings: LearnerConfig, drawn: list[Trajectory], device: str
) -> Update:
    import torch

    from policy.model import Policy

    torch.manual_seed(0)
    schedule = Schedule([Entry(objective, batch=len(drawn))])
    learner = Learner(Policy(config), {TASK: TaskInfo()}, settings, schedule, device=device)
    return lambda: learner.update(lambda table, count: drawn)


def take_turns(
    contestants: dict[tuple[str, str], Update],
    work: Mapping[tuple[str, str], float],
    seconds: float,
    repeats: int,
    device: str,
) -> dict[tuple[str, str], list[float]]:
    """Work of each in a second of the processor, or on a GPU of the clock: `repeats` turns of at least
    `seconds` / repeats each.

    Args:
        work: of an update of each: tokens, or whatever is counted.
    """
    import torch

    def now() -> float:
        if device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    rates: dict[tuple[str, str], list[float]] = {key: [] for key in contestants}
    for update in contestants.values():
        update()  # memory is allocated, kernels are chosen
    for _ in range(repeats):
        for key, update in contestants.items():
            began, done = now(), 0
            while done == 0 or now() - began < seconds / repeats:
                update()
                done += 1
            rates[key].append(done * work[key] / (now() - began))
    return rates


def waiting(seconds: float, device: str) -> Figure:
    """Share of its time that a learner of 4x128 waits for windows of a Reverb server."""
    import torch

    from policy.model import Policy
    from replay.interface import connect
    from replay.server import ReplayServer
    from replay.stream import WindowStream
    from replay.tables import ReplayConfig

    config, count = SIZES["4x128"]
    torch.manual_seed(0)
    learner = Learner(
        Policy(config), {TASK: TaskInfo()}, LearnerConfig(), Schedule([Entry("bc", batch=count)]), device=device
    )
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
