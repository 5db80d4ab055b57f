"""Decoding for many environments at once, from a KV cache with one slot for each: in one process, on CPU or CUDA.

A forward pass feeds what a slot's context has and its cache lacks: after a step the last action token and the next
observation, after a slide or new weights the whole context. So an action of one token costs one pass a step, and every
pass is one that training could have seen.
"""

import time
from collections.abc import Sequence

import numpy as np
import torch

from policy import capacity
from policy.admission import check
from policy.cache import Cache
from policy.contexts import Contexts
from policy.forward import Forward
from policy.model import Policy, legal_groups
from policy.networks import Networks, OnNewWeights, Weights
from policy.ragged import Rows
from policy.sampling import draw
from policy.slots import SlotError, SlotTable
from policy.types import ActReply, ActRequest, Version
from policy.vocabulary import DEFAULT

FIRST = Version(0, 0)
SEEN = 5.0  # seconds for which an actor that asked still counts as one that will ask again


class Engine:
    """Serves the actions of one policy to the environments of many actors.

    Args:
        model: copied; its device is the engine's.
        slots: environments that can be served at the same time.
        dtype: of the weights and the cache; None keeps the model's.
        version: of the model's weights.
        seed: of sampling.
        idle: seconds after which an unseen actor's slots may be taken, once none is free.
        threads: parts of a batch that run at the same time on a CPU.
        on_new_weights, rebuild_share: as in `policy.networks.Networks`.

    Raises:
        SlotError: memory does not hold so many slots; says how many it holds.
    """

    def __init__(
        self,
        model: Policy,
        slots: int,
        dtype: torch.dtype | None = None,
        version: Version = FIRST,
        seed: int = 0,
        idle: float = 60.0,
        threads: int = 1,
        on_new_weights: OnNewWeights = "rebuild",
        rebuild_share: float = 0.1,
    ):
        parameter = next(model.parameters())
        self.device = parameter.device
        self.dtype = dtype or parameter.dtype
        self.config = model.config
        capacity.check(model.config, slots, self.dtype, self.device)
        self.networks = Networks(model, slots, self.dtype, version, on_new_weights, rebuild_share)
        self.table = SlotTable(slots, idle)
        self.contexts = Contexts(slots, model.config.context, model.config.attention_steps)
        self.cache = Cache(model.config, slots, self.dtype, self.device)
        self.forward = Forward(self.contexts, self.cache, self.device, threads)
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._batches = self._rows = self._rebuilds = self._slides = 0
        self._rebuild_seconds = self._act_seconds = 0.0

    @property
    def version(self) -> Version:
        """Of the newest weights that act."""
        return self.networks.version

    def load(self, weights: Weights, version: Version) -> None:
        """Takes new weights. Slots move over to them as `policy.networks.Networks` says.

        Raises:
            ValueError: when names or shapes are not this policy's; nothing has changed then.
        """
        self.networks.check(weights, version)
        self.networks.offer(weights, version)
        self._admit_weights()

    def settle(self) -> None:
        """Weights that still wait act from now on, whatever caches that costs."""
        if self.networks.waiting is not None:
            self._forget(self.networks.admit(np.zeros(self.table.slots, dtype=bool)))

    def stats(self) -> dict[str, float]:
        """What the engine has done since it was made: batches, rows (environment steps), forwards, tokens fed, rebuilds
        (contexts prefilled anew because of new weights alone), slides, and seconds in forward passes, in rebuilds and
        altogether."""
        return {
            "batches": self._batches,
            "rows": self._rows,
            "forwards": self.forward.passes,
            "tokens": self.forward.tokens,
            "rebuilds": self._rebuilds,
            "slides": self._slides,
            "forward_seconds": self.forward.seconds,
            "rebuild_seconds": self._rebuild_seconds,
            "act_seconds": self._act_seconds,
        }

    def admit(self, request: ActRequest) -> np.ndarray:
        """Checks a request and leases its slots: int64 [n], the engine's own numbers of them.

        Raises:
            SlotError: too few slots, or a slot that is new here although its episode has already begun.
            SpaceError, ValueError: as `policy.admission.check`; or a timestep that is not like the episode's so far.
        """
        who = f"actor '{request.actor}'"
        timestep = check(request, self.config.context)
        slots, fresh = self.table.lease(request.actor, request.run_id, request.slots)
        self.contexts.begun[slots[fresh]] = False
        going = slots[~request.reset]
        if not self.contexts.begun[going].all():
            raise SlotError(
                f"{who}: the policy server does not know the episodes that its request continues; the server was "
                "restarted, or gave the slots away while the actor was idle: reset those environments and ask again"
            )
        if (self.contexts.size[going] != timestep.size).any() or (
            self.contexts.separator[going] != timestep.separator
        ).any():
            raise ValueError(f"{who}: the timestep's layout changed in the middle of an episode")
        return slots

    @torch.inference_mode()
    def act(self, requests: Sequence[ActRequest], admitted: Sequence[np.ndarray] | None = None) -> list[ActReply]:
        """Actions for all environments of all requests, as one ragged batch.

        Args:
            requests: at least one.
            admitted: what `admit` returned for each, where the caller has asked already.

        Raises:
            as `admit`; and ValueError when two requests name the same slot. No slot has moved on then.
        """
        began = time.perf_counter()
        if admitted is None:
            admitted = [self.admit(request) for request in requests]
        rows = Rows.gather(requests, admitted)
        self._admit_weights()
        contexts, n = self.contexts, len(rows.slots)
        contexts.begin(rows)
        slides = self._slide(rows)
        self._rebuild(rows.slots)
        before = contexts.length[rows.slots].copy()
        shape = rows.legal.shape[:2]
        returns = np.empty(n, dtype=np.int64)
        tokens, log_probs = np.empty(shape, dtype=np.int64), np.empty(shape)
        try:
            contexts.observe(rows)
            for model, index in self.networks.split(rows.slots):
                part = rows if len(index) == n else rows.take(index)
                hidden = self._feed(model, part.slots)
                returns[index] = self._draw_returns(model, part, hidden)
                tokens[index], log_probs[index] = self._draw_actions(model, part, hidden)
        except BaseException:
            contexts.take_back(rows.slots, before)
            raise
        contexts.step[rows.slots] += 1
        self._batches += 1
        self._rows += n
        self._slides += slides
        self._act_seconds += time.perf_counter() - began
        versions = self.networks.oldest[rows.slots]
        return rows.replies(requests, tokens, log_probs, contexts.start[rows.slots], returns, versions)

    def _admit_weights(self) -> None:
        if self.networks.waiting is not None:
            contexts = self.contexts
            self._forget(self.networks.admit(contexts.begun & (contexts.cached > 0) & self.table.seen(SEEN)))

    def _forget(self, lost: np.ndarray) -> None:
        self.contexts.cached[lost] = 0

    def _slide(self, rows: Rows) -> int:
        """Slides what is full. Caches that are empty by then begin with the newest weights."""
        slots = rows.slots
        slid = self.contexts.slide(slots)
        outdated = slid[self.networks.outdated(slid)]
        self.contexts.cached[outdated] = 0  # a prompt's, which the slide has left
        empty = self.contexts.cached[slots] == 0
        self._rebuilds += len(np.setdiff1d(slots[empty & ~rows.reset], slid))
        self.networks.begin(slots[empty])
        return len(slid)

    def _rebuild(self, slots: np.ndarray) -> None:
        """Moves as many of these slots over to the newest weights as there is time for."""
        if not self.networks.staged:
            return
        old = slots[self.networks.outdated(slots)]
        old = old[: self.networks.affordable(self.contexts.length[old])]
        if not len(old):
            return
        began = time.perf_counter()
        self.contexts.cached[old] = 0
        self.networks.begin(old)
        for model, index in self.networks.split(old):
            self._feed(model, old[index])
        seconds = time.perf_counter() - began
        self.networks.spent(seconds, int(self.contexts.length[old].sum()))
        self._rebuilds += len(old)
        self._rebuild_seconds += seconds

    def _draw_returns(self, model: Policy, rows: Rows, hidden: torch.Tensor) -> np.ndarray:
        """Inserts a return token, biased towards high returns, where one is wanted; int64 [n], -1 elsewhere.

        Replaces those rows of `hidden` [n, width] by the hidden states at their separators.
        """
        returns = np.full(len(rows.slots), -1, dtype=np.int64)
        index = np.flatnonzero(rows.with_return)
        if len(index) == 0:
            return returns
        where = torch.from_numpy(index).to(self.device)
        logits = model.return_logits(hidden[where])  # [m, 256]
        kappa = torch.from_numpy(rows.kappa[index]).to(logits)
        bias = kappa.unsqueeze(1) * torch.linspace(0, 1, logits.shape[1], device=self.device, dtype=logits.dtype)
        picked, _ = draw(logits + bias, torch.ones_like(kappa), self._generator)
        returns[index] = picked.cpu().numpy() + DEFAULT.returns.start
        both = np.stack([returns[index], np.full(len(index), DEFAULT.separator)], axis=1)  # [m, 2]
        self.contexts.append(rows.slots[index], both, 2)
        hidden[where] = self._feed(model, rows.slots[index])
        return returns

    def _draw_actions(self, model: Policy, rows: Rows, hidden: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Actions token by token from `hidden` [n, width] at the separators: tokens int64, log-probabilities [n, A]."""
        shape = rows.legal.shape[:2]
        tokens, log_probs = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        for place in range(int(rows.acting.max())):
            index = np.flatnonzero(rows.acting > place)
            if place > 0:
                hidden = self._feed(model, rows.slots[index])
            picked, score = self._draw(model, hidden, rows.legal[index, place], rows.temperature[index])
            tokens[index, place], log_probs[index, place] = picked, score
            # The last token stays out of the cache: it is fed with the next observation.
            self.contexts.append(rows.slots[index], picked[:, None])
        return tokens, log_probs

    def _draw(
        self, model: Policy, hidden: torch.Tensor, legal: np.ndarray, temperature: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """One token for each row of hidden [m, width] from its legal range [m, 2]."""
        picked, score = np.empty(len(legal), dtype=np.int64), np.empty(len(legal))
        for start, stop, index in legal_groups(torch.from_numpy(legal)):
            where = index.to(self.device)
            logits = model.logits(hidden[where], start, stop)  # [m of this range, stop - start]
            token, log_prob = draw(logits, torch.from_numpy(temperature)[index].to(logits), self._generator)
            picked[index.numpy()] = token.cpu().numpy() + start
            score[index.numpy()] = log_prob.cpu().numpy()
        return picked, score

    def _feed(self, model: Policy, slots: np.ndarray) -> torch.Tensor:
        """Runs all tokens that these slots' caches lack; the hidden state of each slot's last token [n, width]."""
        return self.forward.feed(model, slots)
