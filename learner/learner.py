"""The learner: training state, and the update that every objective goes through, of one process or of several."""

import contextlib
import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from learner import compiling, memory, optimiser, shards, state
from learner.clipping import Clipping
from learner.config import LearnerConfig
from learner.copies import Copies
from learner.distributions import cross_entropies, distributions
from learner.replicas import replicas
from learner.scale import AdvantageScale
from learner.schedule import Entry, Schedule
from learner.statistics import Metrics, Sums, sums, together
from learner.types import DivergedError, ScheduleError, TaskInfo, Update
from learner.view import View
from learner.workers import Alone, Rounds, Workers
from policy.model import Policy
from policy.returns import ReturnScale
from policy.timing import Timing
from policy.types import Version
from replay.batch import Batch, collate
from replay.trajectory import Trajectory

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

Fetch = Callable[[str, int], list[Trajectory]]
"""(table, count) -> so many windows of that table; with several workers, this worker's own."""


@dataclass(frozen=True)
class Told:
    """What a worker tells the others of its part of an update, before gradients are added up."""

    loss: float
    tokens: int
    figures: Sums
    trains: bool
    """Whether its loss depends on a parameter."""
    uses: tuple[str, ...]
    """Which parameters it depends on, where they are sharded."""
    diverged: tuple[bool, str] | None
    """Its loss is not finite: whether its own windows hold rewards that explain it (others share sums with them), and
    what to say."""


