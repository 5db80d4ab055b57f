"""Descriptions of spaces, free of Gymnasium, so that a checkpoint can carry them and a GPU machine can read them.

A description is plain JSON: {"kind": "box", "shape": [3], "low": [...], "high": [...], "dtype": "float32"},
{"kind": "discrete", "n": 4, "start": 0}, {"kind": "multi_discrete", "nvec": [2, 3]}, {"kind": "multi_binary", "n": 4},
{"kind": "text", "max_length": 64}, {"kind": "dict", "spaces": {...}}, {"kind": "tuple", "spaces": [...]}.
Bounds of one element hold for the whole box (images). Keys of a dict are flattened in lexicographic order, tuples by
index; a leaf's name joins them with "/".
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from policy.errors import SpaceError

Description = dict[str, Any]


def leaves(description: Description, path: str = "") -> Iterator[tuple[str, Description]]:
    """(name, leaf description) for each leaf, depth first. A space that is itself a leaf has the name ""."""
    kind = description["kind"]
    if kind == "dict":
        for key in sorted(description["spaces"]):
            yield from leaves(description["spaces"][key], f"{path}/{key}" if path else key)
    elif kind == "tuple":
        for index, space in enumerate(description["spaces"]):
            yield from leaves(space, f"{path}/{index}" if path else str(index))
    else:
        yield path, description


def pick(value: Any, name: str) -> Any:
    """The part of a nested observation or action that the leaf `name` describes."""
    if name == "":
        return value
    for part in name.split("/"):
        value = value[int(part)] if isinstance(value, (tuple, list)) else value[part]
    return value


def build(description: Description, parts: dict[str, Any], path: str = "") -> Any:
    """The inverse of `pick`: leaves by name back into the nested value that the environment expects."""
    kind = description["kind"]
    if kind == "dict":
        return {
            key: build(space, parts, f"{path}/{key}" if path else key) for key, space in description["spaces"].items()
        }
    if kind == "tuple":
        return tuple(
            build(space, parts, f"{path}/{index}" if path else str(index))
            for index, space in enumerate(description["spaces"])
        )
    return parts[path]


def in_words(leaf: Description) -> str:
    """A description without parts of its own, for people."""
    match leaf["kind"]:
        case "box":
            return f"box of shape {tuple(leaf['shape'])}, from {min(leaf['low']):g} to {max(leaf['high']):g}"
        case "discrete":
            return f"one of {leaf['n']}"
        case "multi_discrete":
            choices = np.asarray(leaf["nvec"])
            counts = " or ".join(map(str, np.unique(choices)))
            return f"{choices.size} values in shape {choices.shape}, each one of {counts}"
        case "multi_binary":
            return f"{leaf['n']} bits"
        case _:
            return f"{leaf['kind']} of at most {leaf['max_length']} characters"


def difference(before: Description, now: Description) -> str:
    """The first leaf in which two descriptions that are not equal differ, in words."""
    one, other = dict(leaves(before)), dict(leaves(now))
    if one.keys() != other.keys():
        return f"it had the keys {sorted(one)}, now {sorted(other)}"
    for name, leaf in one.items():
        if leaf != other[name]:
            said = in_words(leaf), in_words(other[name])
            if said[0] == said[1]:  # words leave out most bounds, a dtype and where counting starts
                said = f"{leaf}"[:200], f"{other[name]}"[:200]
            return f"{f'key {name!r}' if name else 'it'} was {said[0]}, is now {said[1]}"
    return "its parts are the same, nested in another way"


def refuse(task: str, name: str, why: str) -> SpaceError:
    """The error for a space that cannot become tokens."""
    where = f"key '{name}' of " if name else ""
    return SpaceError(f"{task}: {where}its space cannot become tokens: {why}")
