"""All settings with their types, defaults and one-line descriptions, as text."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from cluster.config_errors import sections

TYPES = {
    "integer": "int",
    "number": "float",
    "string": "text",
    "boolean": "true/false",
    "object": "values by name",
}


def describe_config(model: type[BaseModel]) -> str:
    """A line for every setting of a configuration, sections indented."""
    schema = model.model_json_schema()
    return "\n".join(_lines(schema, schema, 0))


def _lines(schema: dict[str, Any], section: dict[str, Any], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for name, part in section.get("properties", {}).items():
        parts = sections(schema, part)
        description = part.get("description") or parts[0].get("description", "")  # pydantic writes equal ones once
        description = " ".join(description.split())
        nested = [section for choice in parts for section in _sections_within(schema, choice)]
        if nested:
            yield f"{pad}{name}:  # {description}"
            for choice in nested:
                yield from _lines(schema, choice, depth + 1)
            continue
        default = f" = {json.dumps(part['default'])}" if "default" in part else ""
        yield f"{pad}{name}: {' or '.join(_type(schema, choice) for choice in parts)}{default}  # {description}"


def _sections_within(schema: dict[str, Any], part: dict[str, Any]) -> list[dict[str, Any]]:
    """The sections that a part is, or holds as a list or by name."""
    values = part.get("additionalProperties")
    inside = [part.get("items", {}), values if isinstance(values, dict) else {}]
    found = [part] + [choice for item in inside for choice in sections(schema, item)]
    return [choice for choice in found if "properties" in choice]


def _type(schema: dict[str, Any], part: dict[str, Any]) -> str:
    if "enum" in part:
        return " or ".join(map(str, part["enum"]))
    if "const" in part:
        return str(part["const"])
    if part.get("type") == "array":
        items = sections(schema, part.get("items", {}))
        return f"list of {' or '.join(_type(schema, item) for item in items)}"
    return TYPES.get(part.get("type", "any"), part.get("type", "any"))
