"""Windows side by side as torch tensors: what an update reads."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from policy.images import PATCH
from policy.patches import Patches
from policy.returns import ReturnScale
from policy.vector_embedding import Vectors
from policy.vectors import VECTOR, merge, places
from policy.vocabulary import DEFAULT
from replay.trajectory import Trajectory


@dataclass
class Batch:
    """B windows, T tokens and N steps in the longest; M action tokens, R return tokens and K patches in all of them.

    Flat indices point into [B * T] (tokens) or [B * N] (steps). A prompt stands in front of its window as earlier
    timesteps of the same context; N counts the window's own steps only.
    """

    tokens: torch.Tensor
    """int64 [B, T], padded with the pad token."""
    position: torch.Tensor
    """int64 [B, T]: index within the timestep; -1 marks an action token."""
    timestep: torch.Tensor
    """int64 [B, T]: timestep within the context, the prompt's first; the tail is one more; -1 is padding."""
    prompt: torch.Tensor | None
    """int64 [B]: so many timesteps at the front are the prompt's; None: no window has one."""
    patches: Patches
    """The images that the patch tokens stand for."""
    vectors: Vectors
    """The numbers of observations that share a token."""
    separator: torch.Tensor
    """int64 [B, N + 1]: column of each step's separator, the tail's at the window's length; 0 past it."""
    last_action: torch.Tensor
    """int64 [B, N]: column of each step's last action token; 0 past the window's length."""
    length: torch.Tensor
    """int64 [B]: steps."""
    loss: torch.Tensor
    """bool [B, N]: steps that have a loss: neither padding nor burn-in."""
    rewards: torch.Tensor
    """float32 [B, N]."""
    returns_to_go: torch.Tensor
    """float32 [B, N]; NaN where unknown."""
    terminated: torch.Tensor
    """bool [B, N]: nothing follows this step."""
    log_probs: torch.Tensor
    """float32 [B, N]: of the whole action when it was drawn; NaN for demonstrations."""
    action_at: torch.Tensor
    """int64 [M]: flat index of the token before an action token, where that token is predicted."""
    action_token: torch.Tensor
    """int64 [M]: the action token, never padding."""
    action_range: torch.Tensor
    """int64 [M, 2]: its legal half-open range."""
    action_step: torch.Tensor
    """int64 [M]: flat index of its step; for a prompt's action, of the first step of its window that has a loss."""
    return_at: torch.Tensor
    """int64 [R]: flat index of the token before a return token; R is 0 without return tokens."""
    return_token: torch.Tensor
    """int64 [R]."""
    return_step: torch.Tensor
    """int64 [R]: flat index of its step."""
    online: torch.Tensor
    """bool [B]: recorded by our own policy."""
    episode_return: torch.Tensor
    """float32 [B]: of the whole episode; NaN while it runs."""
    tasks: list[str]
    """Task of each window."""
    origin: list[str]
    """Where each window came from, for messages."""

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        moved: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            moved[field.name] = value
            if isinstance(value, torch.Tensor):
                moved[field.name] = value.to(device, non_blocking=True)
            elif isinstance(value, Patches | Vectors):
                moved[field.name] = value.to(device)
        return Batch(**moved)


