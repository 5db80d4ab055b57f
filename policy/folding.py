"""Tokens without padding, in rows of their own: timesteps, where tokens see no more than a few, or whole windows.

Where there are kernels of our own for it, `policy.native_attention` does this.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from policy.attention import attention
from policy.rotary import Turn


@dataclass(frozen=True)
class Near:
    """What the runs of one part see beside themselves."""

    keys: torch.Tensor
    """int64 [runs, S]: the S tokens up to each run's end, as places among the fold's K; a token of the run itself in
    place of those that none of it sees."""
    mask: torch.Tensor
    """bool [runs, 1, size, S]: which of them each token sees."""


@dataclass(frozen=True)
class Fold:
    """K tokens, padding left out, sorted so that runs (timesteps or windows) of one size stand side by side."""

    index: torch.Tensor
    """int64 [K]: flat places of the tokens in [B * T]."""
    place: torch.Tensor
    """int64 [K]: of each token in its window."""
    parts: list[tuple[int, int]]
    """(runs, tokens in each), one after the other. Tokens see the earlier ones of their own run."""
    near: list[Near] | None = None
    """Of each part, where tokens see other runs too."""
    masks: Sequence[torch.Tensor] | None = None
    """Of each part, bool [runs, 1, size, size] (True: may attend), where tokens see not all earlier ones."""

    def starts(self) -> list[torch.Tensor]:
        """int64 [runs] of each part: flat places at which its runs start."""
        whole = self.index.split([runs * size for runs, size in self.parts])
        return [each[::size] for each, (_, size) in zip(whole, self.parts, strict=True)]

    def attend(self, joint: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int) -> torch.Tensor:
        """softmax(query key^T / sqrt(key size)) value, queries and keys turned by rotary positions.

        Args:
            joint: [K, 3 width]: queries, keys and values of all heads; written to.
            cos, sin: of each token, [K, 1, 1, key / 2].
            heads: of the policy.

        Returns:
            [K, width].
        """
        count, width = len(joint), joint.shape[1] // 3
        joint = Turn.apply(joint, cos, sin, heads)
        q, k, v = joint.view(count, 3, heads, width // heads).unbind(1)  # each [K, heads, key]
        # All parts are taken at once: each slice alone would fill and add a whole tensor on its way back.
        sizes = [runs * size for runs, size in self.parts]
        seen = [(size, None if self.masks is None else self.masks[part]) for part, (_, size) in enumerate(self.parts)]
        keys = sizes
        if self.near is not None:
            every_key = torch.cat([one.keys.flatten() for one in self.near])
            k, v = k.index_select(0, every_key), v.index_select(0, every_key)
            keys = [one.keys.numel() for one in self.near]
            seen = [(one.keys.shape[1], one.mask) for one in self.near]
        attended = []
        for (runs, size), (reach, mask), of_q, of_k, of_v in zip(
            self.parts, seen, q.split(sizes), k.split(keys), v.split(keys), strict=True
        ):
            query = of_q.view(runs, size, heads, -1).transpose(1, 2)  # [runs, heads, size, key]
            key, value = (each.view(runs, reach, heads, -1).transpose(1, 2) for each in (of_k, of_v))
            one = attention(query, key, value, mask)  # keys and values [runs, heads, S, key]
            attended.append(one.transpose(1, 2).reshape(runs * size, width))
        return torch.cat(attended)


def fold(timestep: torch.Tensor) -> Fold:
    """Where the tokens of a batch go.

    Args:
        timestep: int64 [B, T]: step within the window, neighbours differing where a step ends; -1 is padding.
    """
    rows, width = timestep.shape
    flat = timestep.reshape(-1)
    begins = torch.ones_like(timestep, dtype=torch.bool)
    begins[:, 1:] = timestep[:, 1:] != timestep[:, :-1]
    starts = torch.nonzero(begins.reshape(-1)).squeeze(1)  # [timesteps and paddings]
    ends = torch.cat([starts[1:], starts.new_tensor([rows * width])])
    real = flat[starts] >= 0
    return _sorted(starts[real], (ends - starts)[real], width)


def fold_windows(timestep: torch.Tensor) -> Fold:
    """As `fold`, whole windows instead of timesteps: none is padded to the length of another.

    Args:
        timestep: int64 [B, T]; -1 is padding, at the end of each row.
    """
    rows, width = timestep.shape
    starts = torch.arange(rows, device=timestep.device) * width
    return _sorted(starts, (timestep >= 0).sum(1), width)


def fold_near(timestep: torch.Tensor, steps: int) -> Fold:
    """As `fold`, where tokens also see the `steps` timesteps before their own."""
    rows, width = timestep.shape
    found = fold(timestep)
    starts = torch.cat(found.starts())
    # The timesteps in the order in which they stand in their windows, to count back from each.
    order = starts.argsort()
    there = starts[order]
    row = there // width
    first = torch.searchsorted(row, row)  # of the same window
    number = torch.arange(len(there), device=there.device)
    back = torch.empty_like(starts)
    back[order] = there - there[torch.maximum(number - steps, first)]  # tokens of the timesteps before
    within = torch.zeros(rows * width, dtype=torch.int64, device=timestep.device)
    within[found.index] = torch.arange(len(found.index), device=timestep.device)
    near, at = [], 0
    for runs, size in found.parts:
        begin, reach = starts[at : at + runs, None], back[at : at + runs]
        offset = torch.arange(-int(reach.max()), size, device=timestep.device)  # [S], from the run's first token
        within_reach = offset >= -reach[:, None]  # [runs, S]
        keys = within[begin + offset * within_reach]
        own = torch.arange(size, device=timestep.device)
        mask = (offset <= own[:, None]) & within_reach[:, None]  # [runs, size, S]
        near.append(Near(keys, mask.unsqueeze(1)))
        at += runs
    return Fold(found.index, found.place, found.parts, near)


def _sorted(starts: torch.Tensor, sizes: torch.Tensor, width: int) -> Fold:
    """Runs of tokens, int64 [n] each: where they start in [B * T], and how many they are."""
    index, parts = [], []
    for size in torch.unique(sizes).tolist():
        first = starts[sizes == size]
        index.append((first.unsqueeze(1) + torch.arange(size, device=starts.device)).reshape(-1))
        parts.append((len(first), size))
    every = torch.cat(index)
    return Fold(every, every % width, parts)
