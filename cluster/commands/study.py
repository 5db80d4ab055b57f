"""ocelot study."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def study(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The study, for example examples/study.yaml.")],
    seeds: Annotated[
        str | None, typer.Option(help="Other seeds, separated by commas, with folders of their own: for tuning.")
    ] = None,
    hours: Annotated[float | None, typer.Option(min=0.001, help="Stop after so many hours.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="So many runs at the same time, with a log each.")] = 1,
) -> None:
    """Runs every arm with every seed, and writes tables, figures and a page.

    The same command again skips what is done, goes on with what was stopped and tries again what failed. Exit status 1:
    runs are left.
    """
    from cluster.study.config import study_config
    from cluster.study.run import study as run

    try:
        chosen = [int(seed) for seed in seeds.split(",")] if seeds else None
    except ValueError:
        raise typer.BadParameter(
            f"'{seeds}' must be whole numbers, separated by commas", param_hint="--seeds"
        ) from None
    settings = study_config(config, chosen, hours)
    done = run(config, settings, shlex.join(["ocelot", *sys.argv[1:]]), at_once)
    typer.echo(f"Results: {Path(settings.results) / 'README.md'}")
    if not done:
        raise typer.Exit(1)
