"""ocelot sizes."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.commands.options import Json, write_json

Configs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="CONFIG...", help="YAML files with a section `policy`; left out: those in examples/sizes."),
]


def sizes(config: Configs = None, json: Json = None) -> None:
    """Counts a policy's parameters by part."""
    from rich.console import Console
    from rich.table import Table

    from cluster.sizes import EXAMPLES, count

    counts = {file.stem: count(file) for file in config or EXAMPLES.glob("*.yaml")}
    if not config:
        counts = dict(sorted(counts.items(), key=lambda one: sum(one[1].values())))
    totals = {name: {**parts, "all": sum(parts.values())} for name, parts in counts.items()}
    table = Table("part", *totals, box=None)
    for part in dict.fromkeys(part for parts in totals.values() for part in parts if part != "all"):
        table.add_row(part, *(f"{parts.get(part, 0):,}" for parts in totals.values()))
    table.add_row("all", *(f"{parts['all']:,}" for parts in totals.values()))
    Console().print(table)
    write_json(json, totals)
