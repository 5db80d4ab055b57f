"""The runs of a folder: how each stands, how far it is, and how good."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.config_files import read_yaml
from cluster.rundir import RunDirectory, RunError
from cluster.scores import acting_name, scalars
from cluster.watching.sparkline import sparkline
from cluster.watching.state import read_state

if TYPE_CHECKING:
    from rich.table import Table

COLOURS = {"running": "green", "finished": "", "interrupted": "yellow", "failed": "red"}


@dataclass(frozen=True)
class Listed:
    """One run."""

    name: str
    """Its path from the folder."""
    state: str
    """running, finished, interrupted or failed."""
    updates: int
    total: int
    env_steps: int
    scores: list[float]
    """Interquartile mean of the scores of each evaluation (greedy, or the lowest temperature), oldest first."""
    returns: list[float]
    """Mean return of each evaluation of the same kind, of a run of one task alone; returns of several do not add up."""
    message: str
    """Why it failed."""


def find_runs(folder: Path) -> list[Listed]:
    """All runs in a folder and the folders in it, by name.

    Raises:
        RunError: when there is none.
    """
    if not folder.is_dir():
        raise RunError(
            f"{folder} is no folder; `ocelot runs` lists the runs of ./runs, or of the folder that it is given"
        )
    found = [_listed(path.parent, folder) for path in sorted(_configs(folder))]
    if not found:
        raise RunError(f"{folder} holds no run: a run is a folder with a config.yaml, which `ocelot finetune` makes")
    return found


def runs_table(runs: list[Listed]) -> "Table":
    """For a terminal."""
    from rich.table import Table

    table = Table("run", "state", box=None)
    for name in ("updates", "environment steps", "score"):
        table.add_column(name, justify="right")
    table.add_column("scores so far")
    for run in runs:
        colour = COLOURS[run.state]
        state = f"[{colour}]{run.state}[/]" if colour else run.state
        table.add_row(
            run.name,
            state + (f": {run.message}" if run.message else ""),
            f"{run.updates:,} of {run.total:,}",
            f"{run.env_steps:,}" if run.env_steps else "-",
            _result(run),
            sparkline(run.scores or run.returns),
        )
    return table


def _result(run: Listed) -> str:
    """Its last score, or its last return where its task has no score."""
    if run.scores:
        return f"{run.scores[-1]:.2f}"
    return f"return {run.returns[-1]:,.1f}" if run.returns else "-"


def _configs(folder: Path) -> Iterator[Path]:
    """Their config.yaml; what lies inside a run is not looked at."""
    if (folder / "config.yaml").exists():
        yield folder / "config.yaml"
        return
    for below in folder.iterdir():
        if below.is_dir() and not below.name.startswith("."):
            yield from _configs(below)


def _listed(path: Path, folder: Path) -> Listed:
    run = RunDirectory.open(path)
    total = int(read_yaml(path / "config.yaml").get("run", {}).get("updates", 0))
    latest = run.latest_checkpoint()
    saved = int(latest.name.removeprefix("step_")) if latest else 0
    state = read_state(run)
    scores, returns = evaluated(run.evaluations())
    return Listed(
        name=str(path.relative_to(folder)) if path != folder else path.name,
        # A run of a version that kept no state: as its checkpoints say.
        state=state.state if state else "finished" if saved >= total else "interrupted",
        updates=max(state.updates, saved) if state else saved,
        total=total,
        env_steps=state.env_steps if state else 0,
        scores=scores,
        returns=returns,
        message=state.message if state else "",
    )


def evaluated(lines: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Of each update that was evaluated, at the lowest temperature: `Listed.scores` and `Listed.returns`."""
    by_update: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        by_update.setdefault(line["updates"], []).append(line)
    scores, returns = [], []
    for update in sorted(by_update):
        lowest = min(row["temperature"] for row in by_update[update])
        rows = [row for row in by_update[update] if row["temperature"] == lowest]
        values = scalars(rows)
        scores += [value for tag, value in values.items() if tag.startswith("eval/interquartile_mean/")]
        if len(rows) == 1:
            returns.append(values[f"eval/return/{rows[0]['task']}/{acting_name(lowest)}"])
    return scores, returns
