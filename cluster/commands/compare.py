"""ocelot compare."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, or folders that hold a comparison.json.")],
    out: Annotated[Path, typer.Option(help="Folder for comparison.json, comparison.md and comparison.png.")],
    json: Json = None,
) -> None:
    """Holds arms against each other: scores with 95% intervals as a table, Markdown, a plot and JSON."""
    from cluster.comparing.files import read, write

    comparison = read(runs)
    write(comparison, out)
    if json is not None:
        comparison.save(json)
