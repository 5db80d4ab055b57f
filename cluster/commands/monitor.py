"""ocelot monitor."""

from pathlib import Path
from typing import Annotated

import typer


def monitor(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories, or folders of several.")],
    port: Annotated[int, typer.Option(help="Port on this machine; 0 takes a free one.")] = 0,
) -> None:
    """Shows TensorBoard on runs, to this machine alone; several lie side by side in every chart."""
    from cluster.monitor import serve

    serve(runs, port)
