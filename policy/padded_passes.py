"""Forward passes of rows that are padded to equal lengths, a few lengths in each pass, for PyTorch's own kernels."""

import itertools

import numpy as np
import torch

from policy.cache import SPAN, Cache
from policy.contexts import Contexts
from policy.decoder_blocks import Part
from policy.model import Policy
from policy.new_tokens import patches_among, vectors_among
from policy.ragged import padded, passes
from policy.vocabulary import DEFAULT

RUNS = 4  # so many runs of neighbouring slots are attended to one after the other; more are copied together
TOKENS_AT_ONCE = 8192  # of one forward pass: bounds the memory of prefills


class PaddedPasses:
    """As `policy.forward.Passes`.

    Args:
        contexts: tokens of all slots.
        cache: keys and values of all slots, laid out for contexts as long as they will be.
        device: of the cache.
    """

    def __init__(self, contexts: Contexts, cache: Cache, device: torch.device):
        self.contexts = contexts
        self.cache = cache
        self.device = device

    def feed(self, model: Policy, slots: np.ndarray, new: np.ndarray) -> tuple[torch.Tensor, int]:
        """The last hidden state of each of these slots [n, width], which have `new` [n] tokens; how many passes."""
        found = list(passes(new, TOKENS_AT_ONCE))
        hidden = [self._pass(model, [slots[index] for index in together]) for together in found]
        order = np.concatenate([index for together in found for index in together])
        if len(order) == 1 or (np.diff(order) == 1).all():
            return (hidden[0] if len(hidden) == 1 else torch.cat(hidden)), len(found)
        result = self.cache.keys.new_empty(len(slots), model.config.width)
        result[torch.from_numpy(order).to(self.device)] = torch.cat(hidden)
        return result, len(found)

    def _pass(self, model: Policy, groups: list[np.ndarray]) -> torch.Tensor:
        """One pass over groups of slots, each in ascending order; hidden states of their last tokens, one after the
        other."""
        found = [self._part(model, slots) for slots in groups]
        flat = np.concatenate([tokens for tokens, _ in found], axis=1)  # [4, N]
        fed = torch.from_numpy(flat).to(self.device)
        parts = [part for _, part in found]
        patches = patches_among(self.contexts, flat[0], flat[2], flat[3])
        patches = None if patches is None else patches.to(self.device)
        vectors = vectors_among(self.contexts, flat[0], flat[2], flat[3])
        vectors = None if vectors is None else vectors.to(self.device)
        hidden = model.extend(fed[0], fed[1], fed[2], fed[3], parts, self.cache, patches, vectors)
        if len(parts) == 1:
            return hidden[: len(groups[0])]
        real = [
            each[: len(slots)] for each, slots in zip(hidden.split([part.rows for part in parts]), groups, strict=True)
        ]
        return torch.cat(real)

    def _part(self, model: Policy, slots: np.ndarray) -> tuple[np.ndarray, Part]:
        """Slots in ascending order as rows of a pass: int64 [4, rows * T], which are tokens, positions within the
        timestep, slots and columns; and what attention needs."""
        contexts = self.contexts
        n, rows = len(slots), padded(len(slots))
        cached = contexts.cached[slots]
        new = contexts.length[slots] - cached
        index = np.arange(padded(int(new.max())))  # [T]
        padding = index >= new[:, None]  # [n, T]
        column = cached[:, None] + index
        size = contexts.size[slots][:, None]
        timestep = column // size
        within = column - timestep * size
        taken, runs = self._rows(slots, rows)
        tokenwise = np.empty((5, rows, len(index)), dtype=np.int64)
        tokenwise[:, n:] = np.array([DEFAULT.pad, 0, 0, self.cache.scratch, -1])[:, None, None]
        tokenwise[0, :n] = contexts.tokens[slots[:, None], np.minimum(column, contexts.tokens.shape[1] - 1)]
        tokenwise[1, :n] = np.where(within > contexts.separator[slots][:, None], -1, within)
        tokenwise[2] = taken[:, None]
        tokenwise[3, :n], tokenwise[4, :n] = column, timestep
        for row, value in ((0, DEFAULT.pad), (3, self.cache.scratch), (4, -1)):
            tokenwise[row, :n][padding] = value
        rowwise = np.empty((4, rows), dtype=np.int64)
        rowwise[:, n:] = np.array([0, 0, 1, 0])[:, None]
        rowwise[0] = taken
        rowwise[1:, :n] = new - 1, contexts.size[slots], contexts.prompt[slots]
        by_row = torch.from_numpy(rowwise).to(self.device)
        columns, timesteps = torch.from_numpy(tokenwise[3:]).to(self.device)
        fresh = not cached.any()
        keys = len(index) if fresh else self.cache.columns
        if self.device.type != "cpu" and not fresh:  # there, reading fewer columns needs no other layout
            keys = -(-int(contexts.length[slots].max()) // SPAN) * SPAN
        prompt = by_row[3] if contexts.prompt[slots].any() else None
        mask = model.mask(timesteps, columns, by_row[2], keys, prompt)
        return tokenwise[:4].reshape(4, -1), Part(rows, len(index), fresh, runs, by_row[0], mask, by_row[1])

    def _rows(self, slots: np.ndarray, rows: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """The slot of each of `rows` rows, padding included, and the runs of neighbours in them, if they are few."""
        # Rows of padding take the slots that follow: they write to the scratch column only, nobody reads their results.
        taken = np.concatenate([slots, np.arange(slots[-1] + 1, slots[-1] + 1 + rows - len(slots))])
        borders = [0, *(np.flatnonzero(np.diff(taken) != 1) + 1).tolist(), rows]
        if len(borders) - 1 > RUNS or taken[-1] >= len(self.contexts.length):
            taken[len(slots) :] = 0
            return taken, []
        return taken, [(int(taken[first]), stop - first) for first, stop in itertools.pairwise(borders)]
