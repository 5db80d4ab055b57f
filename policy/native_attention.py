"""Attention in training by kernels of our own (`policy/native_attention.c`), where the machine has a C compiler.

Windows of any lengths lie side by side without padding. Whatever a token may see (its context, a few timesteps, its
own, a prompt) is told by one number for each, so no masks are made; scores are never kept, but computed again for the
gradient.
"""

import ctypes
import functools
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from policy import native
from policy.config import PolicyConfig


@dataclass(frozen=True)
class Runs:
    """K tokens, padding left out, window after window."""

    index: torch.Tensor
    """int64 [K]: flat places of the tokens in [B * T]."""
    place: torch.Tensor
    """int64 [K]: of each token in its window."""
    starts: torch.Tensor
    """int64 [B + 1]: where each window begins among the K, and the end."""
    first: torch.Tensor
    """int64 [K]: the first place in its window that each token sees, never less than that of the one before."""
    prompts: torch.Tensor
    """int64 [B]: so many tokens at the front of each window are seen by all behind them as well."""

    def attend(self, joint: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int) -> torch.Tensor:
        """softmax(query key^T / sqrt(key size)) value, queries and keys turned by rotary positions.

        Args:
            joint: [K, 3 width], float32 or bfloat16: queries, keys and values of all heads.
            cos, sin: of each token, float32 [K, 1, 1, key / 2].
            heads: of the policy.

        Returns:
            [K, width].
        """
        return _Attention.apply(joint, cos, sin, self, heads)


def runs(timestep: torch.Tensor, steps: int | None, prompt: torch.Tensor | None) -> Runs:
    """The tokens of a batch.

    Args:
        timestep: int64 [B, T]: step within the window; -1 is padding, at the end of each row.
        steps: how many earlier timesteps a token sees; None: all.
        prompt: int64 [B]: so many timesteps at each row's front are seen by all; None: no prompts.
    """
    rows, width = timestep.shape
    real = timestep >= 0
    index = torch.nonzero(real.reshape(-1)).squeeze(1)
    place = index % width
    starts = torch.cat([index.new_zeros(1), real.sum(1).cumsum(0)])
    prompts = index.new_zeros(rows)
    if steps is None:
        return Runs(index, place, starts, torch.zeros_like(index), prompts)
    if prompt is not None:
        prompts = (real & (timestep < prompt[:, None])).sum(1)
    begins = torch.ones_like(real)
    begins[:, 1:] = timestep[:, 1:] != timestep[:, :-1]
    begins = begins.reshape(-1)[index]  # [K]: whether a timestep begins
    number = begins.cumsum(0) - 1  # [K], over all windows
    begun = place[begins]  # [timesteps]: their first places
    row = (index // width)[begins]
    earliest = torch.searchsorted(row, row)  # [timesteps]: the first one of the same window
    seen = torch.maximum(torch.arange(len(row)) - steps, earliest)
    return Runs(index, place, starts, begun[seen][number], prompts)


def available(config: PolicyConfig, weight: torch.Tensor) -> bool:
    """Whether these kernels can train such a policy, given one of its weights."""
    whole = (config.width // config.heads) % native.LANES == 0
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and whole and _kernels() is not None


class _Attention(torch.autograd.Function):
    """As `Runs.attend`."""

    @staticmethod
    def forward(
        ctx: Any, joint: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, runs: Runs, heads: int
    ) -> torch.Tensor:
        joint = joint.contiguous()
        ctx.save_for_backward(joint, cos, sin)
        ctx.runs, ctx.heads = runs, heads
        out = joint.new_empty(len(joint), joint.shape[1] // 3)
        _run(joint, None, out, cos, sin, runs, heads)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
        joint, cos, sin = ctx.saved_tensors
        out = torch.empty_like(joint)
        _run(joint, gradient.contiguous(), out, cos, sin, ctx.runs, ctx.heads)
        return out, None, None, None, None


def _run(
    joint: torch.Tensor,
    gradient: torch.Tensor | None,
    out: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    runs: Runs,
    heads: int,
) -> None:
    """The way there into out [K, width], or with a gradient [K, width] the way back into out [K, 3 width], by as many
    threads as PyTorch has."""
    kernels = _kernels()
    assert kernels is not None
    angles = [each.reshape(len(joint), -1).contiguous() for each in (cos, sin)]
    key = joint.shape[1] // 3 // heads
    # Else they would read what is not there.
    assert angles[0].dtype == angles[1].dtype == torch.float32
    assert angles[0].shape == angles[1].shape == (len(joint), key // 2)
    assert len(runs.first) == len(joint) == int(runs.starts[-1])
    assert gradient is None or gradient.dtype == joint.dtype
    kernel = kernels[joint.dtype]

    def part(begin: int, end: int) -> int:
        return kernel(
            joint.data_ptr(),
            None if gradient is None else gradient.data_ptr(),
            out.data_ptr(),
            *(each.data_ptr() for each in angles),
            runs.starts[begin:].data_ptr(),
            runs.first.data_ptr(),
            runs.prompts[begin:].data_ptr(),
            end - begin,
            heads,
            key,
        )

    shares = _shares(runs.starts, torch.get_num_threads())
    failed = part(*shares[0]) if len(shares) == 1 else any(_pool(len(shares)).map(lambda share: part(*share), shares))
    if failed:
        raise MemoryError("training: no memory for attention")


def _shares(starts: torch.Tensor, threads: int) -> list[tuple[int, int]]:
    """Windows [begin, end) of each thread, so that each has about the same to do."""
    count = len(starts) - 1
    if threads == 1:
        return [(0, count)]
    work = starts.diff().double().square().cumsum(0)
    wanted = work[-1] * torch.arange(1, threads) / threads
    bounds = [0, *torch.searchsorted(work, wanted).tolist(), count]
    return [(begin, end) for begin, end in itertools.pairwise(bounds) if begin < end]


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="attention")


def _kernels() -> dict[torch.dtype, Any] | None:
    """By number format; None where there are none."""
    return native.by_format("attention", (ctypes.c_void_p,) * 8 + (ctypes.c_int64,) * 3, ctypes.c_int)
