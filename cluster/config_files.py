"""Configuration files: YAML in, overrides, errors that name the file, the key and the nearest known one; YAML out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cluster.config_errors import describe
from policy.errors import OcelotError

Config = TypeVar("Config", bound=BaseModel)


class ConfigError(OcelotError):
    """A configuration that cannot be used."""


def load(model: type[Config], files: Sequence[str | Path], overrides: Sequence[str] = ()) -> Config:
    """Reads one configuration.

    Args:
        model: what it has to be.
        files: YAML files; a later one's keys replace or extend an earlier one's, section by section.
        overrides: "a.b=c" with c in YAML, applied last; "a.0.b=c" changes a list's first entry.

    Raises:
        ConfigError: a file that is missing or no YAML, an unknown key, a wrong type.
    """
    values: dict[str, Any] = {}
    for file in files:
        values = merge(values, read_yaml(Path(file)))
    for override in overrides:
        values = merge(values, parse_override(override))
    where = " + ".join([str(file) for file in files] + [f"--set {override}" for override in overrides])
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}:\n" + "\n".join(f"  {line}" for line in describe(error, model))) from None
    except OcelotError as error:  # raised by a part that checks itself
        raise ConfigError(f"{where}:\n  {error}") from None


def dump(config: BaseModel) -> str:
    """The whole resolved configuration as YAML; `load` of it gives the same configuration."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def merge(base: Any, over: Any) -> Any:
    """`over` laid over `base`: sections key by key, list entries by number ({"0": ...}), everything else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: merge(base.get(key), value) for key, value in over.items()}
    if isinstance(base, list) and isinstance(over, dict) and all(_is_index(base, key) for key in over):
        return [merge(entry, over[str(index)]) if str(index) in over else entry for index, entry in enumerate(base)]
    return over


def _is_index(entries: list, key: Any) -> bool:
    return str(key).isdecimal() and int(key) < len(entries)


def flatten(config: Mapping[str, Any] | list, prefix: str = "") -> dict[str, bool | str | float | int]:
    """Nested settings to {"a.b": value, "tasks.0.name": value}; null becomes the text "null"."""
    items = config.items() if isinstance(config, Mapping) else enumerate(config)
    result: dict[str, bool | str | float | int] = {}
    for key, value in items:
        name = f"{prefix}{key}"
        if isinstance(value, (Mapping, list)):
            result |= flatten(value, f"{name}.")
        else:
            result[name] = "null" if value is None else value
    return result


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Settings in which two configurations differ: "a.b: 1, now 2"."""
    before, now = flatten(one), flatten(other)
    keys = sorted(before.keys() | now.keys())
    return [
        f"{key}: {before.get(key, 'not set')}, now {now.get(key, 'not set')}"
        for key in keys
        if before.get(key) != now.get(key)
    ]


def parse_override(text: str) -> dict[str, Any]:
    """ "a.b=c" to {"a": {"b": c}}, c parsed as YAML.

    Raises:
        ConfigError: without "=", or with a value that is no YAML.
    """
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"--set {text}: write KEY=VALUE, for example --set run.seed=3")
    try:
        result = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: the value is no YAML: {error}") from None
    for key in reversed(path.strip().split(".")):
        result = {key: result}
    return result


def read_yaml(file: Path) -> dict[str, Any]:
    """The sections of a YAML file. Raises ConfigError when there are none."""
    try:
        values = yaml.safe_load(file.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: no YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: expected sections (key: value), found {type(values).__name__}")
    return values
