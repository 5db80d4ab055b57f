"""Validation errors in words: the path of the key, what is wrong, the nearest known key."""

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
MISSING = ("missing", "missing_argument")


def describe(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line for each problem."""
    schema = model.model_json_schema()
    return [_line(problem, schema) for problem in error.errors()]


def sections(schema: dict[str, Any], part: dict[str, Any]) -> list[dict[str, Any]]:
    """What a part of a JSON schema may be: references followed, unions taken apart."""
    if "$ref" in part:
        return sections(schema, schema["$defs"][part["$ref"].rsplit("/", 1)[1]])
    if "anyOf" in part:
        return [found for choice in part["anyOf"] for found in sections(schema, choice)]
    return [part]


def _line(problem: Any, schema: dict[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    where = ".".join(path) or "the whole"
    if problem["type"] in UNKNOWN:
        known = _known_keys(schema, path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
        return f"{where}: unknown key '{path[-1]}'; {hint}"
    if problem["type"] in MISSING:
        return f"{where}: missing; it has no default, so give it a value"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if problem["type"] == "value_error":
        return f"{where}: {message}"
    return f"{where}: expected {message}, got {problem['input']!r}"


def _known_keys(schema: dict[str, Any], path: Sequence[str]) -> list[str]:
    places = [schema]
    for key in path:
        below = []
        for place in places:
            if key in place.get("properties", {}):
                below += sections(schema, place["properties"][key])
            elif isinstance(place.get("additionalProperties"), dict):
                below += sections(schema, place["additionalProperties"])
            elif "items" in place:
                below += sections(schema, place["items"])
        places = below or places  # a union's tag in the path names no key
    return sorted({key for place in places for key in place.get("properties", {})})
