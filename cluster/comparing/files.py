"""Comparisons from run directories and earlier comparisons, and into a folder."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cluster.comparing import arms, checks, runs, tables
from cluster.comparing.aggregates import aggregate
from cluster.comparing.comparison import Comparison, ComparisonError, Reference, Run
from cluster.environment import describe_environment
from cluster.rundir import RunDirectory, RunError, writing

FILE = "comparison.json"


def read(folders: Sequence[Path]) -> Comparison:
    """The comparison of what `gather` finds. Raises as `gather` and `complete`."""
    return complete(gather(folders))


def gather(folders: Sequence[Path]) -> Comparison:
    """The evaluations of runs and of earlier comparisons, with no figures yet.

    Args:
        folders: run directories, and folders that hold a comparison.json.

    Raises:
        ComparisonError, RunError: a folder without evaluations, or scores on different scales.
    """
    parts = [_read(folder) for folder in folders]
    references: dict[str, Reference | None] = {}
    for folder, part in zip(folders, parts, strict=True):
        for task, reference in part.references.items():
            if references.setdefault(task, reference) != reference:
                raise ComparisonError(f"{folder} scores {task} on another scale than those before it; redo one")
    _name_apart(parts)
    return Comparison(
        [row for part in parts for row in part.rows],
        references,
        runs=[run for part in parts for run in part.runs],
        points=[point for part in parts for point in part.points],
    )


def complete(gathered: Comparison) -> Comparison:
    """The comparison with its arms, its figures, and what keeps the arms from being comparable.

    Raises:
        ComparisonError: as `aggregate`.
    """
    grouped = arms.group(gathered.runs)
    arm = {run.folder: run.arm for run in grouped}
    rows = [replace(row, arm=arm.get(row.run or "", row.arm)) for row in gathered.rows]
    points = [replace(point, arm=arm[point.run]) for point in gathered.points]
    return Comparison(
        rows,
        gathered.references,
        aggregate(rows, gathered.references, points),
        describe_environment(),
        grouped,
        points,
        checks.warnings(rows, grouped, gathered.references),
    )


def write(comparison: Comparison, out: Path) -> None:
    """Writes comparison.json, comparison.md, comparison.html, comparison.png and figures/, and prints the table."""
    from rich.console import Console

    from cluster.comparing import page
    from cluster.comparing.figures import draw

    with writing(out):
        (out / "figures").mkdir(parents=True, exist_ok=True)
        drawn = draw(comparison, out)
        (out / "comparison.md").write_text(tables.markdown(comparison, drawn))
        (out / "comparison.html").write_text(page.render(comparison))
    comparison.save(out / FILE)
    console = Console()
    console.print(tables.terminal(comparison))
    warnings = [f"Warning: {line}" for line in comparison.warnings]
    for line in [tables.caption(comparison), *tables.differences(comparison), *warnings]:
        console.print(line, highlight=False, soft_wrap=True)
    print(f"Written: {out / 'comparison.html'}, and beside it comparison.md, comparison.json and the figures as PNG")


def _read(folder: Path) -> Comparison:
    if (folder / FILE).exists():
        return Comparison.load(folder / FILE)
    try:
        directory = RunDirectory.open(folder)
    except RunError as error:
        raise RunError(f"{error}; give run directories (runs/NAME), or folders that hold a {FILE}") from None
    references: dict[str, Reference | None] = {}
    run, rows, points = runs.read_run(directory, references)
    return Comparison(rows, references, [], {}, [run], points)


def _name_apart(parts: list[Comparison]) -> None:
    """Different runs may come from folders of one name, on different machines: the later ones get a number."""
    known: dict[str, Run] = {}
    for index, part in enumerate(parts):
        names = {}
        for run in part.runs:
            name, number = run.folder, 1
            while name in known and known[name].config != run.config:
                number += 1
                name = f"{run.folder} #{number}"
            known[name] = run
            names[run.folder] = name
        parts[index] = replace(
            part,
            rows=[replace(row, run=names.get(row.run or "")) for row in part.rows],
            runs=[replace(run, folder=names[run.folder]) for run in part.runs],
            points=[replace(point, run=names[point.run]) for point in part.points],
        )
