"""Comparisons from run directories, and into a folder: JSON, Markdown, a plot, and a table on the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.comparing import plot, tables
from cluster.comparing.aggregates import aggregate
from cluster.comparing.comparison import Comparison, ComparisonError, Reference, Row
from cluster.config_files import read_yaml
from cluster.environment import describe_environment
from cluster.reference_scores import required
from cluster.rundir import RunDirectory, writing

FILE = "comparison.json"


def read(folders: Sequence[Path]) -> Comparison:
    """The last evaluations of runs, and the rows of earlier comparisons, as one comparison.

    Raises:
        ComparisonError, RunError: a folder without evaluations, or evaluations that do not fit together.
    """
    rows: list[Row] = []
    references: dict[str, Reference] = {}
    for folder in folders:
        if (folder / FILE).exists():
            earlier = Comparison.load(folder / FILE)
            rows += earlier.rows
            for task, reference in earlier.references.items():
                if references.setdefault(task, reference) != reference:
                    raise ComparisonError(
                        f"{folder / FILE} scores {task} on another scale than those before it; redo one"
                    )
        else:
            rows += run_rows(RunDirectory.open(folder), references)
    return complete(rows, references)


def complete(rows: Sequence[Row], references: dict[str, Reference]) -> Comparison:
    """A comparison with its aggregates. Raises ComparisonError as `aggregate`."""
    return Comparison(list(rows), references, aggregate(rows, references), describe_environment())


def write(comparison: Comparison, out: Path) -> None:
    """Writes comparison.json, comparison.md and comparison.png, and prints the table."""
    from rich.console import Console

    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / "comparison.md").write_text(tables.markdown(comparison))
    plot.plot(comparison, out / "comparison.png")
    comparison.save(out / FILE)
    console = Console()
    console.print(tables.table(comparison))
    for line in tables.differences(comparison):
        console.print(line, highlight=False, soft_wrap=True)
    print(f"Written: {out / FILE}, {out / 'comparison.md'}, {out / 'comparison.png'}")


def run_rows(run: RunDirectory, references: dict[str, Reference]) -> list[Row]:
    """A run's last evaluation of each task at each temperature; adds the references that it needs.

    Raises:
        ComparisonError: when the run has no evaluations, or a task no reference scores.
    """
    last: dict[tuple[str, float], dict[str, Any]] = {}
    for line in run.evaluations():
        last[line["task"], line["temperature"]] = line
    if not last:
        raise ComparisonError(
            f"{run.path} has no evaluations; let the run end with evaluation.episodes above 0, or use `ocelot evaluate`"
        )
    seed = read_yaml(run.path / "config.yaml")["run"]["seed"]
    for task, _ in last:
        references.setdefault(task, required(task))
    return [
        Row.make(task, line["arm"], line["returns"], references[task], seed, line["checkpoint"], temperature)
        for (task, temperature), line in last.items()
    ]
