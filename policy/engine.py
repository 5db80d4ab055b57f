"""Decoding for many environments at once, from a KV cache with one slot for each: in one process, on CPU or CUDA.

A forward pass feeds what a slot's context has and its cache lacks: after a step the last action token and the next
observation, after a slide or new weights the whole context. So an action of one token costs one pass a step, and every
pass is one that training could have seen.
"""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from policy.cache import SPAN, Cache, CacheView
from policy.context import fitting_steps
from policy.contexts import Contexts
from policy.model import Policy, legal_groups
from policy.ragged import Rows, groups, padded
from policy.sampling import draw
from policy.slots import SlotError, SlotTable
from policy.types import ActReply, ActRequest, Version
from policy.vocabulary import DEFAULT

FIRST = Version(0, 0)
TOKENS_AT_ONCE = 8192  # of one forward pass: bounds the memory of prefills


@dataclass
class Counters:
    """What an engine has done since it was made."""

    batches: int = 0
    rows: int = 0
    forwards: int = 0
    tokens: int = 0
    rebuilds: int = 0
    slides: int = 0
    forward_seconds: float = 0.0
    act_seconds: float = 0.0


class Engine:
    """Serves the actions of one policy to the environments of many actors.

    Args:
        model: copied; its device is the engine's.
        slots: environments that can be served at the same time.
        dtype: of the weights and the cache; None keeps the model's.
        version: of the model's weights.
        seed: of sampling.
        idle: seconds after which an unseen actor's slots may be taken, once none is free.
    """

    def __init__(
        self,
        model: Policy,
        slots: int,
        dtype: torch.dtype | None = None,
        version: Version = FIRST,
        seed: int = 0,
        idle: float = 60.0,
    ):
        parameter = next(model.parameters())
        self.device = parameter.device
        self.dtype = dtype or parameter.dtype
        self.model = copy.deepcopy(model).to(self.dtype).requires_grad_(False).eval()
        self.model.embedding.freeze()
        self.version = version
        self.table = SlotTable(slots, idle)
        self.contexts = Contexts(slots, model.config.context, model.config.attention_steps)
        self.cache = Cache.empty(model.config, slots, self.dtype, self.device)
        self.counters = Counters()
        self._generator = torch.Generator(self.device).manual_seed(seed)

    def load(self, weights: Mapping[str, torch.Tensor | np.ndarray], version: Version) -> None:
        """Takes new weights; each slot's cache is rebuilt from its tokens when the slot acts next.

        Raises:
            ValueError: when names or shapes are not this policy's; nothing has changed then.
        """
        own = self.model.state_dict()
        wrong = sorted(own.keys() ^ weights.keys())
        wrong = wrong or sorted(name for name in own if tuple(own[name].shape) != tuple(weights[name].shape))
        if wrong:
            raise ValueError(f"weights of version {tuple(version)} are not this policy's: {', '.join(wrong[:5])}")
        with torch.no_grad():
            for name, parameter in own.items():
                value = weights[name]
                # Arrays that Ray shares between processes are read-only, which torch warns of: copied instead.
                parameter.copy_(torch.tensor(value) if isinstance(value, np.ndarray) else value)
            self.model.embedding.freeze()
        self.version = version
        self.contexts.cached[:] = 0

    def stats(self) -> dict[str, float]:
        """What the engine has done since it was made: batches, rows (environment steps), forwards, tokens fed, rebuilds
        (contexts prefilled anew because of new weights), slides, and seconds in forward passes and altogether."""
        return asdict(self.counters)

    def admit(self, request: ActRequest) -> np.ndarray:
        """Checks a request and leases its slots: int64 [n], the engine's own numbers of them.

        Raises:
            SlotError: too few slots, or a slot that is new here although its episode has already begun.
            SpaceError: a timestep longer than the policy's context.
            ValueError: arrays that disagree with each other, or with the episode so far.
        """
        n, who = len(request.slots), f"actor '{request.actor}'"
        if n == 0 or request.tokens.ndim != 2 or request.tokens.shape[1] == 0 or len(request.tokens) != n:
            raise ValueError(f"{who}: {n} slots with observation tokens of shape {request.tokens.shape}")
        if request.reset.shape != (n,) or request.legal.ndim != 2 or request.legal.shape[1:] != (2,):
            raise ValueError(f"{who}: reset of shape {request.reset.shape}, legal of shape {request.legal.shape}")
        low, high = request.legal[:, 0], request.legal[:, 1]
        if not len(low) or low.min() < 0 or high.max() > DEFAULT.size or (low >= high).any():
            raise ValueError(f"{who}: legal ranges {request.legal.tolist()} are empty or outside the vocabulary")
        if request.tokens.min() < 0 or request.tokens.max() >= DEFAULT.size or not request.temperature >= 0:
            raise ValueError(f"{who}: tokens outside the vocabulary, or temperature {request.temperature}")
        separator = request.tokens.shape[1] + request.with_return
        size = separator + 1 + len(request.legal)
        fitting_steps(self.model.config.context, size, who)
        slots, fresh = self.table.lease(request.actor, request.run_id, request.slots)
        self.contexts.begun[slots[fresh]] = False
        going = slots[~request.reset]
        if not self.contexts.begun[going].all():
            raise SlotError(
                f"{who}: the policy server does not know the episodes that its request continues; the server was "
                "restarted, or gave the slots away while the actor was idle: reset those environments and ask again"
            )
        if (self.contexts.size[going] != size).any() or (self.contexts.separator[going] != separator).any():
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
        contexts = self.contexts
        fresh = rows.reset
        separator = rows.observed + rows.with_return
        contexts.begin(rows.slots[fresh], (separator + 1 + rows.acting)[fresh], separator[fresh])
        stale = (contexts.cached[rows.slots] == 0) & (contexts.length[rows.slots] > 0)
        slides = contexts.slide(rows.slots)
        before = contexts.length[rows.slots].copy()
        try:
            contexts.observe(rows)
            hidden = self._feed(rows.slots)
            returns = self._draw_returns(rows, hidden)
            tokens, log_probs = self._draw_actions(rows, hidden)
        except BaseException:
            contexts.length[rows.slots] = before
            contexts.cached[rows.slots] = np.minimum(contexts.cached[rows.slots], before)
            raise
        contexts.step[rows.slots] += 1
        self.counters.batches += 1
        self.counters.rows += len(rows.slots)
        self.counters.rebuilds += int(stale.sum())
        self.counters.slides += slides
        self.counters.act_seconds += time.perf_counter() - began
        return rows.replies(requests, tokens, log_probs, contexts.start[rows.slots], returns, self.version)

    def _draw_returns(self, rows: Rows, hidden: torch.Tensor) -> np.ndarray:
        """Inserts a return token, biased towards high returns, where one is wanted; int64 [n], -1 elsewhere.

        Replaces those rows of `hidden` [n, width] by the hidden states at their separators.
        """
        returns = np.full(len(rows.slots), -1, dtype=np.int64)
        index = np.flatnonzero(rows.with_return)
        if len(index) == 0:
            return returns
        where = torch.from_numpy(index).to(self.device)
        logits = self.model.return_logits(hidden[where])  # [m, 256]
        kappa = torch.from_numpy(rows.kappa[index]).to(logits)
        bias = kappa.unsqueeze(1) * torch.linspace(0, 1, logits.shape[1], device=self.device, dtype=logits.dtype)
        picked, _ = draw(logits + bias, torch.ones_like(kappa), self._generator)
        returns[index] = picked.cpu().numpy() + DEFAULT.returns.start
        both = np.stack([returns[index], np.full(len(index), DEFAULT.separator)], axis=1)  # [m, 2]
        self.contexts.append(rows.slots[index], both, 2)
        hidden[where] = self._feed(rows.slots[index])
        return returns

    def _draw_actions(self, rows: Rows, hidden: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Actions token by token from `hidden` [n, width] at the separators: tokens int64, log-probabilities [n, A]."""
        shape = rows.legal.shape[:2]
        tokens, log_probs = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        for place in range(shape[1]):
            index = np.flatnonzero(rows.acting > place)
            if place > 0:
                hidden = self._feed(rows.slots[index])
            picked, score = self._draw(hidden, rows.legal[index, place], rows.temperature[index])
            tokens[index, place], log_probs[index, place] = picked, score
            # The last token stays out of the cache: it is fed with the next observation.
            self.contexts.append(rows.slots[index], picked[:, None])
        return tokens, log_probs

    def _draw(self, hidden: torch.Tensor, legal: np.ndarray, temperature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One token for each row of hidden [m, width] from its legal range [m, 2]."""
        picked, score = np.empty(len(legal), dtype=np.int64), np.empty(len(legal))
        for start, stop, index in legal_groups(torch.from_numpy(legal)):
            where = index.to(self.device)
            logits = self.model.logits(hidden[where], start, stop)  # [m of this range, stop - start]
            token, log_prob = draw(logits, torch.from_numpy(temperature)[index].to(logits), self._generator)
            picked[index.numpy()] = token.cpu().numpy() + start
            score[index.numpy()] = log_prob.cpu().numpy()
        return picked, score

    def _feed(self, slots: np.ndarray) -> torch.Tensor:
        """Runs all tokens that these slots' caches lack; the hidden state of each slot's last token [n, width]."""
        began = time.perf_counter()
        new = self.contexts.length[slots] - self.contexts.cached[slots]
        hidden = torch.empty(len(slots), self.model.config.width, dtype=self.dtype, device=self.device)
        for index in groups(new, TOKENS_AT_ONCE):
            hidden[torch.from_numpy(index).to(self.device)] = self._forward(slots[index], new[index])
            self.counters.forwards += 1
        self.contexts.cached[slots] = self.contexts.length[slots]
        self.counters.tokens += int(new.sum())
        self.counters.forward_seconds += time.perf_counter() - began
        return hidden

    def _forward(self, slots: np.ndarray, new: np.ndarray) -> torch.Tensor:
        """One pass over slots that have `new` tokens each; hidden states of the last ones [n, width]."""
        contexts, scratch = self.contexts, self.cache.scratch
        n, rows = len(slots), padded(len(slots))
        index = np.arange(padded(int(new.max())))  # [T]
        padding = index >= new[:, None]  # [n, T]
        place = contexts.cached[slots][:, None] + index
        size = contexts.size[slots][:, None]
        timestep = place // size
        within = place - timestep * size
        position = np.where(within > contexts.separator[slots][:, None], -1, within)
        tokens = contexts.tokens[slots[:, None], np.minimum(place, contexts.tokens.shape[1] - 1)]
        tokens[padding], timestep[padding], place[padding] = DEFAULT.pad, -1, scratch
        span = -(-int(contexts.length[slots].max()) // SPAN) * SPAN
        tokenwise = np.empty((4, rows, len(index)), dtype=np.int64)
        tokenwise[:, :n] = tokens, position, timestep, place
        rowwise = np.empty((3, rows), dtype=np.int64)
        rowwise[:, :n] = slots, new - 1, contexts.size[slots]
        # Rows of padding take the slots that follow: they write to scratch columns only, nobody reads their results.
        first, stop = int(slots[0]), int(slots[0]) + rows
        together = int(slots[-1]) - first == n - 1 and stop <= len(contexts.length)
        tokenwise[:, n:] = np.array([DEFAULT.pad, 0, -1, scratch])[:, None, None]
        rowwise[:, n:] = np.array([0, 0, 1])[:, None]
        if together:
            rowwise[0] = np.arange(first, stop)
        fed, by_row = torch.from_numpy(tokenwise).to(self.device), torch.from_numpy(rowwise).to(self.device)
        view = CacheView(self.cache, by_row[0], slice(first, stop) if together else None, fed[3], span)
        return self.model.extend(fed[0], fed[1], fed[2], by_row[1], view, by_row[2])[:n]
