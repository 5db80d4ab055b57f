"""How a task's spaces become the tokens of one timestep, and back.

A timestep is: observation (text, then image patches, then tensors; keys in lexicographic order), [return], separator,
action (Gato, arXiv 2205.06175, section 2.2). Every timestep of a task has the same number of tokens.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from policy import continuous
from policy.errors import TokenError
from policy.spaces import Description, build, leaves, pick, refuse
from policy.text import TextTokenizer
from policy.vocabulary import DEFAULT, VOCABULARIES, Vocabulary

TEXT_TOKENS = 32  # room for one text leaf, in tokens; shorter texts are padded


@dataclass(frozen=True)
class Leaf:
    """One part of a space: `size` tokens in the order of the flattened (row-major) array."""

    name: str
    kind: str  # "text", "continuous" or "discrete"
    shape: tuple[int, ...]
    size: int
    low: np.ndarray  # float64 [size]; bounds, or the least integer
    high: np.ndarray  # float64 [size]; bounds, or one above the greatest integer
    companded: bool  # mu-law on the way in: observations outside [-1, 1]
    dtype: str


class Layout:
    """The timestep layout of one task.

    Args:
        task: the task's name, for messages.
        observation, action: descriptions as in `policy.spaces`.
        action_bins: uniform bins of a continuous action.
        vocabulary: which ids mean what.
        text: tokenizer for text leaves; needed only where the observation holds text.

    Raises:
        SpaceError: for a space that cannot become tokens, named with its key and the reason.
    """

    def __init__(
        self,
        task: str,
        observation: Description,
        action: Description,
        action_bins: int = continuous.BINS,
        vocabulary: Vocabulary = DEFAULT,
        text: TextTokenizer | None = None,
    ):
        self.task = task
        self.observation = observation
        self.action = action
        self.action_bins = action_bins
        self.vocabulary = vocabulary
        self.text = text
        found = [_leaf(task, name, space, acting=False) for name, space in leaves(observation)]
        # Stable sort: text before tensors, lexicographic within each.
        self.observation_leaves = sorted(found, key=lambda leaf: leaf.kind != "text")
        self.action_leaves = [_leaf(task, name, space, acting=True) for name, space in leaves(action)]
        if not found or not self.action_leaves:
            raise refuse(task, "", "it holds nothing")
        if any(leaf.kind == "text" for leaf in found) and text is None:
            raise refuse(task, "", "it holds text, and no text tokenizer was given")

    @cached_property
    def observation_tokens(self) -> int:
        return sum(leaf.size for leaf in self.observation_leaves)

    @cached_property
    def action_tokens(self) -> int:
        return sum(leaf.size for leaf in self.action_leaves)

    @property
    def step_tokens(self) -> int:
        """Tokens of a whole timestep, without a return token."""
        return self.observation_tokens + 1 + self.action_tokens

    @cached_property
    def legal(self) -> np.ndarray:
        """Half-open range of legal ids for each action token. int32 [action_tokens, 2]."""
        rows = []
        for leaf in self.action_leaves:
            for index in range(leaf.size):
                if leaf.kind == "continuous":
                    start, count = self.vocabulary.continuous.start, self.action_bins
                else:
                    start, count = self.vocabulary.discrete.start, int(leaf.high[index] - leaf.low[index])
                rows.append((start, start + count))
        return np.asarray(rows, dtype=np.int32)

    def encode_observation(self, observation: Any) -> np.ndarray:
        """A batch of observations to tokens.

        Args:
            observation: the space's nesting, each leaf stacked along a first axis of n (text: a sequence of n strings).

        Returns:
            int32 [n, observation_tokens].

        Raises:
            TokenError: NaN, infinity, or an integer outside its space, named with task, key and row.
        """
        columns = []
        for leaf in self.observation_leaves:
            value = pick(observation, leaf.name)
            columns.append(self._text(leaf, value) if leaf.kind == "text" else self._encode(leaf, value))
        return np.concatenate(columns, axis=1)

    def encode_action(self, action: Any) -> np.ndarray:
        """A batch of actions (nesting as the space, leaves stacked along n) to tokens, int32 [n, action_tokens].

        Raises:
            TokenError: as `encode_observation`.
        """
        return np.concatenate(
            [self._encode(leaf, pick(action, leaf.name), True) for leaf in self.action_leaves], axis=1
        )

    def decode_action(self, tokens: np.ndarray) -> Any:
        """Tokens [n, action_tokens] to actions, nested as the space, leaves stacked along n.

        Raises:
            TokenError: on an id outside the legal range of its position.
        """
        tokens = np.asarray(tokens)
        legal = self.legal
        if tokens.shape[1:] != (self.action_tokens,):
            raise TokenError(f"{self.task}: actions have {self.action_tokens} tokens, got shape {tokens.shape}")
        wrong = (tokens < legal[:, 0]) | (tokens >= legal[:, 1])
        if wrong.any():
            row, position = np.argwhere(wrong)[0]
            raise TokenError(
                f"{self.task}: action token {position} of row {row} is {tokens[row, position]}, "
                f"legal are [{legal[position, 0]}, {legal[position, 1]})"
            )
        parts, at = {}, 0
        for leaf in self.action_leaves:
            bins = tokens[:, at : at + leaf.size] - legal[at : at + leaf.size, 0]
            if leaf.kind == "continuous":
                unit = continuous.to_values(bins, self.action_bins)
                value = leaf.low + (unit + 1.0) / 2.0 * (leaf.high - leaf.low)
            else:
                value = bins + leaf.low
            parts[leaf.name] = value.reshape(len(tokens), *leaf.shape).astype(leaf.dtype)
            at += leaf.size
        return build(self.action, parts)

    def _encode(self, leaf: Leaf, value: Any, acting: bool = False) -> np.ndarray:
        flat = np.asarray(value, dtype=np.float64)
        flat = flat.reshape(len(flat), -1)  # [n, size]
        if flat.shape[1] != leaf.size:
            raise TokenError(f"{self._where(leaf)}: expected shape {leaf.shape} a step, got {np.shape(value)[1:]}")
        if not np.isfinite(flat).all():
            row, column = np.argwhere(~np.isfinite(flat))[0]
            raise TokenError(f"{self._where(leaf)}: {flat[row, column]} at element {column} of environment {row}")
        if leaf.kind == "discrete":
            if ((flat < leaf.low) | (flat >= leaf.high) | (flat != np.floor(flat))).any():
                raise TokenError(f"{self._where(leaf)}: {flat.min()}..{flat.max()} leaves its space")
            return (flat - leaf.low).astype(np.int32) + self.vocabulary.discrete.start
        bins = self.action_bins if acting else continuous.BINS
        if acting:
            flat = (flat - leaf.low) / (leaf.high - leaf.low) * 2.0 - 1.0
        elif leaf.companded:
            flat = continuous.mu_law(flat)
        return continuous.to_bins(flat, bins) + self.vocabulary.continuous.start

    def _text(self, leaf: Leaf, value: Any) -> np.ndarray:
        assert self.text is not None
        result = np.full((len(value), leaf.size), self.vocabulary.pad, dtype=np.int32)
        for row, text in enumerate(value):
            ids = self.text.encode(str(text))
            if len(ids) > leaf.size:
                raise TokenError(f"{self._where(leaf)}: text of {len(ids)} tokens, room for {leaf.size}: {text!r:.80}")
            result[row, : len(ids)] = ids
        return result

    def _where(self, leaf: Leaf) -> str:
        return f"{self.task}, key '{leaf.name}'" if leaf.name else self.task

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; the text tokenizer is stored once beside the layouts, not in each."""
        return {
            "task": self.task,
            "observation": self.observation,
            "action": self.action,
            "action_bins": self.action_bins,
            "vocabulary": self.vocabulary.name,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], text: TextTokenizer | None = None) -> "Layout":
        return cls(
            data["task"],
            data["observation"],
            data["action"],
            data["action_bins"],
            VOCABULARIES[data["vocabulary"]],
            text,
        )


