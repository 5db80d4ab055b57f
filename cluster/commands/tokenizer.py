"""ocelot tokenizer train."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json, write_json

app = typer.Typer(no_args_is_help=True, help="Makes text tokenizers.")


@app.callback()
def tokenizer() -> None:
    """Makes text tokenizers."""


@app.command()
def train(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="UTF-8 text files.")],
    out: Annotated[Path, typer.Option(help="The model's file.")],
    vocabulary_size: Annotated[int, typer.Option(help="Pieces of its vocabulary, at most.")] = 32_000,
    json: Json = None,
) -> None:
    """Trains a SentencePiece model on text of your own; `text: FILE` in a configuration uses it.

    A checkpoint carries its tokenizer along. Text that the files do not hold can be encoded too, byte by byte.
    """
    from policy.text_training import train as trainer

    made = trainer(files, out, vocabulary_size)
    typer.echo(f"Tokenizer: {out}, {len(made)} pieces")
    write_json(json, {"file": str(out), "pieces": len(made)})
