"""Experts without an idea of their task: uniformly random actions, and a network that samples."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from actors.experts.network import Network
from actors.experts.types import ExpertError
from policy.layout import Layout
from policy.spaces import Description, build, leaves, pick


class RandomExpert:
    """Draws every action uniformly from its bounds."""

    name = "random"

    def __init__(self, layout: Layout, seed: int):
        self.layout = layout
        self.generator = np.random.default_rng(seed)

    def act(self, observations: Any, environments: Sequence[gymnasium.Env], first: np.ndarray) -> Any:
        name, _ = next(leaves(self.layout.observation))
        n = len(pick(observations, name))
        parts = {name: self._draw(space, n) for name, space in leaves(self.layout.action)}
        return build(self.layout.action, parts)

    def _draw(self, space: Description, n: int) -> np.ndarray:
        match space["kind"]:
            case "box":
                shape = (n, *space["shape"])
                low, high = (np.reshape(space[bound], shape[1:]) for bound in ("low", "high"))
                return self.generator.uniform(low, high, shape).astype(space["dtype"])
            case "discrete":
                return space["start"] + self.generator.integers(space["n"], size=n)
            case "multi_discrete":
                return self.generator.integers(space["nvec"], size=(n, *np.shape(space["nvec"])))
            case "multi_binary":
                return self.generator.integers(2, size=(n, *space["n"]), dtype=np.int8)
        raise ExpertError(f"{self.layout.task}: there are no random actions of kind '{space['kind']}'")


class NetworkExpert:
    """Samples actions from a network's distribution, as the network's training did."""

    def __init__(self, name: str, network: Network, layout: Layout, seed: int):
        """
        Raises:
            ExpertError: when the network does not fit the layout's spaces.
        """
        self.name = name
        self.network = network
        self.layout = layout
        self.generator = np.random.default_rng(seed)
        kind = "discrete" if network.discrete else "box"
        found, wanted = (network.inputs, network.actions, kind), network_sizes(layout)
        if found != wanted:
            raise ExpertError(
                f"{layout.task}: the expert's network has (inputs, outputs, actions) {found}, but the task's are "
                f"{wanted}; train an expert for this version of the task"
            )

    def act(self, observations: Any, environments: Sequence[gymnasium.Env], first: np.ndarray) -> Any:
        seen = features(self.layout.observation, observations)
        draws = self.network.choose(seen, self.generator)
        return to_actions(self.layout.action, draws)


def to_actions(space: Description, draws: np.ndarray) -> np.ndarray:
    """What a network drew as actions of a Discrete or Box space.

    Args:
        space: of the actions.
        draws: choices counted from 0, int [n], or numbers [n, actions], of which [-1, 1] becomes the space's bounds.
    """
    if space["kind"] == "discrete":
        return space["start"] + draws
    low, high = np.array(space["low"]), np.array(space["high"])
    actions = low + (np.clip(draws, -1.0, 1.0) + 1.0) / 2.0 * (high - low)
    return actions.reshape(len(draws), *space["shape"]).astype(space["dtype"])


def from_actions(space: Description, actions: np.ndarray) -> np.ndarray:
    """The inverse of `to_actions`: choices int64 [n], or numbers float32 [n, actions], as a network draws them."""
    if space["kind"] == "discrete":
        return np.asarray(actions, dtype=np.int64) - space["start"]
    low, high = np.array(space["low"]), np.array(space["high"])
    flat = np.reshape(actions, (len(actions), -1))
    return ((flat - low.reshape(-1)) / (high - low).reshape(-1) * 2.0 - 1.0).astype(np.float32)


def features(description: Description, observations: Any) -> np.ndarray:
    """What a network sees of n observations: an image uint8 [n, height, width, channels], else as `flatten`."""
    shape = image_shape(description)
    if shape is None:
        return flatten(description, observations)
    images = np.asarray(observations)
    return images if images.shape[1:] == shape else np.moveaxis(images, 1, 3)


def image_shape(description: Description) -> tuple[int, int, int] | None:
    """Height, width and channels of observations that are one image; None where they are not."""
    shape = description.get("shape", [])
    if description.get("dtype") != "uint8" or len(shape) != 3:
        return None
    height, width, channels = shape if shape[2] <= shape[0] else (*shape[1:], shape[0])  # stacked frames come first
    return height, width, channels


def flatten(description: Description, observations: Any) -> np.ndarray:
    """Nested observations, leaves stacked along n, as float32 [n, features]; discrete values become one-hot."""
    features = []
    for name, space in leaves(description):
        value = np.asarray(pick(observations, name))
        if space["kind"] == "discrete":
            value = np.eye(space["n"], dtype=np.float32)[value - space["start"]]
        features.append(value.reshape(len(value), -1).astype(np.float32))
    return np.concatenate(features, axis=1)


def network_sizes(layout: Layout) -> tuple[int, int, str]:
    """(inputs, outputs, kind of action) that a network for this task has.

    Raises:
        ExpertError: when its spaces are not of the kinds that a network plays.
    """
    inputs = 0
    for name, space in leaves(layout.observation):
        if space["kind"] not in ("box", "discrete"):
            raise ExpertError(
                f"{layout.task}: networks see Box and Discrete observations, not '{name}' ({space['kind']})"
            )
        inputs += space["n"] if space["kind"] == "discrete" else int(np.prod(space["shape"]))
    action = layout.action
    if action["kind"] not in ("box", "discrete"):
        raise ExpertError(f"{layout.task}: networks play one Box or Discrete action, not a {action['kind']}")
    return inputs, action["n"] if action["kind"] == "discrete" else int(np.prod(action["shape"])), action["kind"]
