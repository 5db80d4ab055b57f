"""ocelot inspect."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.commands.options import Json, write_json


def inspect(
    target: Annotated[str, typer.Argument(help="A checkpoint folder, a run directory, or the id of a dataset.")],
    episode: Annotated[int, typer.Option(min=0, help="Of a dataset: which episode.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Of a dataset: so many steps of the episode.")] = 8,
    task: Annotated[str | None, typer.Option(help="Of a dataset that does not say which task it is of.")] = None,
    json: Json = None,
) -> None:
    """Shows what something is made of.

    A checkpoint: sizes, tasks, scores, where it comes from. A dataset: an episode as tokens. A run: what flows through
    it a second, where the time goes, and its newest checkpoint.
    """
    from rich.console import Console

    path = Path(target)
    console = Console(highlight=False)
    result: dict[str, Any] = {}
    if not path.exists():
        from cluster.inspecting.episode import drawn, load_episode
        from cluster.inspecting.episode import steps as tokens

        layout, found = load_episode(target, task, episode)
        console.print(drawn(layout, found, steps))
        result["steps"] = [
            {name: [asdict(token) for token in part] for name, part in each.items()}
            for each in tokens(layout, found)[:steps]
        ]
    else:
        from cluster.inspecting.checkpoint import card, checkpoint_card
        from cluster.rundir import RunDirectory, find_checkpoint

        is_run = (path / "config.yaml").exists()
        run = RunDirectory(path)
        if is_run and "actors" in _config(run):
            from cluster.inspecting.flow import drawn as drawn_flow
            from cluster.inspecting.flow import read_flow

            streams, shares = read_flow(run)
            console.print(drawn_flow(streams, shares))
            result["flow"] = [asdict(stream) for stream in streams]
        if not is_run or run.latest_checkpoint() is not None:
            result["checkpoint"] = checkpoint_card(find_checkpoint(path) if is_run else path)
            console.print(card(result["checkpoint"]))
    write_json(json, result)


def _config(run: Any) -> dict[str, Any]:
    from cluster.config_files import read_yaml

    return read_yaml(run.path / "config.yaml")
