"""All settings with their types, defaults and one-line descriptions, as text."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from cluster.config_errors import sections


def describe_config(model: type[BaseModel]) -> str:
    """A line for every setting of a configuration, sections indented."""
    schema = model.model_json_schema()
    return "\n".join(_lines(schema, schema, 0))


def _lines(schema: dict[str, Any], section: dict[str, Any], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for name, part in section.get("properties", {}).items():
        description = part.get("description", "")
        parts = sections(schema, part)
        nested = [choice for choice in parts if "properties" in choice]
        nested += [
            item for choice in parts for item in sections(schema, choice.get("items", {})) if "properties" in item
        ]
        values = [choice.get("additionalProperties") for choice in parts]
        nested += [
            item
            for value in values
            if isinstance(value, dict)
            for item in sections(schema, value)
            if "properties" in item
        ]
        if nested:
            yield f"{pad}{name}:  # {description}"
            for choice in nested:
                yield from _lines(schema, choice, depth + 1)
            continue
        default = f" = {part['default']}" if "default" in part else ""
        yield f"{pad}{name}: {' or '.join(_type(schema, choice) for choice in parts)}{default}  # {description}"


def _type(schema: dict[str, Any], part: dict[str, Any]) -> str:
    if "enum" in part:
        return " or ".join(map(str, part["enum"]))
    if "const" in part:
        return str(part["const"])
    if part.get("type") == "array":
        items = sections(schema, part.get("items", {}))
        return f"list of {' or '.join(_type(schema, item) for item in items)}"
    return {"integer": "int", "number": "float", "string": "text", "boolean": "true/false"}.get(
        part.get("type", "any"), part.get("type", "any")
    )
