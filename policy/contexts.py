"""The token context of every slot: what the policy sees there, and how much of it the cache holds."""

import numpy as np

from policy.context import next_start
from policy.images import PATCH
from policy.ragged import Images, Prompt, Rows
from policy.vectors import VECTOR, merge
from policy.vocabulary import DEFAULT


class Contexts:
    """Tokens as arrays over slots. A context holds whole timesteps of one task, those of its prompt first, so a token's
    column tells its timestep (column // size) and its position within it (column % size).

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
        self.prompt = np.zeros(slots, dtype=np.int64)  # timesteps of the prompt
        self.begun = np.zeros(slots, dtype=bool)  # an episode has begun since the slot was leased
        # Pixels of each patch token stay beside it, because a slide or new weights embed them again. With the first
        # images: uint8 [slots, context, 16, 16, 3] and int16 [slots, context, 2, 2].
        self.pixels: np.ndarray | None = None
        self.intervals: np.ndarray | None = None
        # The same of a vector's numbers: int16 [slots, context, the longest].
        self.bins: np.ndarray | None = None

    def begin(self, rows: Rows) -> None:
        """Episodes begin in the slots of the rows that reset."""
        slots = rows.slots[rows.reset]
        separator = rows.observed + rows.with_return
        self.length[slots] = 0
        self.cached[slots] = 0
        self.step[slots] = -1
        self.start[slots] = 0
        self.size[slots] = (separator + 1 + rows.acting)[rows.reset]
        self.separator[slots] = separator[rows.reset]
        self.prompt[slots] = 0
        self.begun[slots] = True
        for prompt in rows.prompts:
            self._put(rows.slots[prompt.rows], prompt)

    def slide(self, slots: np.ndarray) -> np.ndarray:
        """Makes room for one more timestep by dropping the oldest behind the prompt, as `policy.context` says; what is
        left of the episode is no longer cached. Returns which of the slots had to."""
        fit = self.tokens.shape[1] // self.size[slots] - self.prompt[slots]
        full = slots[self.step[slots] + 1 - self.start[slots] + 1 > fit]
        for slot in full.tolist():
            size, step, before = int(self.size[slot]), int(self.step[slot]) + 1, int(self.start[slot])
            prompt = int(self.prompt[slot])
            start = next_start(before, step, self.tokens.shape[1] // size - prompt, self.attention_steps)
            dropped, length, front = (start - before) * size, int(self.length[slot]), prompt * size
            for part in (self.tokens, self.pixels, self.intervals, self.bins):
                if part is not None:
                    part[slot, front : length - dropped] = part[slot, front + dropped : length].copy()
            self.length[slot], self.start[slot] = length - dropped, start
            self.cached[slot] = min(int(self.cached[slot]), front)
        return full

    def observe(self, rows: Rows) -> None:
        """Appends each row's observation, and the separator where no return token has to stand before it."""
        for images in rows.images:
            slots = rows.slots[images.rows]
            self._keep(slots, self.length[slots], rows.observation[images.rows], images)
        for numbers in rows.numbers:
            slots = rows.slots[numbers.rows]
            self._keep_numbers(slots, self.length[slots], rows.observation[numbers.rows], numbers.bins)
        self.append(rows.slots, rows.observation, rows.observed)
        plain = rows.slots[~rows.with_return]
        self.append(plain, np.full((len(plain), 1), DEFAULT.separator))

    def append(self, slots: np.ndarray, tokens: np.ndarray, count: np.ndarray | None = None) -> None:
        """Appends tokens [n, width] to each slot's context: the first count[i] of them; None: all."""
        index = np.arange(tokens.shape[1])
        if count is None or (count == len(index)).all():
            self.tokens[slots[:, None], self.length[slots][:, None] + index] = tokens
            self.length[slots] += len(index)
            return
        valid = index < count[:, None]  # [n, width]
        row = np.broadcast_to(slots[:, None], valid.shape)
        column = self.length[slots][:, None] + index
        self.tokens[row[valid], column[valid]] = tokens[valid]
        self.length[slots] += count

    def take_back(self, slots: np.ndarray, length: np.ndarray) -> None:
        """Forgets what was appended to these slots behind their first `length` tokens."""
        self.length[slots] = length
        self.cached[slots] = np.minimum(self.cached[slots], length)

    def _put(self, slots: np.ndarray, prompt: Prompt) -> None:
        """Puts a prompt in front of empty contexts."""
        n, steps, size = prompt.tokens.shape
        merged, bins = merge(prompt.tokens.reshape(n * steps, size))
        flat = merged.reshape(n, -1)  # [n, K * places]
        self._keep_numbers(slots, self.length[slots], flat, bins)
        if prompt.pixels is not None and prompt.intervals is not None:
            pixels = prompt.pixels.reshape(n, -1, PATCH, PATCH, 3)  # [n, K * P, 16, 16, 3]
            images = Images(prompt.rows, pixels, np.tile(prompt.intervals, (steps, 1, 1)))
            self._keep(slots, self.length[slots], flat, images)
        self.append(slots, flat)
        self.prompt[slots] = steps

    def _keep(self, slots: np.ndarray, first: np.ndarray, tokens: np.ndarray, images: Images) -> None:
        """Keeps the pixels of patch tokens among tokens [n, width], which will stand in the columns from `first` on."""
        if self.pixels is None or self.intervals is None:
            self.pixels = np.zeros((*self.tokens.shape, PATCH, PATCH, 3), dtype=np.uint8)
            self.intervals = np.zeros((*self.tokens.shape, 2, 2), dtype=np.int16)
        row, column = np.nonzero(tokens == DEFAULT.patch)  # in the order of the patches
        where = slots[row], first[row] + column
        self.pixels[where] = images.pixels.reshape(-1, PATCH, PATCH, 3)
        self.intervals[where] = np.tile(images.intervals, (len(slots), 1, 1))

    def _keep_numbers(self, slots: np.ndarray, first: np.ndarray, tokens: np.ndarray, bins: np.ndarray) -> None:
        """Keeps the numbers [.., V, E] of the vectors among tokens [n, width], which will stand from `first` on."""
        longest = bins.shape[2]
        if longest == 0:
            return
        before = 0 if self.bins is None else self.bins.shape[2]
        if longest > before:
            grown = np.full((*self.tokens.shape, longest), -1, dtype=np.int16)
            if self.bins is not None:
                grown[:, :, :before] = self.bins
            self.bins = grown
        assert self.bins is not None
        row, column = np.nonzero(tokens == VECTOR)  # in the order of the vectors
        where = slots[row], first[row] + column
        self.bins[where] = -1
        self.bins[(*where, slice(longest))] = bins.reshape(-1, longest)
