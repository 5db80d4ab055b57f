"""ocelot monitor."""

from pathlib import Path
from typing import Annotated

import typer


def monitor(
    run: Annotated[Path, typer.Argument(help="A run directory, or a folder of several.")],
    port: Annotated[int, typer.Option(help="Port on this machine; 0 takes a free one.")] = 0,
) -> None:
    """Shows TensorBoard on a run, to this machine alone."""
    from cluster.monitor import serve

    serve(run, port)
