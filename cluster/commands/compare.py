"""ocelot compare."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, or folders that hold a comparison.json.")],
    out: Annotated[Path, typer.Option(help="Folder for the page, Markdown, JSON and PNG.")],
    json: Json = None,
) -> None:
    """Holds arms against each other: one HTML page with every figure, and the same as Markdown, JSON and PNG.

    Runs whose settings agree are one arm; what differs between arms is shown, and what should not differ is warned of.
    """
    from cluster.comparing.files import read, write

    comparison = read(runs)
    write(comparison, out)
    if json is not None:
        comparison.save(json)
