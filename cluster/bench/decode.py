"""How fast the decoding engine is in one process, held against what a person would otherwise write.

All contenders have the same sizes and the same number of threads, and take turns, an episode of all rows at a time, so
that whatever else the machine does meets them alike. Contexts grow from nothing to 252 of 256 tokens and begin anew
together, which suits decoders whose rows share a position; staggered and sliding contexts stand beside.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from cluster.bench import gpt2
from cluster.bench.figures import Figure
from cluster.bench.plain import PlainDecoder
from cluster.bench.works import MODELS, SLOTS, WORKS, Work
from policy.config import PolicyConfig
from policy.engine import Engine
from policy.model import Policy
from policy.threads import torch_threads

UNIT = "env steps/s"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
RECOMPUTED = (0.25, 0.5, 0.75)  # of an episode: at which steps recomputing is timed


class Player:
    """Plays one work on an engine.

    Args:
        config, work, dtype, threads: what and how.
        stagger: rows are at different steps of their episodes.
        slide: episodes never end.
    """

    def __init__(
        self, config: PolicyConfig, work: Work, dtype: torch.dtype, threads: int, stagger: bool, slide: bool = False
    ):
        torch.manual_seed(0)
        self.engine = Engine(Policy(config), SLOTS, dtype, threads=threads)
        self.work = work
        self.slide = slide
        self.phase = np.arange(SLOTS) % work.steps if stagger else np.zeros(SLOTS, dtype=np.int64)
        self.at = 0

    def episode(self) -> None:
        """As many steps of all rows as an episode has."""
        rows = np.arange(SLOTS)
        with torch_threads(1):  # as the policy server does: the engine has threads of its own
            for step in range(self.work.steps):
                begin = self.at == self.phase if self.slide else (self.at - self.phase) % self.work.steps == 0
                self.engine.act([self.work.request(step, np.asarray(begin | (self.at == 0)), rows)])
                self.at += 1


def decode(names: list[tuple[str, str]], threads: int, repeats: int) -> Iterator[list[Figure]]:
    """Rows of each (model, work)."""
    with torch_threads(threads):
        for model, work in names:
            yield compare(model, WORKS[work], threads, repeats)


def compare(model: str, work: Work, threads: int, repeats: int) -> list[Figure]:
    """Environment steps a second of the engine and of all that it is held against."""
    config = MODELS[model]
    contenders = _contenders(config, work, threads)
    for run in contenders.values():
        run()  # kernels are made, caches are laid out
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    rates = {name: [work.steps * SLOTS / each for each in times] for name, times in seconds.items()}
    rates["recompute, float32"] = _recomputed(config, work)
    title = f"{model}, {work.name}, {threads} threads"
    best = {kind: _best(rates, kind) for kind in ("plain", "gpt2 as used", "gpt2 at its best", "recompute")}
    figures = [Figure.of(f"{title}: {name}", values, UNIT) for name, values in rates.items()]
    ours = _best(rates, "engine")
    assert ours is not None
    for kind, baseline in best.items():
        if baseline is not None:
            figures.append(Figure.of(f"{title}: engine against {kind}", rates[ours], UNIT, _median(rates[baseline])))
    for kind in ("staggered", "sliding"):
        name = ours.replace("engine", kind)
        figures.append(Figure.of(f"{title}: {kind} against engine", rates[name], UNIT, _median(rates[ours])))
    return figures


def _contenders(config: PolicyConfig, work: Work, threads: int) -> dict[str, Callable[[], None]]:
    """By name: what plays an episode of all rows."""
    found: dict[str, Callable[[], None]] = {}
    for name, dtype in DTYPES.items():
        found[f"engine, {name}"] = Player(config, work, dtype, threads, stagger=False).episode
        found[f"plain, {name}"] = PlainDecoder(config, work, dtype).episode
        found[f"staggered, {name}"] = Player(config, work, dtype, threads, stagger=True).episode
        found[f"sliding, {name}"] = Player(config, work, dtype, threads, stagger=True, slide=True).episode
        if gpt2.installed() and not work.patches:
            found[f"gpt2 as used, {name}"] = gpt2.Gpt2(config, work, dtype, best=False).episode
            found[f"gpt2 at its best, {name}"] = gpt2.Gpt2(config, work, dtype, best=True).episode
    return found


def _recomputed(config: PolicyConfig, work: Work) -> list[float]:
    """Steps a second without a cache, from a few steps of an episode."""
    plain = PlainDecoder(config, work, torch.float32)
    times = []
    for share in RECOMPUTED:
        began = time.perf_counter()
        plain.recompute(int(share * work.steps))
        times.append(time.perf_counter() - began)
    return [SLOTS / (sum(times) / len(times))]


def _best(rates: dict[str, list[float]], kind: str) -> str | None:
    """The faster of a contender's number formats; None where it did not run."""
    names = [name for name in rates if name.startswith(f"{kind},")]
    return max(names, key=lambda name: _median(rates[name]), default=None)


def _median(values: list[float]) -> float:
    return float(np.median(values))


def everything(quick: bool) -> list[tuple[str, str]]:
    """Which (model, work) are measured."""
    if quick:
        return [("4x128", "7")]
    return [(model, work) for model in MODELS for work in WORKS]


def missing() -> str | None:
    """What to say when a baseline cannot run; None: nothing."""
    return None if gpt2.installed() else gpt2.MISSING
