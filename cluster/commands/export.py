"""ocelot export."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json, write_json


def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint folder, or a run directory (its newest one).")],
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    name: Annotated[str | None, typer.Option(help="Name on the model card; the folder's if left out.")] = None,
    push: Annotated[
        str | None, typer.Option(metavar="USER/NAME", help="Upload to the Hugging Face hub; needs a token.")
    ] = None,
    private: Annotated[bool, typer.Option(help="With --push: a new repository is private.")] = True,
    json: Json = None,
) -> None:
    """Writes a checkpoint as a folder in Hugging Face's style, with a model card of what was measured.

    config.json, model.safetensors, results.json and README.md can be read without Ocelot.
    """
    from cluster.sharing import exporting

    if push is not None:
        exporting.check_token()
    written = exporting.export(checkpoint, out, name)
    for file in written:
        typer.echo(f"{file}  {file.stat().st_size:,} bytes")
    address = None
    if push is not None:
        address = exporting.push(out, push, private)
        typer.echo(f"Uploaded: {address}")
    write_json(json, {"files": [str(file) for file in written], "address": address})
