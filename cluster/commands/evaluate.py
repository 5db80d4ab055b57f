"""ocelot evaluate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cluster.commands.options import Json, write_json


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint folder, or a run directory (its newest one).")],
    tasks: Annotated[
        str | None, typer.Option(help="Tasks, separated by commas; all that it knows if left out.")
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of each task at each temperature.")] = 50,
    temperature: Annotated[
        list[float] | None,
        typer.Option(min=0.0, help="Of action sampling, 0 greedy; may be repeated. Default: 0 and 1."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the environments.")] = 10_000,
    prompt: Annotated[
        Literal["none", "demonstration", "goal"],
        typer.Option(help="In front of every episode: a successful demonstration's first steps, or its last."),
    ] = "none",
    datasets: Annotated[
        str | None,
        typer.Option(help="Minari datasets of the prompts, separated by commas; the run's own if left out."),
    ] = None,
    json: Json = None,
) -> None:
    """Plays a checkpoint and shows returns and normalised scores with 95% intervals over its episodes."""
    from rich.console import Console
    from rich.table import Table

    from cluster.evaluate import evaluate_checkpoint

    names = [task.strip() for task in tasks.split(",")] if tasks else None
    played = evaluate_checkpoint(
        checkpoint,
        names,
        episodes,
        temperature or [0.0, 1.0],
        seed,
        prompt=None if prompt == "none" else prompt,
        datasets=[name.strip() for name in datasets.split(",")] if datasets else None,
    )
    rows = [_with_score(row) for row in played]
    table = Table("task", "actions", "mean return", "score", caption="95% over this checkpoint's episodes", box=None)
    for row in rows:
        table.add_row(row["task"], _acting(row), _figure(row["mean_return"], 1), _figure(row["score"], 2))
    Console().print(table)
    for line in _by_domain(rows):
        typer.echo(line)
    write_json(json, rows)


def _with_score(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its mean return and, where the task has reference scores, its score: value, low, high."""
    import numpy as np

    from cluster.comparing.intervals import mean_of_means
    from cluster.reference_scores import find

    returns = np.asarray(row["returns"])
    known = find(row["task"])
    score = known and mean_of_means([known.score(returns)])._asdict()
    return row | {"mean_return": mean_of_means([returns])._asdict(), "score": score}


def _by_domain(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Where there are several tasks: percent of the expert by domain and over domains, for each way of acting."""
    from cluster.reference_scores import domain_scores, find

    for acting in dict.fromkeys(map(_acting, rows)):
        scores = domain_scores({row["task"]: row["returns"] for row in rows if _acting(row) == acting})
        if len(scores.tasks) > 1:
            domains = ", ".join(f"{domain} {score:.0f}" for domain, score in scores.domains.items())
            yield f"Percent of the expert, {acting}: {domains}; mean over domains {scores.mean:.0f}"
        for task, why in scores.excluded.items():
            yield f"Without a score: {task}, {why}"
    for task in dict.fromkeys(row["task"] for row in rows):
        known = find(task)
        if known is not None and known.published is not None:
            yield f"The scale of {task} is published, not measured here: {known.published}"


def _acting(row: dict[str, Any]) -> str:
    from cluster.comparing.tables import acting

    return acting(row["temperature"])


def _figure(estimate: dict[str, float] | None, digits: int) -> str:
    if estimate is None:
        return "no reference"
    return f"{estimate['value']:.{digits}f} [{estimate['low']:.{digits}f} {estimate['high']:.{digits}f}]"
