"""ocelot record."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json, write_json


def record(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(metavar="CHECKPOINT...", help="Checkpoint folders or run directories; several: side by side."),
    ],
    task: Annotated[str, typer.Argument(help="Any task, such as gym/CartPole-v1; `ocelot domains` lists them.")],
    out: Annotated[Path, typer.Option(help="The file to write, .mp4 or .gif.")],
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of each checkpoint, one below the other.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of action sampling; 0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the starts, as in `ocelot evaluate`.")] = 10_000,
    json: Json = None,
) -> None:
    """Films a policy that plays, with its return, its actions and what its value head expects.

    Several checkpoints (arms, or seeds of one arm) start alike, so that they can be compared.
    """
    from cluster.filming.record import record as film
    from cluster.progress import Progress

    with Progress(f"Playing {task}", len(checkpoints), "checkpoints") as progress:
        recorded = film(checkpoints, task, out, episodes, temperature, seed, progress.update)
    for each in recorded:
        score = "" if each.score is None else f", score {each.score:.2f}"
        value = "" if each.value is None else f"; the value head expected {each.value:.1f} (discounted)"
        typer.echo(f"{each.checkpoint}, start {each.start}: return {each.episode_return:.1f}{score}{value}")
    typer.echo(f"Written: {out}")
    write_json(json, {"file": str(out), "episodes": [asdict(each) for each in recorded]})
