"""ocelot runs."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json, write_json


def runs(folder: Annotated[Path, typer.Argument(help="Where the runs are.")] = Path("runs"), json: Json = None) -> None:
    """Lists runs with their state (running, finished, interrupted, failed), progress and score."""
    from rich.console import Console

    from cluster.watching.runs import find_runs, runs_table

    found = find_runs(folder)
    Console().print(runs_table(found))
    write_json(json, [asdict(run) for run in found])
