"""Forward passes over slots: whatever their contexts have and their caches lack, in as few passes as fit."""

import threading
import time

import numpy as np
import torch

from policy.cache import BlockCache, Cache
from policy.contexts import Contexts
from policy.model import Policy
from policy.new_tokens import NewTokens, patches_among, vectors_among
from policy.padded_passes import TOKENS_AT_ONCE, PaddedPasses


class Forward:
    """Feeds slots' new tokens to a policy and keeps their caches. Several threads may feed, each its own slots.

    Args:
        contexts: tokens of all slots.
        cache: keys and values of all slots, laid out for contexts as long as they will be. Its kind says how rows of
            different lengths go together: one after the other, or padded.
        device: of the cache.
    """

    def __init__(self, contexts: Contexts, cache: Cache | BlockCache, device: torch.device):
        self.contexts = contexts
        self.passes = 0
        self.tokens = 0
        self.seconds = 0.0
        self._counting = threading.Lock()
        self._way: Passes | PaddedPasses
        if isinstance(cache, BlockCache):
            self._way = Passes(contexts, cache)
        else:
            self._way = PaddedPasses(contexts, cache, device)

    @torch.inference_mode()
    def feed(self, model: Policy, slots: np.ndarray) -> torch.Tensor:
        """Runs all tokens that these slots' caches lack; the hidden state of each slot's last token [n, width]."""
        began = time.perf_counter()
        new = self.contexts.length[slots] - self.contexts.cached[slots]
        hidden, count = self._way.feed(model, slots, new)
        self.contexts.cached[slots] = self.contexts.length[slots]
        with self._counting:
            self.passes += count
            self.tokens += int(new.sum())
            self.seconds += time.perf_counter() - began
        return hidden


class Passes:
    """Rows one after the other, each as long as it is, for kernels of our own.

    Args:
        contexts: tokens of all slots.
        cache: keys and values of all slots.
    """

    def __init__(self, contexts: Contexts, cache: BlockCache):
        self.contexts = contexts
        self.cache = cache

    def feed(self, model: Policy, slots: np.ndarray, new: np.ndarray) -> tuple[torch.Tensor, int]:
        """The last hidden state of each of these slots [n, width], which have `new` [n] tokens; how many passes."""
        number = np.cumsum(new) // TOKENS_AT_ONCE  # of the pass that each goes with
        hidden = []
        for some in np.split(slots, np.flatnonzero(np.diff(number)) + 1):
            fed = NewTokens.of(self.contexts, some)
            count = len(fed.slots)
            real = self.contexts, fed.tokens[:count].numpy(), fed.slots, fed.columns[:count].numpy()
            hidden.append(model.extend_rows(fed, self.cache, patches_among(*real), vectors_among(*real)))
        return hidden[0] if len(hidden) == 1 else torch.cat(hidden), len(hidden)
