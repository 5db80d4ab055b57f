"""What `ocelot pretrain` and `ocelot finetune` have in common: configurations into a run, and what is said of it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cluster.commands.options import overrides, write_json

if TYPE_CHECKING:
    from cluster.rundir import RunDirectory


def carry_out(
    model: Any,
    train: Callable[[Any, "RunDirectory"], Path],
    files: list[Path],
    changes: list[str] | None,
    name: str | None,
    json: Path | None,
) -> None:
    """Makes the run directory of a configuration, trains in it, and says where both can be seen.

    Args:
        model: of the configuration.
        train: trains with the settings in the run; returns the last checkpoint.
        files, changes, name, json: as the options CONFIG, --set, --name and --json.
    """
    from cluster.config_files import load
    from cluster.rundir import RunDirectory

    settings = load(model, files, overrides(changes, name))
    run = RunDirectory.create(settings)
    # Processes take a while to start, with nothing to be seen.
    typer.echo(f"Run: {run.path}; while it goes on, `ocelot monitor {run.path}` shows it", err=True)
    checkpoint = train(settings, run)
    typer.echo(f"Checkpoint: {checkpoint}\nLook at it: ocelot monitor {run.path}")
    write_json(json, {"run": str(run.path), "checkpoint": str(checkpoint), "evaluations": run.evaluations()})
