"""Decoding for many environments at once, from a KV cache with one slot for each: in one process, on CPU or CUDA.

A forward pass feeds what a slot's context has and its cache lacks: after a step the last action token and the next
observation, after a slide or new weights the whole context. So an action of one token costs one pass a step, and every
pass is one that training could have seen.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np
import torch

from policy import capacity, native
from policy.admission import check
from policy.cache import BlockCache, Cache
from policy.contexts import Contexts
from policy.drawing import Drawing, Drawn
from policy.forward import Forward
from policy.model import Policy
from policy.networks import Networks, OnNewWeights, Weights, sets
from policy.ragged import Rows
from policy.slots import SlotError, SlotTable
from policy.threads import torch_threads
from policy.types import ActReply, ActRequest, Version

Result = TypeVar("Result")
FIRST = Version(0, 0)
ROWS_OF_A_THREAD = 8  # fewer rows are not worth another thread
SMALL = (
    90_000  # numbers (tokens x width) of a pass: below, PyTorch's own threads are the faster ones (2 cores, measured)
)
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
        threads: on a CPU. Each takes a part of a batch's rows from observation to action, which is faster than as many
            threads within each product, for these wait for each other a hundred times in a pass. In passes too small
            for that, Python's lock costs more, and the threads share each product.
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
        weights = sum(each.numel() for each in model.parameters()) * self.dtype.itemsize
        capacity.check(model.config, slots, self.dtype, self.device, sets(on_new_weights) * weights)
        self.networks = Networks(model, slots, self.dtype, version, on_new_weights, rebuild_share)
        self.table = SlotTable(slots, idle)
        self.contexts = Contexts(slots, model.config.context, model.config.attention_steps)
        kernels = native.kernels(model.config, self.dtype, self.device)
        self.cache: Cache | BlockCache
        if kernels is None:
            self.cache = Cache(model.config, slots, self.dtype, self.device)
        else:
            self.cache = BlockCache(model.config, slots, self.dtype)
        self.forward = Forward(self.contexts, self.cache, self.device)
        self._drawing = Drawing(self.contexts, self.forward, self.device)
        self._threads = threads if self.device.type == "cpu" else 1
        # One of PyTorch's own threads within each of ours. Nor should the caller's have more: helpers of its products
        # would go on spinning beside ours.
        self._pool = ThreadPoolExecutor(self._threads, "engine", initializer=torch.set_num_threads, initargs=(1,))
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._batches = self._rows = self._rebuilds = self._slides = 0
        self._rebuild_seconds = self._act_seconds = self._shared_seconds = 0.0

    @property
    def version(self) -> Version:
        """Of the newest weights that act."""
        return self.networks.version

    def load(self, weights: Weights, version: Version) -> None:
        """Takes new weights. Slots move over to them as `policy.networks.Networks` says.

        Raises:
            ValueError: when names or shapes are not this policy's; nothing has changed then.
        """
        self.prepare(weights, version)
        self.renew()

    def prepare(self, weights: Weights, version: Version) -> None:
        """Makes new weights ready for `renew`, or for the next batch. For any thread: acting goes on meanwhile.

        Raises:
            ValueError: as `load`.
        """
        self.networks.check(weights, version)
        self.networks.offer(weights, version)

    def renew(self) -> None:
        """Lets prepared weights in, unless slots still need the ones before last: then as soon as none does."""
        if self.networks.waiting is not None:
            contexts = self.contexts
            self._forget(self.networks.admit(contexts.begun & (contexts.cached > 0) & self.table.seen(SEEN)))

    def settle(self) -> None:
        """Weights that still wait act from now on, whatever caches that costs."""
        if self.networks.waiting is not None:
            self._forget(self.networks.admit(np.zeros(self.table.slots, dtype=bool)))

    def stats(self) -> dict[str, float]:
        """What the engine has done since it was made: batches, rows (environment steps), forwards, tokens fed, rebuilds
        (contexts prefilled anew because of new weights alone), slides, and seconds in forward passes (a thread's, on
        average), in rebuilds and altogether."""
        return {
            "batches": self._batches,
            "rows": self._rows,
            "forwards": self.forward.passes,
            "tokens": self.forward.tokens,
            "rebuilds": self._rebuilds,
            "slides": self._slides,
            "forward_seconds": self._shared_seconds + (self.forward.seconds - self._shared_seconds) / self._threads,
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
        self.renew()
        contexts, n = self.contexts, len(rows.slots)
        contexts.begin(rows)
        slides = self._slide(rows)
        self._rebuild(rows.slots)
        before = contexts.length[rows.slots].copy()
        try:
            contexts.observe(rows)
            drawn = self._act(rows)
        except BaseException:
            contexts.take_back(rows.slots, before)
            raise
        contexts.step[rows.slots] += 1
        self._batches += 1
        self._rows += n
        self._slides += slides
        self._act_seconds += time.perf_counter() - began
        versions = self.networks.oldest[rows.slots]
        start = contexts.start[rows.slots]
        return rows.replies(requests, drawn.tokens, drawn.log_probs, start, drawn.returns, versions)

    def _act(self, rows: Rows) -> Drawn:
        """Actions of all rows, each set of weights for its own, several threads at the same time."""
        n, acting = rows.legal.shape[:2]
        levels = torch.rand(n, 1 + acting, dtype=torch.float64, device=self.device, generator=self._generator)
        # What will be appended: a return token and its separator, and the action.
        coming = min(int(self.contexts.length[rows.slots].max()) + 2 + acting, self.config.context)
        self.cache.fit(max(int(self.contexts.length.max()), coming), self.contexts.cached)

        def step(model: Policy, index: np.ndarray) -> tuple[np.ndarray, Drawn]:
            some = rows if len(index) == n else rows.take(index)
            return index, self._drawing.step(model, some, levels[torch.from_numpy(index).to(self.device)])

        found = self._in_parts(step, rows.slots)
        if len(found) == 1:
            return found[0][1]
        drawn = Drawn(np.empty(n, dtype=np.int64), np.empty((n, acting), dtype=np.int64), np.empty((n, acting)))
        for index, part in found:
            for whole, some in zip(drawn, part, strict=True):
                whole[index] = some
        return drawn

    def _in_parts(self, function: Callable[[Policy, np.ndarray], Result], slots: np.ndarray) -> list[Result]:
        """What `function` returns for each set of weights with the indices of its slots; for parts of these, at the
        same time, where there are threads and slots enough."""
        if self._threads == 1:
            return [function(*part) for part in self.networks.split(slots)]
        tokens = int((self.contexts.length[slots] - self.contexts.cached[slots]).sum())
        if tokens * self.config.width < SMALL and isinstance(self.cache, Cache):
            before = self.forward.seconds
            with torch_threads(self._threads):
                found = [function(*part) for part in self.networks.split(slots)]
            self._shared_seconds += self.forward.seconds - before  # no threads' sum
            return found
        parts = [
            (model, some)
            for model, index in self.networks.split(slots)
            for some in np.array_split(index, max(1, min(self._threads, len(index) // ROWS_OF_A_THREAD)))
        ]
        running = [self._pool.submit(function, *part) for part in parts]
        wait(running)  # all of them, so that none goes on when one has failed
        return [each.result() for each in running]

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
        self.cache.fit(int(self.contexts.length.max()), self.contexts.cached)
        self._in_parts(lambda model, index: self.forward.feed(model, old[index]), old)
        seconds = time.perf_counter() - began
        self.networks.spent(seconds, int(self.contexts.length[old].sum()))
        self._rebuilds += len(old)
        self._rebuild_seconds += seconds