class Learner:
    """Trains a policy by a schedule of objectives.

    Args:
        policy: the network; it is moved to `device` and trained in place.
        tasks: discount and return scale of every task that the data may hold.
        config: optimiser, averages, precision.
        schedule: which objective each update uses, and its data.
        seed: of dropout and the like; the data has seeds of its own.
        device: where to train.
        workers: who trains together. Each has a learner made with the same arguments, trains on its share of every
            batch, and has the same weights after every update.
        sharded: each of the workers keeps its share of weights, moving average and moments (FSDP), not all (DDP).
        beside: as in `learner.memory.check`.

    Raises:
        ScheduleError: a task without a return scale that the schedule needs, or a batch that the workers cannot share.
        MemoryFullError: the device has too little memory, as `learner.memory.check` says.
        CompileError: it cannot compile, and the configuration asks for it.
    """

    def __init__(
        self,
        policy: Policy,
        tasks: dict[str, TaskInfo],
        config: LearnerConfig,
        schedule: Schedule,
        seed: int = 0,
        device: str = "cpu",
        workers: Workers | None = None,
        sharded: bool = False,
        beside: Mapping[str, int] | None = None,
    ):
        self.workers: Workers = workers or Alone()
        for entry in schedule.entries:
            entry.share(self.workers.size)
        torch.manual_seed(worker_seed(seed, self.workers.rank))
        self.config = config
        self.schedule = schedule
        self.tasks = tasks
        self.device = torch.device(device)
        memory.check(policy, config, schedule, self.device, self.workers.size, sharded, beside)
        self.policy = policy.to(self.device).train()
        self.policy.transformer.checkpointing = config.checkpointing
        compiling.switch(self.policy, config.compile)
        self.sharded = sharded
        self._part = self._own_part if sharded else replicas(self.policy, self._own_part, self.workers)
        self.average = copy.deepcopy(self.policy).requires_grad_(False).eval()
        if sharded:
            for network in (self.policy, self.average):
                shards.shard(network, self.device, self.workers.size)
        self.optimiser = optimiser.build(self.policy, config)
        self.scale = AdvantageScale()
        self.clipping = Clipping(self.policy.bins, tasks)
        """Of value targets."""
        self.updates = 0
        self.incarnation = 0
        self.warm = False
        """The optimiser's moments were taken over from an earlier run, so its step size needs no warm-up."""
        self.by_objective: dict[str, int] = {}
        self._copies = Copies()
        self._cpus: DeviceMesh | None = None
        """Of sharded workers, once there is something to write."""
        self.distributions: dict[str, torch.Tensor] = {}
        """Of the last batch, as the function of that name."""
        self.timing = Timing("batch", "forward", "backward", "optimise")
        """Of `update`; on a GPU each part ends with a look at its result, so that it counts its own work."""
        for entry in schedule.entries:
            if entry.kind.with_return and any(info.return_scale is None for info in tasks.values()):
                missing = [name for name, info in tasks.items() if info.return_scale is None]
                raise ScheduleError(f"schedule: {entry.objective} needs a return scale for {', '.join(missing)}")

    @property
    def version(self) -> Version:
        """Of the weights as they are now."""
        return Version(self.incarnation, self.updates)

    def update(self, fetch: Fetch) -> dict[str, float]:
        """One update by the schedule. Returns what to log, each key led by the objective's name.

        Raises:
            DivergedError: when the loss or a gradient is not finite, in whichever worker; the weights are then still
                those before.
        """
        entry = self.schedule.at(self.updates)
        with self.timing.add("batch"):
            batch = self.batch(entry, fetch)
        lr = optimiser.learning_rate(self.config, self.updates, self.warm)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.zero_grad(set_to_none=True)
        with self.timing.add("forward"):
            with self._autocast():
                loss, metrics, trains, view = self._part(entry, batch)
            told = self.workers.gather(self._told(entry, batch, loss, metrics, trains))
        diverged = [each.diverged for each in told if each.diverged]
        if diverged:
            raise DivergedError(max(diverged)[1])
        figures = together([each.figures for each in told])
        if any(each.trains for each in told):
            with self.timing.add("backward"):
                if self.sharded:
                    elsewhere = {name for each in told for name in each.uses} - {*told[self.workers.rank].uses}
                    loss = loss + shards.nothing(view.hidden, self.policy, elsewhere)
                # The parts of the loss add up, and gradients are averaged over the workers.
                (loss * self.workers.size).backward()
                norm = shards.full(torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.clip))
                finite = bool(torch.isfinite(norm))
            if not finite:
                raise DivergedError(self._diverged(entry, batch, f"gradient norm is {float(norm)}")[1])
            with self.timing.add("optimise"):
                self.optimiser.step()
                self._move_average()
            figures["gradient_norm"] = float(norm)
        elif self.sharded:
            shards.let_go(self.policy)
        self.updates += 1
        self.by_objective[entry.objective] = self.by_objective.get(entry.objective, 0) + 1
        figures["loss"] = sum(each.loss for each in told)
        tokens = sum(each.tokens for each in told)
        result = {f"{entry.objective}/{key}": value for key, value in figures.items()}
        return result | {"learning_rate": lr, "tokens": tokens}

    def batch(self, entry: Entry, fetch: Fetch) -> Batch:
        """Draws and collates the windows of one update: this worker's share."""
        kind, settings = entry.kind, self._settings(entry)
        windows: list[Trajectory] = []
        for table, count in entry.share(self.workers.size).items():
            drawn = fetch(table, round(count * kind.candidates(settings, table)))
            windows += kind.select(drawn, count, settings)
        if not windows:
            raise ScheduleError(
                f"{entry.objective}: none of the windows drawn from {', '.join(entry.data)} can be used"
            )
        scales: dict[str, ReturnScale] | None = None
        if kind.with_return:
            scales = {name: info.return_scale for name, info in self.tasks.items() if info.return_scale is not None}
        return collate(windows, scales, prompt_loss=kind.prompt_loss).to(self.device)

    def loss(self, entry: Entry, batch: Batch) -> tuple[torch.Tensor, Metrics]:
        """Loss and metrics of one batch under an entry's objective; no side effect but the advantage scale and the
        warnings of clipped targets.

        All workers must be in it at the same time; what each gets is its part.
        """
        return self._loss(entry, batch)[:2]

    def _loss(self, entry: Entry, batch: Batch) -> tuple[torch.Tensor, Metrics, View]:
        own = [float(len(batch.action_at)), float(batch.loss.sum()), float(len(batch.return_at))]
        every = self.workers.total(torch.tensor([*own, float(entry.kind.uses_target)], dtype=torch.float64))
        count, steps, returns = every[:3].long().clamp(min=1).to(self.device)
        target = None
        if entry.kind.uses_target or (self.sharded and every[3] > 0):  # what is sharded is gathered by all or nobody
            with torch.no_grad():
                target = View(self.average, batch, self.config.accumulation)
        rounds = Rounds(self.workers, list(self.tasks))
        discounts = [self.tasks[task].discount for task in batch.tasks]
        discount = torch.tensor(discounts, dtype=self.policy.bins.dtype, device=self.device)
        number = self.by_objective.get(entry.objective, 0)
        view = View(self.policy, batch, self.config.accumulation)
        settings = self._settings(entry)
        update = Update(view, target, discount, self.scale, settings, number, count, steps, returns, rounds)
        loss, metrics = entry.kind.loss(update)
        rounds.finish()
        metrics |= cross_entropies(view)
        if "clipped_targets" in metrics:
            clipped = metrics["clipped_targets"]
            assert isinstance(clipped, torch.Tensor)
            metrics |= {"clipped_targets": self.clipping.count(batch.tasks, clipped)}
        if entry.entropy:
            entropy = view.entropy * (own[0] / max(1.0, float(every[0])))  # this worker's part of the mean
            loss = loss - entry.entropy * entropy
            metrics |= {"entropy": entropy.detach()}
        if entry.kind.with_return:
            metrics |= {"clipped_returns": self._clipped_returns(batch)}
        self.distributions = distributions(view)
        if self.sharded and target is not None:
            shards.let_go(self.average)
        return loss, metrics, view

    def published(self) -> Policy:
        """The network that acts: the latest weights or their moving average."""
        return self.average if self.config.publish == "average" else self.policy

    def whole(self) -> Policy | None:
        """The network that acts; where it is sharded, a copy on the CPU for the first worker, and None for the others.

        All workers call it together.
        """
        published = self.published()
        if not self.sharded:
            return published
        first = self.workers.rank == 0
        whole = ((name, shards.full(value)) for name, value in published.state_dict().items())
        tensors = {name: value.cpu() for name, value in whole if first}
        if not first:
            return None
        copied = Policy(published.config).to(next(iter(tensors.values())).dtype)
        copied.load_state_dict(tensors)
        return copied

    def weights(self) -> dict[str, np.ndarray] | None:
        """The weights that act, copied, as float32 arrays by name; None in any worker but the first.

        All workers call it together.
        """
        whole = self.whole()
        if whole is None or self.workers.rank:
            return None
        return {name: value.detach().to("cpu", copy=True).numpy() for name, value in whole.state_dict().items()}

    def snapshot(self) -> state.Snapshot:
        """A copy of the training state (everything that a bit-exact continuation needs, the data's position aside),
        which may be written while training goes on. The one before must have been written.

        All workers call it together, and then each writes its own. Any number of workers can go on from it.
        """
        if self.sharded and self._cpus is None:
            self._cpus = shards.cpus(self.workers.size)
        return state.copy(self, self._copies, self._cpus)

    def save(self, folder: Path) -> None:
        """Writes the training state, and returns when it is written. All workers call it together."""
        self.snapshot().write(folder)

    def restore(self, folder: Path, incarnation: int | None = None) -> None:
        """Continues from a training state; as a new incarnation where one is given."""
        state.restore(self, folder)
        if incarnation is not None:
            self.incarnation = incarnation

    def restore_optimiser(self, folder: Path) -> None:
        """Takes over the optimiser's moments from the training state of an earlier run; all else begins anew."""
        state.restore_optimiser(self, folder)
        self.warm = True

    def _settings(self, entry: Entry) -> object:
        return entry.kind.settings(**entry.settings)

    def _autocast(self) -> contextlib.AbstractContextManager:
        if self.config.precision == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    @torch.no_grad()
    def _move_average(self) -> None:
        # Parameters without a gradient did not change: a vocabulary of 32,000 unused rows then costs nothing.
        pairs = [
            (slow, fast)
            for slow, fast in zip(self.average.parameters(), self.policy.parameters(), strict=True)
            if fast.grad is not None
        ]
        slow, fast = (shards.local(each) for each in zip(*pairs, strict=True))
        torch._foreach_lerp_(slow, fast, 1.0 - self.config.average)

    def _clipped_returns(self, batch: Batch) -> torch.Tensor:
        """How many returns of steps with a loss lie outside their task's return tokens, and so are clipped to them."""
        known = [self.tasks[task].return_scale for task in batch.tasks]
        low = torch.tensor([scale.low if scale else -torch.inf for scale in known], device=self.device).unsqueeze(1)
        high = torch.tensor([scale.high if scale else torch.inf for scale in known], device=self.device).unsqueeze(1)
        return (((batch.returns_to_go < low) | (batch.returns_to_go > high)) & batch.loss).sum()

    def _own_part(self, entry: Entry, batch: Batch) -> tuple[torch.Tensor, Metrics, bool, View]:
        """This worker's part of the loss, what to log, whether the part depends on a parameter, and what it read."""
        loss, metrics, view = self._loss(entry, batch)
        trains = loss.requires_grad
        if not trains and self.workers.size > 1:  # others may wait for the gradient of this part: zero
            loss = loss + 0.0 * self.policy.transformer.norm.weight.sum()
        return loss, metrics, trains, view

    def _told(self, entry: Entry, batch: Batch, loss: torch.Tensor, metrics: Metrics, trains: bool) -> Told:
        value = float(loss.detach())
        diverged = None if math.isfinite(value) else self._diverged(entry, batch, f"loss is {value}")
        tokens = int((batch.timestep >= 0).sum())
        uses = shards.used(loss, self.policy) if self.sharded else ()
        return Told(value, tokens, sums(metrics), trains, uses, diverged)

    def _diverged(self, entry: Entry, batch: Batch, what: str) -> tuple[bool, str]:
        """Whether there are rewards that explain it, and the message."""
        bad = [
            batch.origin[row]
            for row in range(len(batch.origin))
            if not torch.isfinite(batch.rewards[row]).all() or float(batch.rewards[row].abs().max()) > 1e6
        ]
        return bool(bad), (
            f"update {self.updates} ({entry.objective}): {what}. Batch of: {'; '.join((bad or batch.origin)[:4])}"
            f"{' (rewards that are not finite or beyond 1e6)' if bad else ''}. The last checkpoint stands; lower "
            "learner.learning_rate or learner.clip, or look at those episodes."
        )


def worker_seed(seed: int, rank: int) -> int:
    """Of a worker's dropout: the run's own for the first one, so that one worker is like none beside it."""
    return seed if rank == 0 else int(np.random.SeedSequence((seed, rank)).generate_state(1)[0])
