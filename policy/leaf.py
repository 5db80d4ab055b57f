"""The parts of a space that have tokens of their own: what each is, how many tokens it has, and what is refused."""

from dataclasses import dataclass

import numpy as np

from policy.images import PATCH, ImageShape, image_shape
from policy.spaces import Description, refuse


@dataclass(frozen=True)
class Leaf:
    """One part of a space: `size` tokens, in the order of the flattened (row-major) array or of an image's patches."""

    name: str
    kind: str  # "text", "image", "continuous" or "discrete"
    shape: tuple[int, ...]
    size: int
    low: np.ndarray  # float64 [size]; bounds, or the least integer
    high: np.ndarray  # float64 [size]; bounds, or one above the greatest integer
    companded: bool  # mu-law on the way in: observations outside [-1, 1]
    dtype: str
    image: ImageShape | None = None


def make_leaf(task: str, name: str, space: Description, text_tokens: int, image_size: tuple[int, int] | None) -> Leaf:
    """The part of an observation that `space` describes.

    Args:
        task, name: for messages; `name` is its key.
        space: without parts of its own.
        text_tokens: room for a text.
        image_size: as in `policy.images.ImageShape`.

    Raises:
        SpaceError: when it cannot become tokens.
    """
    none = np.zeros(0)
    if space["kind"] == "text":
        return Leaf(name, "text", (), text_tokens, none, none, False, "str")
    if space["kind"] == "box" and is_image(space):
        try:
            image = ImageShape(*image_shape(tuple(space["shape"])), image_size)
        except ValueError as error:
            raise refuse(task, name, str(error)) from None
        return Leaf(name, "image", tuple(space["shape"]), image.patches, none, none, False, "uint8", image)
    return _tensor(task, name, space, acting=False)


def make_action_leaf(task: str, name: str, space: Description) -> Leaf:
    """The part of an action that `space` describes. Arguments and errors as `make_leaf`."""
    if space["kind"] == "text":
        raise refuse(task, name, "text as an action is not supported")
    if space["kind"] == "box" and is_image(space):
        raise refuse(task, name, "an image as an action is not supported")
    return _tensor(task, name, space, acting=True)


def is_image(space: Description) -> bool:
    """A uint8 Box of at least two dimensions whose bounds are 0 and 255; other integers are tensors."""
    if len(space["shape"]) < 2 or space["dtype"] != "uint8":
        return False
    low, high = np.asarray(space["low"]), np.asarray(space["high"])
    return bool(low.size and (low == 0).all() and (high == 255).all())


def _tensor(task: str, name: str, space: Description, acting: bool) -> Leaf:
    kind = space["kind"]
    if kind == "box":
        return _box(task, name, space, acting)
    shape: tuple[int, ...] = ()
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
    size = int(np.prod(shape))
    if size == 0:
        raise refuse(task, name, "a box with no elements")
    low = np.broadcast_to(np.asarray(space["low"], dtype=np.float64).reshape(-1), size)
    high = np.broadcast_to(np.asarray(space["high"], dtype=np.float64).reshape(-1), size)
    if len(shape) >= 3 and shape[-1] in (1, 3, 4) and min(shape[-3:-1]) >= PATCH:
        raise refuse(
            task,
            name,
            f"an image of shape {list(shape)} and dtype {space['dtype']} from {low.min():g} to {high.max():g}; images "
            "are uint8 from 0 to 255, with 1 or 3 channels",
        )
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
