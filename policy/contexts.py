"""The token context of every slot: what the policy sees there, and how much of it the cache holds."""

import numpy as np

from policy.context import next_start
from policy.ragged import Rows
from policy.vocabulary import DEFAULT


class Contexts:
    """Tokens as arrays over slots. A context holds whole timesteps of one task, so a token's column tells its timestep
    (column // size) and its position within it (column % size).

    Args:
        slots: how many.
        context: tokens in each, at most (L).
        attention_steps: as in `PolicyConfig`.
    """

    def __init__(self, slots: int, context: int, attention_steps: int | None):
        self.attention_steps = attention_steps
        self.tokens = np.full((slots, context), DEFAULT.pad, dtype=np.int64)
        self.length = np.zeros(slots, dtype=np.int64)  # tokens in the context
        self.cached = np.zeros(slots, dtype=np.int64)  # so many of them are in the cache
        self.step = np.full(slots, -1, dtype=np.int64)  # step of the episode that was acted on last
        self.start = np.zeros(slots, dtype=np.int64)  # step of the episode at which the context begins
        self.size = np.ones(slots, dtype=np.int64)  # tokens of a timestep
        self.separator = np.zeros(slots, dtype=np.int64)  # index of the separator within the timestep
        self.begun = np.zeros(slots, dtype=bool)  # an episode has begun since the slot was leased

    def begin(self, slots: np.ndarray, size: np.ndarray, separator: np.ndarray) -> None:
        """Episodes begin in these slots, with timesteps of `size` tokens; all int64 [n]."""
        self.length[slots] = 0
        self.cached[slots] = 0
        self.step[slots] = -1
        self.start[slots] = 0
        self.size[slots] = size
        self.separator[slots] = separator
        self.begun[slots] = True

    def slide(self, slots: np.ndarray) -> int:
        """Makes room for one more timestep by dropping the oldest, as `policy.context` says; what is left is no longer
        cached. Returns how many of the slots had to."""
        context = self.tokens.shape[1]
        full = slots[self.step[slots] + 1 - self.start[slots] + 1 > context // self.size[slots]]
        for slot in full.tolist():
            size, step, before = int(self.size[slot]), int(self.step[slot]) + 1, int(self.start[slot])
            start = next_start(before, step, context // size, self.attention_steps)
            dropped, length = (start - before) * size, int(self.length[slot])
            self.tokens[slot, : length - dropped] = self.tokens[slot, dropped:length].copy()
            self.length[slot], self.cached[slot], self.start[slot] = length - dropped, 0, start
        return len(full)

    def observe(self, rows: Rows) -> None:
        """Appends each row's observation, and the separator where no return token has to stand before it."""
        self.append(rows.slots, rows.observation, rows.observed)
        plain = rows.slots[~rows.with_return]
        self.append(plain, np.full((len(plain), 1), DEFAULT.separator))

    def append(self, slots: np.ndarray, tokens: np.ndarray, count: np.ndarray | int = 1) -> None:
        """Appends the first count[i] of tokens [n, width] to each slot's context."""
        index = np.arange(tokens.shape[1])
        valid = index < np.broadcast_to(count, len(slots))[:, None]  # [n, width]
        row = np.broadcast_to(slots[:, None], valid.shape)
        column = self.length[slots][:, None] + index
        self.tokens[row[valid], column[valid]] = tokens[valid]
        self.length[slots] += count
