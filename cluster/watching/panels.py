"""What the live view draws: tasks, rates and times by process, replay, faults. From scalars by tag alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster.watching.sparkline import sparkline

if TYPE_CHECKING:
    from rich.console import RenderableType

KEPT = 200  # returns of a task that its sparkline shows
BAR = 16  # characters of a full table
RATES = (
    ("actors", "charts/steps_per_second", "environment steps"),
    ("actors -> replay", "replay/inserts_per_second/online", "windows"),
    ("policy server", "policy/actions_per_second", "actions"),
    ("replay -> learner", "replay/samples_per_second/", "windows"),
    ("learner", "charts/updates_per_second", "updates"),
)


@dataclass
class Shown:
    """What was told of a run."""

    name: str
    tasks: list[str]
    values: dict[str, float] = field(default_factory=dict)
    """The newest scalar by tag."""
    returns: dict[str, list[float]] = field(default_factory=dict)
    """Of exploring actors, by task, oldest first."""

    def take(self, values: Mapping[str, float]) -> None:
        """Scalars by tag."""
        self.values = {**self.values, **values}
        for task in self.tasks:
            value = values.get(f"charts/episodic_return/{task}")
            if value is not None:
                self.returns[task] = [*self.returns.get(task, []), value][-KEPT:]

    def total(self, lead: str) -> float:
        """Sum of the scalars whose tags begin so."""
        return sum(value for tag, value in self.values.items() if tag.startswith(lead))


def panels(shown: Shown) -> "RenderableType":
    """All of them, one below the other."""
    from rich.console import Group
    from rich.panel import Panel

    return Panel(
        Group(_tasks(shown), "", _rates(shown), "", _replay(shown), _faults(shown)), title=shown.name, width=100
    )


def _tasks(shown: Shown) -> "RenderableType":
    from rich.table import Table

    table = Table("task", box=None, pad_edge=False, expand=True)
    for name in ("return", "greedy", "t = 1"):
        table.add_column(name, justify="right")
    table.add_column("returns so far")
    for task in shown.tasks:
        returns = shown.returns.get(task, [])
        table.add_row(
            task,
            f"{returns[-1]:,.1f}" if returns else "-",
            *(_evaluated(shown, task, acting) for acting in ("greedy", "temperature_1")),
            sparkline(returns),
        )
    return table


def _evaluated(shown: Shown, task: str, acting: str) -> str:
    """The last evaluation of a task: its score, or its return where the task has no score."""
    score = shown.values.get(f"eval/score/{task}/{acting}")
    mean = shown.values.get(f"eval/return/{task}/{acting}")
    if score is not None:
        return f"score {score:.2f}"
    return "-" if mean is None else f"return {mean:,.1f}"


def _rates(shown: Shown) -> "RenderableType":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, expand=True)
    for name, justify in (("process", "left"), ("a second", "right"), ("", "left"), ("spends its time on", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for process, tag, unit in RATES:
        shares = _shares(shown, {"policy server": "server"}.get(process, process))
        table.add_row(process, f"{shown.total(tag):,.1f}", unit, shares)
    return table


def _shares(shown: Shown, process: str) -> str:
    """ "env 31%, wait 60%": the parts of a process by size."""
    lead = f"time/{process}/"
    parts = {
        tag.removeprefix(lead): value
        for tag, value in shown.values.items()
        if tag.startswith(lead) and "/" not in tag.removeprefix(lead)
    }
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in ordered if share >= 0.01)


def _replay(shown: Shown) -> "RenderableType":
    from rich.text import Text

    line = Text("replay  ")
    for tag, fill in sorted(shown.values.items()):
        if tag.startswith("replay/fill/") and fill:
            name = tag.removeprefix("replay/fill/")
            full = round(fill * BAR)
            line.append(f"{name} ").append("━" * full, "green").append("━" * (BAR - full), "dim")
            line.append(f" {fill:.0%} of {shown.values[f'replay/size/{name}'] / fill:,.0f}   ")
    return line


def _faults(shown: Shown) -> "RenderableType":
    from rich.text import Text

    faults = {tag.split("/")[1]: int(value) for tag, value in shown.values.items() if tag.startswith("faults/")}
    happened = [f"{name.replace('_', ' ')} {count}" for name, count in sorted(faults.items()) if count]
    return Text(f"faults  {', '.join(happened) or 'none'}", style="red" if happened else "")
