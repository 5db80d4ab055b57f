"""How a task's spaces become the tokens of one timestep, and back.

A timestep is: observation (text, then image patches, then tensors; keys in lexicographic order), [return], separator,
action (Gato, arXiv 2205.06175, section 2.2). Every timestep of a task has the same number of tokens.
"""

from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from policy import continuous
from policy.errors import TokenError
from policy.images import PATCH
from policy.leaf import Leaf, make_action_leaf, make_leaf
from policy.spaces import Description, build, leaves, pick, refuse
from policy.text import TextTokenizer
from policy.vectors import ELEMENTS
from policy.vocabulary import DEFAULT, VOCABULARIES, Range, Vocabulary

TEXT_TOKENS = 32  # room for one text leaf, in tokens; shorter texts are padded
TEXTS_KEPT = 1000  # whose ids a layout remembers
ORDER = ("text", "image")  # of kinds within an observation; the rest follows


class Layout:
    """The timestep layout of one task.

    Args:
        task: the task's name, for messages.
        observation, action: descriptions as in `policy.spaces`.
        action_bins: uniform bins of a continuous action.
        vocabulary: which ids mean what.
        text: tokenizer for text leaves; needed only where the observation holds text.
        text_tokens: room for each text, in tokens; shorter ones are padded.
        image_size: height and width, multiples of 16, to which images are resized; None pads them to the next multiples
            (`policy.images`).
        vectors: as in `policy.config.PolicyConfig`.

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
        text_tokens: int = TEXT_TOKENS,
        image_size: tuple[int, int] | None = None,
        vectors: bool = False,
    ):
        self.task = task
        self.observation = observation
        self.action = action
        self.action_bins = action_bins
        self.vocabulary = vocabulary
        self.text = text
        self.text_tokens = text_tokens
        self._texts: dict[str, list[int]] = {}  # ids of texts that were there before: a mission stays for an episode
        self.image_size = image_size
        self.vectors = vectors
        if image_size is not None and (min(image_size) < PATCH or any(side % PATCH for side in image_size)):
            raise refuse(task, "", f"image_size {list(image_size)} is not made of multiples of {PATCH}")
        found = [make_leaf(task, name, space, text_tokens, image_size) for name, space in leaves(observation)]
        # Stable sort: text, images, tensors; lexicographic within each.
        self.observation_leaves = sorted(
            found, key=lambda leaf: ORDER.index(leaf.kind) if leaf.kind in ORDER else len(ORDER)
        )
        self.action_leaves = [make_action_leaf(task, name, space) for name, space in leaves(action)]
        if not found or not self.action_leaves:
            raise refuse(task, "", "it holds nothing")
        for kind, run in self._runs:
            if vectors and kind == "continuous" and sum(leaf.size for leaf in run) > ELEMENTS:
                raise refuse(
                    task, run[0].name, f"more than {ELEMENTS} numbers, which no vector holds; leave policy.vectors off"
                )
        if any(leaf.kind == "text" for leaf in found) and text is None:
            raise refuse(task, "", "it holds text, and no text tokenizer was given")

    @cached_property
    def observation_tokens(self) -> int:
        return sum(leaf.size for leaf in self.observation_leaves)

    @cached_property
    def action_tokens(self) -> int:
        return sum(leaf.size for leaf in self.action_leaves)

    @cached_property
    def _runs(self) -> list[tuple[str, list[Leaf]]]:
        """Parts of an observation of one kind that follow each other: what is encoded together is encoded faster."""
        return [(kind, list(run)) for kind, run in groupby(self.observation_leaves, key=lambda leaf: leaf.kind)]

    @cached_property
    def patches(self) -> int:
        """Image patches of a timestep, each of them one of its tokens."""
        return sum(leaf.size for leaf in self.observation_leaves if leaf.kind == "image")

    @cached_property
    def patch_intervals(self) -> np.ndarray:
        """Where each patch lies in its image, as `policy.images.ImageShape.intervals`. int32 [patches, 2, 2]."""
        shapes = [leaf.image for leaf in self.observation_leaves if leaf.image is not None]
        return np.concatenate([np.zeros((0, 2, 2), dtype=np.int32), *(shape.intervals for shape in shapes)])

    @property
    def step_tokens(self) -> int:
        """Tokens of a whole timestep, without a return token."""
        return self.observation_tokens + 1 + self.action_tokens

    @cached_property
    def places(self) -> int:
        """Places that a whole timestep takes of the policy's context: fewer than its tokens with `vectors`."""
        if not self.vectors:
            return self.step_tokens
        runs = [1 if kind == "continuous" else sum(leaf.size for leaf in run) for kind, run in self._runs]
        return sum(runs) + 1 + self.action_tokens

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
            int32 [n, observation_tokens]; an image's patches are tokens that stand for what `encode_patches` gives.

        Raises:
            TokenError: NaN, infinity, or an integer outside its space, named with task, key and row.
        """
        columns = []
        for kind, run in self._runs:
            values = [pick(observation, leaf.name) for leaf in run]
            if kind == "text":
                columns += [self._text(leaf, value) for leaf, value in zip(run, values, strict=True)]
            elif kind == "image":
                size = sum(leaf.size for leaf in run)
                columns.append(np.full((len(values[0]), size), self.vocabulary.patch, dtype=np.int32))
            elif kind == "discrete":
                columns += [self._encode(leaf, value) for leaf, value in zip(run, values, strict=True)]
            else:
                columns.append(self._continuous(run, values))
        return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)

    def encode_images(self, observation: Any) -> np.ndarray | None:
        """`encode_patches`, or None where the task has no images: what an `ActRequest` wants."""
        return self.encode_patches(observation) if self.patches else None

    def encode_patches(self, observation: Any) -> np.ndarray:
        """The images of a batch of observations, nested as for `encode_observation`.

        Returns:
            uint8 [n, patches, 16, 16, 3], in the order of the patch tokens; patches may be 0.

        Raises:
            TokenError: pixels of another dtype or shape than the space, named with task and key.
        """
        parts = []
        for leaf in self.observation_leaves:
            if leaf.image is None:
                continue
            pixels = np.asarray(pick(observation, leaf.name))
            if pixels.dtype != np.uint8:
                raise TokenError(f"{self._where(leaf)}: an image of {pixels.dtype}; images are uint8, from 0 to 255")
            if pixels[0].size != np.prod(leaf.shape):
                raise TokenError(f"{self._where(leaf)}: expected shape {leaf.shape} a step, got {pixels.shape[1:]}")
            parts.append(leaf.image.cut(pixels))
        if not parts:
            first = pick(observation, self.observation_leaves[0].name)
            return np.zeros((len(first), 0, PATCH, PATCH, 3), dtype=np.uint8)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def encode_action(self, action: Any) -> np.ndarray:
        """A batch of actions (nesting as the space, leaves stacked along n) to tokens, int32 [n, action_tokens].

        Raises:
            TokenError: as `encode_observation`.
        """
        return np.concatenate([self._encode(leaf, pick(action, leaf.name)) for leaf in self.action_leaves], axis=1)

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
        for leaf, table in zip(self.action_leaves, self._tables, strict=True):
            bins = tokens[:, at : at + leaf.size] - legal[at : at + leaf.size, 0]
            value = (bins + leaf.low).astype(leaf.dtype) if table is None else table[np.arange(leaf.size), bins]
            parts[leaf.name] = value.reshape(len(tokens), *leaf.shape)
            at += leaf.size
        return build(self.action, parts)

    @cached_property
    def _tables(self) -> list[np.ndarray | None]:
        """For each continuous part of an action the value of every bin, [size, action_bins] in its dtype."""
        unit = continuous.to_values(np.arange(self.action_bins), self.action_bins)
        return [
            (leaf.low[:, None] + (unit + 1.0) / 2.0 * (leaf.high - leaf.low)[:, None]).astype(leaf.dtype)
            if leaf.kind == "continuous"
            else None
            for leaf in self.action_leaves
        ]

    @property
    def numbers(self) -> Range:
        """Ids of an observation's continuous values."""
        return self.vocabulary.elements if self.vectors else self.vocabulary.continuous

    def _continuous(self, run: list[Leaf], values: list[Any]) -> np.ndarray:
        """Continuous parts of an observation that follow each other to tokens, int32 [n, their size]."""
        flats = [self._rows(leaf, value) for leaf, value in zip(run, values, strict=True)]
        flat = flats[0] if len(run) == 1 else np.concatenate(flats, axis=1)
        if all(leaf.companded for leaf in run):
            flat = continuous.mu_law(flat)
        elif any(leaf.companded for leaf in run):
            companded = np.concatenate([np.full(leaf.size, leaf.companded) for leaf in run])
            flat = np.where(companded, continuous.mu_law(flat), flat)
        try:
            return continuous.to_bins(flat) + self.numbers.start
        except ValueError:
            for leaf, value in zip(run, values, strict=True):
                self._flat(leaf, value)  # says where
            raise

    def _rows(self, leaf: Leaf, value: Any) -> np.ndarray:
        """float64 [n, size]. Raises TokenError for another shape."""
        flat = np.asarray(value, dtype=np.float64)
        flat = flat.reshape(len(flat), -1)
        if flat.shape[1] != leaf.size:
            raise TokenError(f"{self._where(leaf)}: expected shape {leaf.shape} a step, got {np.shape(value)[1:]}")
        return flat

    def _flat(self, leaf: Leaf, value: Any) -> np.ndarray:
        """`_rows`. Raises TokenError for NaN or infinity, too."""
        flat = self._rows(leaf, value)
        finite = np.isfinite(flat)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise TokenError(f"{self._where(leaf)}: {flat[row, column]} at element {column} of environment {row}")
        return flat

    def _encode(self, leaf: Leaf, value: Any) -> np.ndarray:
        """A discrete part, or a part of an action, to tokens, int32 [n, size]."""
        flat = self._flat(leaf, value)
        if leaf.kind == "discrete":
            if ((flat < leaf.low) | (flat >= leaf.high) | (flat != np.floor(flat))).any():
                raise TokenError(f"{self._where(leaf)}: {flat.min()}..{flat.max()} leaves its space")
            return (flat - leaf.low).astype(np.int32) + self.vocabulary.discrete.start
        unit = (flat - leaf.low) / (leaf.high - leaf.low) * 2.0 - 1.0
        return continuous.to_bins(unit, self.action_bins) + self.vocabulary.continuous.start

    def _text(self, leaf: Leaf, value: Any) -> np.ndarray:
        assert self.text is not None
        result = np.full((len(value), leaf.size), self.vocabulary.pad, dtype=np.int32)
        for row, text in enumerate(value):
            ids = self._texts.get(text)
            if ids is None:
                try:
                    ids = self.text.encode(str(text))
                except TokenError as error:
                    raise TokenError(f"{self._where(leaf)}: {error}") from None
                if len(self._texts) == TEXTS_KEPT:
                    self._texts.clear()
                self._texts[text] = ids
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
            "text_tokens": self.text_tokens,
            "image_size": list(self.image_size) if self.image_size else None,
            "vectors": self.vectors,
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
            data["text_tokens"],
            tuple(data["image_size"]) if data["image_size"] else None,
            data.get("vectors", False),
        )
