"""What contexts have and caches lack, as kernels of our own take it: row after row, each as long as it is."""

from typing import NamedTuple

import numpy as np
import torch

from policy.contexts import Contexts
from policy.patches import Patches
from policy.ragged import padded
from policy.vector_embedding import Vectors
from policy.vectors import VECTOR
from policy.vocabulary import DEFAULT


class NewTokens(NamedTuple):
    """The new tokens of B rows, N with padding, which stands at the end."""

    tokens: torch.Tensor
    """int64 [N]."""
    position: torch.Tensor
    """int64 [N]: positions within the timestep; -1: an action."""
    columns: torch.Tensor
    """int64 [N]: places in the context."""
    slots: np.ndarray
    """int64 [N - padding]: whose they are."""
    rows: torch.Tensor
    """int64 [6, B], as `policy.native.Kernels.attend` wants them."""
    last: torch.Tensor
    """int64 [B and padding]: each row's last token."""

    @classmethod
    def of(cls, contexts: Contexts, slots: np.ndarray) -> "NewTokens":
        """Those of these slots, int64 [B]."""
        cached, size = contexts.cached[slots], contexts.size[slots]
        new = contexts.length[slots] - cached
        ends = np.cumsum(new)
        first, count = ends - new, int(ends[-1])
        row = np.repeat(np.arange(len(slots)), new)  # [N]
        column = np.arange(count) + (cached - first)[row]
        within = column % size[row]
        # Kernels of bfloat16 products are compiled for each new shape, so there are few.
        flat = np.zeros((3, padded(count)), dtype=np.int64)
        flat[0, count:] = DEFAULT.pad
        flat[0, :count] = contexts.tokens[slots[row], column]
        flat[1, :count] = np.where(within > contexts.separator[slots][row], -1, within)
        flat[2, :count] = column
        last = np.zeros(padded(len(slots)), dtype=np.int64)
        last[: len(slots)] = ends - 1
        rows = np.stack([slots, first, new, cached, size, contexts.prompt[slots]])
        whole = torch.from_numpy(flat)
        return cls(whole[0], whole[1], whole[2], slots[row], torch.from_numpy(rows), torch.from_numpy(last))


def patches_among(contexts: Contexts, tokens: np.ndarray, slots: np.ndarray, columns: np.ndarray) -> Patches | None:
    """Images of the patch tokens among tokens [N] of these slots and columns [N]; None where there are none."""
    pixels, intervals = contexts.pixels, contexts.intervals
    if pixels is None or intervals is None:
        return None
    at = np.flatnonzero(tokens == DEFAULT.patch)
    if not len(at):
        return None
    where = slots[at], columns[at]
    parts = pixels[where], at, intervals[where].astype(np.int64)
    return Patches(*(torch.from_numpy(part) for part in parts))


def vectors_among(contexts: Contexts, tokens: np.ndarray, slots: np.ndarray, columns: np.ndarray) -> Vectors | None:
    """Vectors of numbers among tokens [N] of these slots and columns [N]; None where there are none."""
    if contexts.bins is None:
        return None
    at = np.flatnonzero(tokens == VECTOR)
    if not len(at):
        return None
    bins = contexts.bins[slots[at], columns[at]].astype(np.int64)
    return Vectors(torch.from_numpy(bins), torch.from_numpy(at))
