"""ocelot demos import | show."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json, write_json

RLDS = "rlds:"

app = typer.Typer(no_args_is_help=True, help="Demonstrations that are there: brings some in, shows what they hold.")


@app.command("import")
def import_(
    source: Annotated[
        str, typer.Argument(help="A Minari dataset's folder, an id of `minari list remote`, or rlds:FOLDER.")
    ],
    task: Annotated[str | None, typer.Option(help="Its task; what the dataset itself says if left out.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Id to keep it under; its own if left out.")] = None,
    json: Json = None,
) -> None:
    """Brings a dataset in, whole and checked against its task, or not at all. RLDS needs 'pip install ocelot[rlds]'."""
    from actors import domains
    from cluster.progress import Progress
    from policy.layout import Layout
    from policy.text import TextTokenizer
    from replay.importing import import_dataset
    from replay.rlds import import_rlds

    def layout_of(name: str) -> Layout:
        return domains.task_layout(name, text=TextTokenizer.default())

    with Progress(f"Checking {source}", 1, "episodes") as progress:

        def show(done: int, of: int) -> None:
            progress.total = of
            progress.update(done)

        if source.startswith(RLDS):
            if task is None or dataset is None:
                raise typer.BadParameter("RLDS does not name them: give --task and --dataset")
            with closing(domains.make(task)) as environment:
                made = import_rlds(
                    source.removeprefix(RLDS),
                    layout_of(task),
                    environment.observation_space,
                    environment.action_space,
                    dataset,
                    show,
                )
        else:
            made = import_dataset(source, layout_of, task, dataset, show)
    typer.echo(f"Dataset: {made}\nLook at it: ocelot demos show {made}")
    write_json(json, {"source": source, "dataset": made})


@app.command()
def show(
    dataset: Annotated[str, typer.Argument(help="Id of a local dataset, as in `minari list local`.")],
    task: Annotated[str | None, typer.Option(help="Its task; what the dataset itself says if left out.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the pictures go.")] = Path("demonstrations"),
    json: Json = None,
) -> None:
    """Prints returns, lengths and tokens of a dataset; draws their histograms, and a filmstrip of one episode."""
    from actors.experts.files import stem
    from cluster import demonstration_pictures as pictures
    from cluster.demonstrations import describe, lines, task_of
    from policy.errors import OcelotError
    from replay.summary import summarise

    summary = summarise(dataset)
    layout = task_of(summary, task)
    described = describe(summary, layout)
    for line in lines(described):
        typer.echo(line)
    file = out / f"{stem(dataset)}-histograms.png"
    pictures.histograms(summary, file)
    typer.echo(f"Histograms: {file}")
    if layout is not None:
        try:
            file = out / f"{stem(dataset)}-filmstrip.png"
            pictures.filmstrip(summary, layout, file)
            typer.echo(f"Filmstrip: {file}")
        except OcelotError as error:
            typer.echo(f"No filmstrip: {error}")
    write_json(json, described)
