"""ocelot import."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json, write_json


def import_(
    folder: Annotated[Path, typer.Argument(help="A folder that `ocelot export` wrote, yours or another person's.")],
    out: Annotated[Path, typer.Argument(help="A new folder for the checkpoint.")],
    json: Json = None,
) -> None:
    """Checks a checkpoint that somebody exported, and writes it where every command can use it.

    Nothing is unpickled or imported: JSON and safetensors are read, and must fit each other.
    """
    from cluster.sharing.importing import take_in

    loaded = take_in(folder, out)
    size = sum(parameter.numel() for parameter in loaded.model.parameters())
    typer.echo(f"{out}: {size:,} parameters, plays {', '.join(loaded.layouts)}")
    typer.echo(f"Try it: ocelot evaluate {out}\nImprove it: ocelot finetune CONFIG --set checkpoint={out}")
    write_json(json, {"checkpoint": str(out), "parameters": size, "tasks": list(loaded.layouts)})