def _leaf(task: str, name: str, space: Description, acting: bool) -> Leaf:
    kind = space["kind"]
    shape: tuple[int, ...] = ()
    if kind == "text":
        if acting:
            raise refuse(task, name, "text as an action is not supported")
        none = np.zeros(0)
        return Leaf(name, "text", (), TEXT_TOKENS, none, none, False, "str")
    if kind == "box":
        return _box(task, name, space, acting)
    if kind == "discrete":
        low, count = np.asarray([space["start"]]), np.asarray([space["n"]])
    elif kind == "multi_discrete":
        count = np.asarray(space["nvec"]).reshape(-1)
        low, shape = np.zeros(len(count)), tuple(np.shape(space["nvec"]))
    elif kind == "multi_binary":
        shape = tuple(np.atleast_1d(space["n"]).tolist())
        count = np.full(int(np.prod(shape)), 2)
        low = np.zeros(len(count))
    else:
        raise refuse(task, name, f"a space of kind '{kind}' has no tokens")
    if count.max() > 1024:
        raise refuse(task, name, f"{count.max()} discrete values, at most 1024 have ids")
    low = low.astype(np.float64)
    return Leaf(name, "discrete", shape, len(count), low, low + count, False, "int64")


def _box(task: str, name: str, space: Description, acting: bool) -> Leaf:
    shape = tuple(space["shape"])
    low = np.asarray(space["low"], dtype=np.float64).reshape(-1)
    high = np.asarray(space["high"], dtype=np.float64).reshape(-1)
    size = int(np.prod(shape))
    if size == 0:
        raise refuse(task, name, "a box with no elements")
    if len(shape) >= 2 and space["dtype"] == "uint8":
        raise refuse(task, name, f"an image of shape {shape}; image observations are not supported yet")
    if np.dtype(space["dtype"]).kind in "iub":
        if not (np.isfinite(low).all() and np.isfinite(high).all()) or (high - low).max() >= 1024:
            raise refuse(task, name, "integers with a range of 1024 or more, or without bounds")
        return Leaf(name, "discrete", shape, size, low, high + 1.0, False, space["dtype"])
    bounded = bool(np.isfinite(low).all() and np.isfinite(high).all())
    if acting and not bounded:
        raise refuse(
            task, name, "an action without finite bounds; wrap it with gymnasium's ClipAction or RescaleAction"
        )
    if acting and (high <= low).any():
        raise refuse(task, name, "an action whose bounds are empty")
    companded = not (bounded and low.min() >= -1.0 and high.max() <= 1.0)
    return Leaf(name, "continuous", shape, size, low, high, companded, space["dtype"])
