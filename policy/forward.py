"""One ragged forward pass over slots: whatever their contexts have and their caches lack, in as few passes as fit."""

import itertools
import threading
import time

import numpy as np
import torch

from policy.cache import RUNS, SPAN, Cache, CacheView
from policy.contexts import Contexts
from policy.model import Policy
from policy.patches import Patches
from policy.ragged import groups, padded
from policy.vocabulary import DEFAULT

TOKENS_AT_ONCE = 8192  # of one forward pass: bounds the memory of prefills


class Forward:
    """Feeds slots' new tokens to a policy and keeps their caches. Several threads may feed, each its own slots.

    Args:
        contexts: tokens of all slots.
        cache: keys and values of all slots, laid out for contexts as long as they will be.
        device: of the cache.
    """

    def __init__(self, contexts: Contexts, cache: Cache, device: torch.device):
        self.contexts = contexts
        self.cache = cache
        self.device = device
        self.passes = 0
        self.tokens = 0
        self.seconds = 0.0
        self._counting = threading.Lock()

    @torch.inference_mode()
    def feed(self, model: Policy, slots: np.ndarray) -> torch.Tensor:
        """Runs all tokens that these slots' caches lack; the hidden state of each slot's last token [n, width]."""
        began = time.perf_counter()
        new = self.contexts.length[slots] - self.contexts.cached[slots]
        parts = list(groups(new, TOKENS_AT_ONCE))
        if len(parts) == 1:
            hidden = self._pass(model, slots, new)
        else:
            hidden = self.cache.keys.new_empty(len(slots), model.config.width)
            for index in parts:
                hidden[torch.from_numpy(index).to(self.device)] = self._pass(model, slots[index], new[index])
        self.contexts.cached[slots] = self.contexts.length[slots]
        with self._counting:
            self.passes += len(parts)
            self.tokens += int(new.sum())
            self.seconds += time.perf_counter() - began
        return hidden

    def _pass(self, model: Policy, slots: np.ndarray, new: np.ndarray) -> torch.Tensor:
        """One pass over slots in ascending order that have `new` tokens each; hidden states of the last ones."""
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
        tokens[padding] = DEFAULT.pad
        patches = self._patches(slots, tokens, place)
        timestep[padding], place[padding] = -1, scratch
        tokenwise = np.empty((4, rows, len(index)), dtype=np.int64)
        tokenwise[:, :n] = tokens, position, timestep, place
        tokenwise[:, n:] = np.array([DEFAULT.pad, 0, -1, scratch])[:, None, None]
        taken, runs = self._rows(slots, rows)
        rowwise = np.empty((4, rows), dtype=np.int64)
        rowwise[0] = taken
        rowwise[1:, :n] = new - 1, contexts.size[slots], contexts.prompt[slots]
        rowwise[1:, n:] = np.array([0, 1, 0])[:, None]
        span = self.cache.columns
        if self.device.type != "cpu":  # there, reading fewer columns needs no other layout
            span = -(-int(contexts.length[slots].max()) // SPAN) * SPAN
        fed, by_row = torch.from_numpy(tokenwise).to(self.device), torch.from_numpy(rowwise).to(self.device)
        view = CacheView(self.cache, by_row[0], runs, fed[3], span)
        prompt = by_row[3] if contexts.prompt[slots].any() else None
        return model.extend(fed[0], fed[1], fed[2], by_row[1], view, by_row[2], patches, prompt)[:n]

    def _rows(self, slots: np.ndarray, rows: int) -> tuple[np.ndarray, list[tuple[int, int]] | None]:
        """The slot of each of `rows` rows, padding included, and the runs of neighbours in them, if they are few."""
        # Rows of padding take the slots that follow: they write to the scratch column only, nobody reads their results.
        taken = np.concatenate([slots, np.arange(slots[-1] + 1, slots[-1] + 1 + rows - len(slots))])
        borders = [0, *(np.flatnonzero(np.diff(taken) != 1) + 1).tolist(), rows]
        if len(borders) - 1 > RUNS or taken[-1] >= len(self.contexts.length):
            taken[len(slots) :] = 0
            return taken, None
        return taken, [(int(taken[first]), stop - first) for first, stop in itertools.pairwise(borders)]

    def _patches(self, slots: np.ndarray, tokens: np.ndarray, place: np.ndarray) -> Patches | None:
        """Images of the patch tokens among tokens [n, T] at their places in the contexts; None where there are none."""
        pixels, intervals = self.contexts.pixels, self.contexts.intervals
        if pixels is None or intervals is None:
            return None
        at = np.flatnonzero(tokens == DEFAULT.patch)
        if not len(at):
            return None
        where = slots[at // tokens.shape[1]], place.reshape(-1)[at]
        parts = pixels[where], at, intervals[where].astype(np.int64)
        return Patches(*(torch.from_numpy(part) for part in parts)).to(self.device)
