"""The learner: one process's training state, and the update that every objective goes through."""

import contextlib
import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from learner import optimiser, state
from learner.clipping import Clipping
from learner.config import LearnerConfig
from learner.distributions import distributions
from learner.scale import AdvantageScale
from learner.schedule import Entry, Schedule
from learner.types import DivergedError, ScheduleError, TaskInfo, Update
from learner.view import View
from policy.model import Policy
from policy.returns import ReturnScale
from policy.timing import Timing
from policy.types import Version
from replay.batch import Batch, collate
from replay.trajectory import Trajectory

Fetch = Callable[[str, int], list[Trajectory]]
"""(table, count) -> so many windows of that table."""


class Learner:
    """Trains a policy by a schedule of objectives.

    Args:
        policy: the network; it is moved to `device` and trained in place.
        tasks: discount and return scale of every task that the data may hold.
        config: optimiser, averages, precision.
        schedule: which objective each update uses, and its data.
        seed: of dropout and the like; the data has seeds of its own.
        device: where to train.
    """

    def __init__(
        self,
        policy: Policy,
        tasks: dict[str, TaskInfo],
        config: LearnerConfig,
        schedule: Schedule,
        seed: int = 0,
        device: str = "cpu",
    ):
        torch.manual_seed(seed)
        self.config = config
        self.schedule = schedule
        self.tasks = tasks
        self.device = torch.device(device)
        self.policy = policy.to(self.device).train()
        self.average = copy.deepcopy(self.policy).requires_grad_(False).eval()
        self.optimiser = optimiser.build(self.policy, config)
        self.scale = AdvantageScale()
        self.clipping = Clipping(self.policy.bins, tasks)
        """Of value targets."""
        self.updates = 0
        self.incarnation = 0
        self.warm = False
        """The optimiser's moments were taken over from an earlier run, so its step size needs no warm-up."""
        self.by_objective: dict[str, int] = {}
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
            DivergedError: when the loss or a gradient is not finite; the weights are then still those before.
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
                loss, metrics = self.loss(entry, batch)
            finite = bool(torch.isfinite(loss))
        if not finite:
            raise self._diverged(entry, batch, f"loss is {float(loss.detach())}")
        if loss.requires_grad:
            with self.timing.add("backward"):
                loss.backward()
                norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.config.clip)
                finite = bool(torch.isfinite(norm))
            if not finite:
                raise self._diverged(entry, batch, f"gradient norm is {float(norm)}")
            with self.timing.add("optimise"):
                self.optimiser.step()
                self._move_average()
            metrics["gradient_norm"] = norm
        self.updates += 1
        self.by_objective[entry.objective] = self.by_objective.get(entry.objective, 0) + 1
        result = {f"{entry.objective}/{key}": float(value) for key, value in metrics.items()}
        tokens = int((batch.timestep >= 0).sum())
        return result | {f"{entry.objective}/loss": float(loss.detach()), "learning_rate": lr, "tokens": tokens}

    def batch(self, entry: Entry, fetch: Fetch) -> Batch:
        """Draws and collates the windows of one update."""
        kind, settings = entry.kind, self._settings(entry)
        windows: list[Trajectory] = []
        for table, count in entry.counts().items():
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

    def loss(self, entry: Entry, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss and metrics of one batch under an entry's objective; no side effect but the advantage scale and the
        warnings of clipped targets."""
        target = None
        if entry.kind.uses_target:
            with torch.no_grad():
                target = View(self.average, batch)
        count = torch.tensor(max(1, len(batch.action_at)), device=self.device)
        discounts = [self.tasks[task].discount for task in batch.tasks]
        discount = torch.tensor(discounts, dtype=self.policy.bins.dtype, device=self.device)
        number = self.by_objective.get(entry.objective, 0)
        view = View(self.policy, batch)
        update = Update(view, target, discount, self.scale, self._settings(entry), number, count)
        loss, metrics = entry.kind.loss(update)
        if "clipped_targets" in metrics:
            metrics |= {"clipped_targets": self.clipping.count(batch.tasks, metrics["clipped_targets"])}
        if entry.entropy:
            loss = loss - entry.entropy * view.entropy
            metrics |= {"entropy": view.entropy.detach()}
        if entry.kind.with_return:
            metrics |= {"clipped_returns": self._clipped_returns(batch)}
        self.distributions = distributions(view)
        return loss, metrics

    def published(self) -> Policy:
        """The network that acts: the latest weights or their moving average."""
        return self.average if self.config.publish == "average" else self.policy

    def weights(self) -> dict[str, np.ndarray]:
        """The weights that act, copied, as float32 arrays by name."""
        return {name: value.detach().cpu().numpy().copy() for name, value in self.published().state_dict().items()}

    def save(self, folder: Path) -> None:
        """Writes the training state (everything that a bit-exact continuation needs, the data's position aside)."""
        state.save(self, folder)

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
        torch._foreach_lerp_([slow for slow, _ in pairs], [fast for _, fast in pairs], 1.0 - self.config.average)

    def _clipped_returns(self, batch: Batch) -> torch.Tensor:
        """How many returns of steps with a loss lie outside their task's return tokens, and so are clipped to them."""
        known = [self.tasks[task].return_scale for task in batch.tasks]
        low = torch.tensor([scale.low if scale else -torch.inf for scale in known], device=self.device).unsqueeze(1)
        high = torch.tensor([scale.high if scale else torch.inf for scale in known], device=self.device).unsqueeze(1)
        return (((batch.returns_to_go < low) | (batch.returns_to_go > high)) & batch.loss).sum()

    def _diverged(self, entry: Entry, batch: Batch, what: str) -> DivergedError:
        bad = [
            batch.origin[row]
            for row in range(len(batch.origin))
            if not torch.isfinite(batch.rewards[row]).all() or float(batch.rewards[row].abs().max()) > 1e6
        ]
        return DivergedError(
            f"update {self.updates} ({entry.objective}): {what}. Batch of: {'; '.join((bad or batch.origin)[:4])}"
            f"{' (rewards that are not finite or beyond 1e6)' if bad else ''}. The last checkpoint stands; lower "
            "learner.learning_rate or learner.clip, or look at those episodes."
        )