def collate(
    windows: Sequence[Trajectory],
    return_scales: dict[str, ReturnScale] | None = None,
    acted_returns: bool = False,
    prompt_loss: bool = False,
) -> Batch:
    """Pads windows to one batch.

    Args:
        windows: at least one.
        return_scales: given, a return token stands after each observation: the return achieved from that step on, in
            the scale of the window's task. Windows whose return is still unknown must not be given then. Prompts are
            left out: their steps hold no return token.
        acted_returns: take the return tokens that were acted on instead of the returns achieved.
        prompt_loss: the action tokens of prompts have a loss too.
    """
    with_return = return_scales is not None or acted_returns
    extra = int(with_return)
    rows = len(windows)
    steps = max(len(window) for window in windows)
    prompts = [0 if with_return else len(window.prompt) for window in windows]
    width = max(
        (before + len(w)) * (places(w.tokens[0]) + extra) + places(w.tail) + extra
        for w, before in zip(windows, prompts, strict=True)
    )
    tokens = np.full((rows, width), DEFAULT.pad, dtype=np.int64)
    position = np.zeros((rows, width), dtype=np.int64)
    timestep = np.full((rows, width), -1, dtype=np.int64)
    separator = np.zeros((rows, steps + 1), dtype=np.int64)
    last_action = np.zeros((rows, steps), dtype=np.int64)
    loss = np.zeros((rows, steps), dtype=bool)
    rewards = np.zeros((rows, steps), dtype=np.float32)
    to_go = np.full((rows, steps), np.nan, dtype=np.float32)
    terminated = np.zeros((rows, steps), dtype=bool)
    log_probs = np.full((rows, steps), np.nan, dtype=np.float32)
    at, target, legal, action_step = [], [], [], []
    return_at, return_token, return_step = [], [], []
    pixels, patch_at, intervals = [], [], []
    numbers, vector_at = [], []
    for row, (window, before) in enumerate(zip(windows, prompts, strict=True)):
        n, acting = len(window), window.action_tokens
        total = before + n
        recorded = len(window.tail) - 1
        prompt = window.prompt[:before] if before else window.tokens[:0]
        seen = [prompt[:, :recorded], window.tokens[:, :recorded], window.tail[None, :recorded]]
        observation, bins = merge(np.concatenate(seen))  # [prompt + steps + tail, places]
        observed = observation.shape[1]
        size = observed + extra + 1 + acting
        used = total * size + observed + extra + 1
        block = np.full((total + 1, size), DEFAULT.pad, dtype=np.int64)  # [prompt + steps + tail, tokens a step]
        block[:, :observed] = observation
        block[:, observed + extra] = DEFAULT.separator
        block[:total, observed + extra + 1 :] = np.concatenate([prompt, window.tokens])[:, recorded + 1 :]
        if with_return:
            block[:n, observed] = _return_tokens(window, return_scales, acted_returns)
            block[n, observed] = block[n - 1, observed]
        tokens[row, :used] = block.reshape(-1)[:used]
        within = np.arange(size)
        within[observed + extra + 1 :] = -1
        position[row, :used] = np.tile(within, total + 1)[:used]
        timestep[row, :used] = np.repeat(np.arange(total + 1), size)[:used]
        begins = np.arange(before, total + 1) * size  # [steps + tail]
        separator[row, : n + 1] = begins + observed + extra
        last_action[row, :n] = begins[:n] + size - 1
        loss[row, window.burn_in : n] = True
        rewards[row, :n] = window.rewards
        to_go[row, :n] = window.returns_to_go
        terminated[row, n - 1] = window.terminated
        log_probs[row, :n] = window.log_probs.sum(axis=1)
        acted = np.arange(window.burn_in, n)
        trained = np.concatenate([np.arange(before if prompt_loss else 0), before + acted])  # timesteps of the context
        predicted = trained[:, None] * size + observed + extra + np.arange(acting)  # [loss timesteps, action tokens]
        tokens_there = block[trained, observed + extra + 1 :]
        real = np.flatnonzero(tokens_there != DEFAULT.pad)  # texts are padded
        at.append(row * width + predicted.reshape(-1)[real])
        target.append(tokens_there.reshape(-1)[real])
        legal.append(window.legal[real % acting])
        action_step.append(row * steps + np.maximum(trained[real // acting] - before, window.burn_in))
        if with_return and observed:  # texts have nothing before it that could predict it
            return_at.append(row * width + begins[acted] + observed - 1)
            return_token.append(block[acted, observed])
            return_step.append(row * steps + acted)
        if len(window.tail_patches):
            patch_at.append(row * width + _columns(observation, DEFAULT.patch, size))
            images = [window.prompt_patches] if before else []
            pixels += [part.reshape(-1, PATCH, PATCH, 3) for part in (*images, window.patches, window.tail_patches)]
            intervals.append(np.tile(window.patch_intervals, (total + 1, 1, 1)))

        if bins.size:
            vector_at.append(row * width + _columns(observation, VECTOR, size))
            numbers.append(bins.reshape(-1, bins.shape[2]))

    longest = max((part.shape[1] for part in numbers), default=0)
    numbers = [np.pad(part, ((0, 0), (0, longest - part.shape[1])), constant_values=-1) for part in numbers]
    numbers = numbers or [np.zeros((0, 0), dtype=np.int16)]

    def joined(parts: list[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(parts).astype(np.int64)) if parts else torch.zeros(0, dtype=torch.int64)

    return Batch(
        tokens=torch.from_numpy(tokens),
        position=torch.from_numpy(position),
        timestep=torch.from_numpy(timestep),
        prompt=torch.tensor(prompts) if any(prompts) else None,
        patches=Patches(
            torch.from_numpy(np.concatenate(pixels) if pixels else np.zeros((0, PATCH, PATCH, 3), dtype=np.uint8)),
            joined(patch_at),
            joined(intervals).reshape(-1, 2, 2),
        ),
        vectors=Vectors(joined(numbers), joined(vector_at)),
        separator=torch.from_numpy(separator),
        last_action=torch.from_numpy(last_action),
        length=torch.tensor([len(window) for window in windows]),
        loss=torch.from_numpy(loss),
        rewards=torch.from_numpy(rewards),
        returns_to_go=torch.from_numpy(to_go),
        terminated=torch.from_numpy(terminated),
        log_probs=torch.from_numpy(log_probs),
        action_at=joined(at),
        action_token=joined(target),
        action_range=joined(legal),
        action_step=joined(action_step),
        return_at=joined(return_at),
        return_token=joined(return_token),
        return_step=joined(return_step),
        online=torch.tensor([bool(window.source) for window in windows]),
        episode_return=torch.tensor([window.episode_return for window in windows]),
        tasks=[window.task for window in windows],
        origin=[
            f"{window.task} episode {window.episode} of actor {window.actor}, steps {window.first_step}.."
            f"{window.first_step + len(window) - 1}"
            for window in windows
        ],
    )


def _columns(observation: np.ndarray, token: int, size: int) -> np.ndarray:
    """Where a token stands in timesteps of so many places, given their observations [n, places]: int64, flat."""
    column = np.flatnonzero(observation[0] == token)
    return (np.arange(len(observation))[:, None] * size + column).reshape(-1)


def _return_tokens(window: Trajectory, scales: dict[str, ReturnScale] | None, acted: bool) -> np.ndarray:
    if acted:
        return window.return_tokens
    assert scales is not None
    return scales[window.task].to_bins(window.returns_to_go) + DEFAULT.returns.start
