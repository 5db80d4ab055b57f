"""Requests of any mix of tasks as the rows of one batch, and rows in groups that pad each other little."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from policy.types import ActReply, ActRequest
from policy.vectors import merge
from policy.vocabulary import DEFAULT

SHORT = 8  # rows with at most so many new tokens share a group; beyond, groups double


class Images(NamedTuple):
    """The images of some rows, m of them with P patches each."""

    rows: np.ndarray
    """int64 [m]: which rows."""
    pixels: np.ndarray
    """uint8 [m, P, 16, 16, 3]."""
    intervals: np.ndarray
    """int32 [P, 2, 2]."""


class Numbers(NamedTuple):
    """The numbers of some rows' observations, m of them with V vectors each."""

    rows: np.ndarray
    """int64 [m]: which rows."""
    bins: np.ndarray
    """int16 [m, V, E], as `policy.vectors.merge` returns them."""


class Prompt(NamedTuple):
    """What goes in front of the episodes that begin in r rows: K timesteps each."""

    rows: np.ndarray
    """int64 [r]: which rows."""
    tokens: np.ndarray
    """int32 [r, K, S]."""
    pixels: np.ndarray | None
    """uint8 [r, K, P, 16, 16, 3]."""
    intervals: np.ndarray | None
    """int32 [P, 2, 2]."""


@dataclass
class Rows:
    """The environments of a batch, n of them, in ascending order of their slots; A action tokens in the longest."""

    slots: np.ndarray
    """int64 [n]: the server's slots."""
    reset: np.ndarray
    """bool [n]."""
    observation: np.ndarray
    """int64 [n, longest observation]; the numbers of vectors are merged."""
    observed: np.ndarray
    """int64 [n]: tokens of the observation."""
    acting: np.ndarray
    """int64 [n]: tokens of the action."""
    legal: np.ndarray
    """int64 [n, A, 2]."""
    temperature: np.ndarray
    """float64 [n]."""
    with_return: np.ndarray
    """bool [n]."""
    kappa: np.ndarray
    """float64 [n]."""
    order: np.ndarray
    """int64 [n]: where each row stood in the requests, one after the other."""
    counts: list[int]
    """Environments of each request."""
    images: list[Images]
    """One for each request that has any."""
    numbers: list[Numbers]
    """One for each request that has vectors."""
    prompts: list[Prompt]
    """One for each request that has any."""

    @classmethod
    def gather(cls, requests: Sequence[ActRequest], slots: Sequence[np.ndarray]) -> "Rows":
        """The rows of checked requests; `slots` holds the server's slots for each.

        Raises:
            ValueError: when two of them want actions for the same slot.
        """
        counts = [len(request.slots) for request in requests]
        n = sum(counts)
        seen = [merge(request.tokens) for request in requests]
        observation = np.full((n, max(tokens.shape[1] for tokens, _ in seen)), DEFAULT.pad, dtype=np.int64)
        legal = np.zeros((n, max(len(request.legal) for request in requests), 2), dtype=np.int64)
        at = 0
        for request, count, (tokens, _) in zip(requests, counts, seen, strict=True):
            observation[at : at + count, : tokens.shape[1]] = tokens
            legal[at : at + count, : len(request.legal)] = request.legal
            at += count
        every = np.concatenate(slots)
        order = np.argsort(every, kind="stable")
        if n > 1 and (np.diff(every[order]) == 0).any():
            raise ValueError("two requests of one batch want actions for the same slot")

        def repeated(values: list) -> np.ndarray:
            return np.repeat(values, counts)[order]

        own = np.split(_inverse(order), np.cumsum(counts)[:-1])  # rows of each request
        images = [
            Images(mine, request.patches, request.patch_intervals)
            for request, mine in zip(requests, own, strict=True)
            if request.patches is not None and request.patch_intervals is not None
        ]
        numbers = [Numbers(mine, bins) for (_, bins), mine in zip(seen, own, strict=True) if bins.size]
        prompts = [
            Prompt(mine[request.reset], request.prompt, request.prompt_patches, request.patch_intervals)
            for request, mine in zip(requests, own, strict=True)
            if request.prompt is not None and request.reset.any()
        ]

        return cls(
            slots=every[order],
            reset=np.concatenate([request.reset for request in requests])[order],
            observation=observation[order],
            observed=repeated([tokens.shape[1] for tokens, _ in seen]),
            acting=repeated([len(request.legal) for request in requests]),
            legal=legal[order],
            temperature=repeated([float(request.temperature) for request in requests]),
            with_return=repeated([bool(request.with_return) for request in requests]),
            kappa=repeated([float(request.return_kappa) for request in requests]),
            order=order,
            counts=counts,
            images=images,
            numbers=numbers,
            prompts=prompts,
        )

    def take(self, index: np.ndarray) -> "Rows":
        """Some of the rows, for drawing their actions: without what the contexts have by then."""
        arrays = {name.name: getattr(self, name.name) for name in fields(self)}
        chosen = {name: array[index] for name, array in arrays.items() if isinstance(array, np.ndarray)}
        return replace(self, **chosen, images=[], numbers=[], prompts=[])

    def replies(
        self,
        requests: Sequence[ActRequest],
        tokens: np.ndarray,
        log_probs: np.ndarray,
        context_start: np.ndarray,
        return_tokens: np.ndarray,
        versions: np.ndarray,
    ) -> list[ActReply]:
        """Results of all rows, handed back to the requests in their order."""
        back = _inverse(self.order)
        result, at = [], 0
        for request, count in zip(requests, self.counts, strict=True):
            mine, acting = back[at : at + count], len(request.legal)
            result.append(
                ActReply(
                    tokens=tokens[mine, :acting].astype(np.int32),
                    log_probs=log_probs[mine, :acting].astype(np.float32),
                    versions=versions[mine].astype(np.int32),
                    context_start=context_start[mine].astype(np.int32),
                    return_tokens=return_tokens[mine].astype(np.int32),
                )
            )
            at += count
        return result


def _inverse(order: np.ndarray) -> np.ndarray:
    """Where each element of a permutation went."""
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return back


def padded(count: int) -> int:
    """`count` rounded up to a quarter of a power of two: 1 to 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, ...

    Kernels for bfloat16 on CPUs are compiled for each new shape, which takes longer than running them; so rows and new
    tokens of a forward pass come in few sizes.
    """
    step = max(1, 1 << max(0, (count - 1).bit_length() - 3))
    return -(-count // step) * step


def groups(new: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """Indices of rows that share a forward pass: alike in how many new tokens they have, so that a row that needs its
    whole context does not pad the others.

    Args:
        new: int64 [n], at least 1 each.
        tokens: of one pass, at most (one row excepted).
    """
    level = np.ceil(np.log2(np.maximum(new / SHORT, 1.0))).astype(np.int64)
    for value in np.unique(level):
        index = np.flatnonzero(level == value)
        rows = max(1, tokens // (SHORT << int(value)))
        for at in range(0, len(index), rows):
            yield index[at : at + rows]


def passes(new: np.ndarray, tokens: int) -> Iterator[list[np.ndarray]]:
    """`groups` that share a forward pass, together at most `tokens` of them with padding (one group excepted)."""
    together: list[np.ndarray] = []
    room = tokens
    for index in groups(new, tokens):
        cost = padded(len(index)) * padded(int(new[index].max()))
        if together and cost > room:
            yield together
            together, room = [], tokens
        together.append(index)
        room -= cost
    yield together
