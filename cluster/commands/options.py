"""Options that several commands share, and writing --json files."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

ConfigFiles = Annotated[
    list[Path], typer.Argument(metavar="CONFIG...", help="YAML files; a later one changes what an earlier one says.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Changes one setting, for example learner.learning_rate=1e-4."),
]
Name = Annotated[str | None, typer.Option(help="Name of the run; its directory is runs/NAME.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Writes the result to this file as JSON.")]


def help_config(model: Callable[[], Any]) -> Any:
    """The option --help-config of a command whose configuration `model` imports and returns."""

    def show(asked: bool) -> None:
        if asked:
            from cluster.config_help import describe_config

            print(describe_config(model()))
            raise typer.Exit

    return typer.Option("--help-config", callback=show, is_eager=True, help="Describes every setting of CONFIG.")


def overrides(given: list[str] | None, name: str | None) -> list[str]:
    """All overrides; --name is one of them."""
    return [*(given or []), *([f"run.name={json.dumps(name)}"] if name else [])]


def write_json(file: Path | None, result: Any) -> None:
    """Writes a result where --json asks for it.

    Raises:
        OcelotError: when the file cannot be written.
    """
    if file is None:
        return
    from policy.errors import OcelotError

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(_strict(result), indent=1) + "\n")
    except OSError as error:
        raise OcelotError(f"--json {file}: cannot be written: {error.strerror}") from None


def _strict(value: Any) -> Any:
    """JSON has no infinity and no NaN; they become null."""
    if isinstance(value, dict):
        return {key: _strict(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
