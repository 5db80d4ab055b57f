"""ocelot quickstart."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json


def quickstart(
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    arms: Annotated[
        str | None, typer.Option(help="Arms, separated by commas: cloning, alternating, filtered_cloning.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs, datasets and the comparison.")] = Path("runs/quickstart"),
    settings: Annotated[Path | None, typer.Option(help="A changed copy of the folder examples/quickstart.")] = None,
    json: Json = None,
) -> None:
    """Pretrains a policy on recorded demonstrations, improves it online, compares: minutes on two cores.

    The same command again goes on where it stopped. Its settings are the files in examples/quickstart.
    """
    from cluster import quickstart as stages

    chosen = [arm.strip() for arm in arms.split(",")] if arms else None
    comparison = stages.quickstart(out, seed, chosen, settings or stages.EXAMPLES)
    if json is not None:
        comparison.save(json)
    typer.echo("To look further:")
    for line in stages.further(comparison, out):
        typer.echo(f"  {line}")
