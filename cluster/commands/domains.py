"""ocelot domains."""

from typing import Annotated

import typer

from cluster.commands.options import Json, write_json


def domains(
    task: Annotated[str | None, typer.Argument(help="One task to describe; all are listed if left out.")] = None,
    json: Json = None,
) -> None:
    """Lists what can be played; of one task: spaces, tokens a step, experts, reference scores."""
    from cluster.tasks import describe_task, known_tasks, list_lines, missing_domains, task_lines

    if task is None:
        names = known_tasks()
        for line in list_lines(names):
            typer.echo(line)
        for domain, why in missing_domains().items():
            typer.echo(f"{domain}/ does not load here: {why}", err=True)
        typer.echo("Any other registered Gymnasium environment: gym/ID, or gym/my_package:ID of a package of yours.")
        write_json(json, names)
        return
    description = describe_task(task)
    for line in task_lines(description):
        typer.echo(line)
    write_json(json, description)
