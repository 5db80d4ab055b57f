"""ocelot study."""

import shlex
from pathlib import Path
from typing import Annotated

import typer


def study(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The study, for example examples/study.yaml.")],
    seeds: Annotated[
        list[str] | None,
        typer.Option(help="Other seeds, separated by commas or each given so, with folders of their own: for tuning."),
    ] = None,
    hours: Annotated[float | None, typer.Option(min=0, help="Stop after so many; 0: only write the results.")] = None,
    at_once: Annotated[int, typer.Option(min=1, help="So many runs at the same time, with a log each.")] = 1,
) -> None:
    """Runs every arm with every seed, and writes tables, figures and a page.

    The same command again skips what is done, goes on with what was stopped and tries again what failed. Exit status 1:
    runs are left.
    """
    from cluster.study.config import study_config
    from cluster.study.run import study as run

    try:
        chosen = [int(seed) for given in seeds for seed in given.split(",")] if seeds else None
    except ValueError:
        raise typer.BadParameter(
            f"'{' '.join(seeds or [])}' must be whole numbers, separated by commas", param_hint="--seeds"
        ) from None
    settings = study_config(config, chosen, hours)
    # What makes the same results, so without the hours: they only say when it stopped.
    command = ["ocelot", "study", str(config)]
    command += ["--seeds", ",".join(map(str, chosen))] if chosen else []
    command += ["--at-once", str(at_once)] if at_once > 1 else []
    done = run(config, settings, shlex.join(command), at_once)
    typer.echo(f"Results: {Path(settings.results) / 'README.md'}")
    if not done:
        raise typer.Exit(1)
